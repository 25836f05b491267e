//! T6: the file of a unix socket, and what is in its way.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, geteuid};

use crate::support::process::Ended;
use crate::support::sidecar::TOKEN;
use crate::support::{PATIENCE, Process, Vendor, run};
use crate::unix_socket::{Socketed, files};

/// The one line that is no log line.
fn sentence(ended: &Ended) -> &str {
    let mut lines = ended.err.lines().filter(|line| line.starts_with("sidemint: "));
    let line = lines.next().unwrap_or_else(|| panic!("nothing was said: {ended:?}"));
    assert_eq!(lines.next(), None, "one sentence: {ended:?}");
    line
}

/// All that one can see of a file without opening it.
fn look(path: &Path) -> (u64, u32, u32, i64, i64) {
    let it = std::fs::symlink_metadata(path).expect("it is there");
    (it.ino(), it.mode(), it.uid(), it.mtime(), it.ctime_nsec())
}

fn bits(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

/// What the shell says about new files has no say in this one.
#[test]
fn t6_mode_and_group_are_as_asked_under_any_umask() {
    let vendor = Vendor::start();
    for umask in ["0000", "0022", "0777"] {
        for mode in ["0660", "0600", "0666"] {
            let group = if geteuid().is_root() { 4_321 } else { rustix::process::getegid().as_raw() };
            let (files, path) = files(&vendor, &format!("unix_socket: {{mode: \"{mode}\", group: {group}}}"));
            let mut command = Command::new("sh");
            let line = format!("umask {umask}; exec \"$0\" run --config \"$1\"");
            command.args(["-c", &line, env!("CARGO_BIN_EXE_sidemint"), &files.config()]).env_clear();
            let process = Process::spawn(command);
            process.err.says("sidemint runs");
            let made = std::fs::symlink_metadata(&path).expect("it is there");
            assert!(made.file_type().is_socket());
            assert_eq!(format!("{:04o}", bits(&path)), mode, "umask {umask}");
            assert_eq!((made.uid(), made.gid()), (geteuid().as_raw(), group), "umask {umask}");
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it lives");
            assert!(status.contains(&format!("Umask:\t{umask}")), "{status}");
        }
    }
}

/// As a container's user that is not root; and `/proc` of a process that keeps its memory private is root's.
#[test]
fn t6_another_user_than_root_makes_the_same_file() {
    use std::os::unix::process::CommandExt;
    let vendor = Vendor::start();
    let (files, path) = files(&vendor, "unix_socket: {mode: \"0640\"}");
    let binary = files.path("sidemint");
    crate::support::copy_program(&binary);
    for (name, mode) in [("", 0o777), ("sidemint", 0o755), ("secret", 0o644)] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(files.path(name), mode).expect("our own file");
    }
    let mut command = Command::new(binary);
    command.args(["run", "--config", &files.config()]).env_clear();
    let user = if geteuid().is_root() { 65_534 } else { geteuid().as_raw() };
    if geteuid().is_root() {
        command.uid(user).gid(user);
    }
    let process = Process::spawn(command);
    process.err.says("sidemint runs");
    assert_eq!((bits(&path), look(&path).2), (0o640, user));
    process.signal(Signal::TERM);
    assert_eq!(process.end(PATIENCE).code, Some(0));
    assert!(!path.exists());
}

#[test]
fn t6_whatever_is_in_the_way_is_left_alone_and_named() {
    let vendor = Vendor::start();
    let (files, path) = files(&vendor, "");
    let (file, alive) = (files.path("precious"), files.path("alive"));
    std::fs::write(&file, "mine").expect("a file can be written");
    let _alive = UnixListener::bind(&alive).expect("a path is free");
    let ways: [(&str, &dyn Fn()); 6] = [
        ("symbolic link", &|| symlink(&file, &path).expect("a link can be made")),
        ("symbolic link", &|| symlink(&alive, &path).expect("a link can be made")),
        ("symbolic link", &|| symlink("/nowhere/x", &path).expect("a link can be made")),
        ("no socket", &|| std::fs::write(&path, "mine").expect("a file can be written")),
        ("a folder", &|| std::fs::create_dir(&path).expect("a folder can be made")),
        ("in use", &|| std::fs::hard_link(&alive, &path).expect("a socket can have two names")),
    ];
    for (says, put) in ways {
        put();
        let before = [&path, &file, &alive].map(|path| look(path));
        let ended = run(&["run", "--config", &files.config()], []);
        assert_eq!(ended.code, Some(1), "{says}: {ended:?}");
        let said = sentence(&ended);
        assert!(said.contains(says) && said.contains(&format!("unix:{}", path.display())), "{says}: {said}");
        assert_eq!([&path, &file, &alive].map(|path| look(path)), before, "{says}");
        if path.is_dir() { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) }.expect("it is there yet");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "mine");
    assert_eq!(vendor.asked(), 0);
}

#[test]
fn t6_a_path_that_is_none_is_a_mistake_in_the_config() {
    let vendor = Vendor::start();
    let long = format!("/{}", "x".repeat(107));
    for (path, says) in
        [("api.sock", "not absolute"), ("@sidemint", "abstract"), (&long, "over 107 bytes"), ("/run/", "a folder")]
    {
        let (files, own) = files(&vendor, "");
        let text = std::fs::read_to_string(files.config()).expect("it was written");
        files.write("config.yaml", &text.replace(&own.display().to_string(), path));
        let ended = run(&["run", "--config", &files.config()], []);
        assert_eq!(ended.code, Some(2), "{path}: {ended:?}");
        let said = sentence(&ended);
        assert!(said.contains(says) && said.contains("line 1 column 9: server.listen: "), "{path}: {said}");
    }
    let (files, path) = files(&vendor, "");
    let text = std::fs::read_to_string(files.config()).expect("it was written");
    files.write("config.yaml", &text.replace("api.sock", "nowhere/api.sock"));
    let ended = run(&["run", "--config", &files.config()], []);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(sentence(&ended).contains("its folder is not there"), "{ended:?}");
    assert!(!path.exists());
}

/// Only root can put one there.
#[test]
fn t6_a_socket_of_another_user_is_left_alone() {
    let vendor = Vendor::start();
    let (files, path) = files(&vendor, "");
    drop(UnixListener::bind(&path).expect("a path is free"));
    if !geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(&path, Some(12_345), None).expect("root may");
    let before = look(&path);
    let ended = run(&["run", "--config", &files.config()], []);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(sentence(&ended).contains("another user (uid 12345)"), "{ended:?}");
    assert_eq!(look(&path), before);
}

/// A process that was killed leaves its socket behind; one that lives keeps it.
#[test]
fn t6_a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let vendor = Vendor::start();
    let first = Socketed::start(&vendor, "");
    let config = first.files.config();
    let before = look(&first.path);
    let second = run(&["run", "--config", &config], []);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(sentence(&second).contains("in use"), "{second:?}");
    assert_eq!((look(&first.path), first.renew("u-1").status), (before, 200));
    let Socketed { process, path, files } = first;
    process.signal(Signal::KILL);
    assert_eq!(process.end(PATIENCE).code, None);
    assert!(path.exists(), "nobody took it away");
    let process = Process::start(&["run", "--config", &config], []);
    process.err.says("sidemint runs");
    let third = Socketed { process, path, files };
    assert_eq!(third.renew("u-1").status, 200);
}

/// Neither a reload nor the end touches more than is its own.
#[test]
fn t6_a_reload_leaves_the_socket_and_the_end_takes_it_if_it_is_still_ours() {
    let vendor = Vendor::start();
    let sidecar = Socketed::start(&vendor, "");
    let before = look(&sidecar.path);
    let text = std::fs::read_to_string(sidecar.files.config()).expect("it was written");
    let other = text.replacen("api.sock\"", "other.sock\", unix_socket: {mode: \"0666\"}, max_body: 1KiB", 1);
    sidecar.files.write("config.yaml", &other);
    sidecar.process.signal(Signal::HUP);
    sidecar.process.err.says("the new config is in place");
    for key in ["server.listen", "server.unix_socket"] {
        sidecar.process.err.says(&format!("\"key\":\"{key}\""));
    }
    assert_eq!(look(&sidecar.path), before);
    assert!(sidecar.get(TOKEN).is_some(), "it answers where it did");
    // Whoever may write to the folder may do this.
    std::fs::remove_file(&sidecar.path).expect("it is there");
    std::fs::write(&sidecar.path, "another's").expect("a file can be written");
    sidecar.process.signal(Signal::TERM);
    assert_eq!(sidecar.process.end(PATIENCE).code, Some(0));
    assert_eq!(std::fs::read_to_string(&sidecar.path).expect("it is there"), "another's");
}
