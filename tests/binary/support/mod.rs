//! A process, a vendor, a config, a client: what every test here needs.

pub mod authority;
pub mod bold_bi;
pub mod config;
pub mod credentials;
pub mod http;
pub mod items;
pub mod power_bi;
pub mod process;
#[path = "../../secrecy/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part of it")]
pub mod secrecy;
pub mod sidecar;
pub mod vendor;

pub use config::Settings;
pub use process::{Process, copy_program, run};
pub use sidecar::Sidecar;
pub use vendor::Vendor;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Ends a test that has failed. No test waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A command line of words without spaces.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A tool that scripts/setup brings, by the variable that names it.
pub fn tool(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    let path = path.unwrap_or_else(|| panic!("{variable} is not set: run by cargo, which reads .cargo/config.toml"));
    assert!(path.exists(), "{} is missing: run scripts/setup, or set {variable}", path.display());
    path
}

/// The tests' Python, with what tests/requirements.txt lists.
pub fn python() -> PathBuf {
    tool("SIDEMINT_TEST_PYTHON")
}

/// Runs a program to its end.
pub fn outcome(command: Command) -> process::Ended {
    Process::spawn(command).end(PATIENCE)
}
