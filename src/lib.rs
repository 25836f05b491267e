//! Sidemint.

pub mod config;
#[cfg(feature = "emulator")]
pub mod demo;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod lease;
pub mod lifecycle;
pub mod limit;
pub mod model;
pub mod secrets;
pub mod telemetry;
pub mod upstream;
pub mod vendor;
pub mod tokens;
