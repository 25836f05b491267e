//! Sidemint.

pub mod config;
pub mod lease;
pub mod lifecycle;
pub mod model;
pub mod secrets;
pub mod telemetry;
pub mod upstream;
pub mod vendor;
#[cfg(feature = "emulator")]
pub mod demo;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod limit;
