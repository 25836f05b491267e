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
    assert_eq!(core_limits(&process), ["0", "0"], "soft and hard");
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

/// Every command that gets a token, not the sidecar alone. Each is looked at while it waits for somebody who never
/// answers.
#[test]
fn every_command_that_has_a_secret_keeps_its_memory_to_itself() {
    let vendor = Vendor::start();
    let files = Files::new(&vendor, &Settings::default());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    let text = std::fs::read_to_string(files.config()).expect("it was written");
    files.write("silent.yaml", &text.replace(&vendor.url(), &url));
    let config = files.path("silent.yaml").display().to_string();
    for arguments in
        [&["token", "sales", "--viewer-id", "u-1", "--url", &url][..], &["check", "--live", "--config", &config]]
    {
        let process = Process::start(arguments, []);
        let _connection = silent.accept().expect("it asks");
        assert_eq!(core_limits(&process), ["0", "0"], "{arguments:?}");
    }
    let demo = Process::start(&["demo"], []);
    demo.out.says("The demo runs");
    assert_eq!(core_limits(&demo), ["0", "0"], "demo");
}

/// Soft and hard.
fn core_limits(process: &Process) -> Vec<String> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).expect("limits are public");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("there is such a limit");
    core.split_whitespace().take(2).map(str::to_owned).collect()
}
