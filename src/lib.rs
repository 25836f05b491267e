//! Sidemint.

pub mod lease;
pub mod lifecycle;
pub mod model;
