//! Threat 35: a process that holds a broad secret keeps its memory to itself.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, geteuid};

use crate::support::config::Files;
use crate::support::sidecar::addresses;
use crate::support::{PATIENCE, Process, Settings, Sidecar, Vendor, outcome, secrecy};

/// Whoever starts it, and with whatever limit: its own is 0, and the kernel takes its `/proc` entries away from its own
/// user, which it does for processes that must not be dumped or traced.
#[test]
fn t35_an_abort_leaves_no_core_and_nobody_may_look_inside() {
    let vendor = Vendor::start();
    let files = Files::new(&vendor, &Settings::default());
    let process = if geteuid().is_root() { as_nobody(&files) } else { as_me(&files) };
    addresses(&process);
    let proc = |name: &str| format!("/proc/{}/{name}", process.id());
    assert_eq!(core_limits(&process), ["0", "0"], "soft and hard");
    let owner = |name: &str| std::fs::metadata(proc(name)).expect("it lives").uid();
    let user = std::fs::metadata(format!("/proc/{}", process.id())).expect("it lives").uid();
    assert_eq!([owner("mem"), owner("environ")], [0, 0], "a dumpable process owns its own memory (as {user})");
    for name in ["mem", "environ", "fd", "maps"] {
        assert!(!can_read(&proc(name)), "{name} can be read by the process's own user");
    }
    let before = names(&files);
    process.signal(Signal::ABORT);
    assert_eq!(process.end(PATIENCE).code, None, "by the signal");
    assert_eq!(names(&files), before, "it left a file where it stood");
}

/// What is in the folder that the process stands in.
fn names(files: &Files) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(files.path("")).expect("our own folder");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("our own folder").file_name()).collect();
    names.sort();
    names
}

/// Whether another process of the same user can.
fn can_read(path: &str) -> bool {
    let mut command = Command::new("head");
    // `ls` of a file names it, `head` of a folder fails: each is tried with both.
    command.args(["-c1", path]);
    let mut listed = Command::new("ls");
    listed.arg(format!("{path}/"));
    [command, listed].into_iter().any(|mut command| {
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        outcome(command).code == Some(0)
    })
}

/// Uses the largest core that the machine allows.
const LARGEST: &str = "ulimit -c $(ulimit -H -c); exec \"$0\" \"$@\"";

const NOBODY: u32 = 65_534;

fn as_me(files: &Files) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", LARGEST, env!("CARGO_BIN_EXE_sidemint"), "run", "--config", &files.config()]);
    command.env_clear().current_dir(files.path(""));
    Process::spawn(command)
}

/// Root owns everything anyway, so the sidecar runs as somebody else, from a place that all can read.
fn as_nobody(files: &Files) -> Process {
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our own file");
    };
    let binary = files.path("sidemint");
    crate::support::copy_program(&binary);
    // A core would be written where the process stands.
    open(&files.path(""), 0o777);
    open(&binary, 0o755);
    open(&files.path("secret"), 0o644);
    let mut command = Command::new("sh");
    command.args(["-c", LARGEST]).arg(binary).args(["run", "--config", &files.config()]);
    command.env_clear().current_dir(files.path("")).uid(NOBODY).gid(NOBODY);
    Process::spawn(command)
}

#[test]
fn t35_what_must_not_be_seen_is_in_no_argument_and_no_variable() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    assert_eq!(sidecar.renew("u-canary").status, 200);
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{name}", sidecar.process.id())).expect("it lives");
        assert!(!bytes.is_empty() || name == "environ", "it can be read");
        secrecy::nothing_in(name, &bytes);
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
