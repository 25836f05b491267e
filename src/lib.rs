//! Sidemint.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "emulator")]
pub mod demo;
pub mod edge;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod lease;
pub mod lifecycle;
pub mod limit;
pub mod model;
pub mod secrets;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
pub mod vendor;
