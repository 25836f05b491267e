//! Sidemint.

pub mod config;
pub mod lease;
pub mod lifecycle;
pub mod model;
