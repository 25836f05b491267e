//! A process that holds a broad secret keeps its memory to itself.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, geteuid};

use crate::support::config::Files;
use crate::support::sidecar::addresses;
use crate::support::{Process, Settings, Sidecar, Vendor};

/// Whoever starts it: its core limit is 0, and the kernel takes its `/proc` entries away from its own user, which it
/// does for processes that must not be dumped or traced.
#[test]
fn core_dumps_are_off_and_nobody_may_look_inside() {
    let vendor = Vendor::start();
    let files = Files::new(&vendor, &Settings::default());
    let process = if geteuid().is_root() { as_nobody(&files) } else { as_me(&files) };
    addresses(&process);
    let proc = |name: &str| format!("/proc/{}/{name}", process.id());
    let limits = std::fs::read_to_string(proc("limits")).expect("limits are public");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("there is such a limit");
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "soft and hard");
    let owner = |name: &str| std::fs::metadata(proc(name)).expect("it lives").uid();
    let user = std::fs::metadata(format!("/proc/{}", process.id())).expect("it lives").uid();
    assert_eq!([owner("mem"), owner("environ")], [0, 0], "a dumpable process owns its own memory (as {user})");
    process.signal(Signal::ABORT);
}

fn as_me(files: &Files) -> Process {
    Process::start(&["run", "--config", &files.config()], [])
}

/// Root owns everything anyway, so the sidecar runs as somebody else, from a place that all can read.
fn as_nobody(files: &Files) -> Process {
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our own file");
    };
    let binary = files.path("sidemint");
    std::fs::copy(env!("CARGO_BIN_EXE_sidemint"), &binary).expect("the binary can be copied");
    open(&files.path(""), 0o755);
    open(&binary, 0o755);
    open(&files.path("secret"), 0o644);
    let mut command = Command::new(binary);
    command.args(["run", "--config", &files.config()]).env_clear().uid(65_534).gid(65_534);
    Process::spawn(command)
}

#[test]
fn a_secret_in_a_file_is_in_no_argument_and_no_variable() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    assert_eq!(sidecar.renew("u-canary").status, 200);
    let secret = vendor.databricks().client_secret.clone();
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{name}", sidecar.process.id())).expect("it lives");
        assert!(!String::from_utf8_lossy(&bytes).contains(&secret), "{name}");
    }
}
