//! Each thing that can be in the way, and what becomes of it.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

fn asked(mode: u32) -> UnixSocket {
    UnixSocket { mode, owner: None, group: None, peer_uids: Vec::new() }
}

fn refused(path: &Path) -> String {
    match bind(path, &asked(0o600)) {
        Ok(_) => panic!("{} was bound", path.display()),
        Err(problem) => problem,
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn t6_nobody_gets_in_before_the_file_is_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let socket = bind_closed(&path).unwrap();
    assert_eq!(mode(&path), 0, "as it is made");
    let connect = || UnixStream::connect(&path).map_err(|error| error.kind());
    assert_eq!(
        connect().unwrap_err(),
        if geteuid().is_root() { io::ErrorKind::ConnectionRefused } else { io::ErrorKind::PermissionDenied }
    );
    open_up(&handle_of(&path).unwrap(), &asked(0o642)).unwrap();
    assert_eq!(mode(&path), 0o642);
    assert_eq!(connect().unwrap_err(), io::ErrorKind::ConnectionRefused, "it does not listen yet");
    socket.listen(1).unwrap();
    connect().unwrap();
}

#[test]
fn t6_whatever_is_in_the_way_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "mine").unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    symlink(at("file"), at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    let alive = UnixListener::bind(at("alive")).unwrap();
    symlink(at("alive"), at("to-alive")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), Mode::from_raw_mode(0o600)).unwrap();
    let look = || {
        let names = ["file", "folder", "link", "dangling", "alive", "to-alive", "pipe"];
        names.map(|name| std::fs::symlink_metadata(at(name)).map(|it| (it.ino(), it.mode(), it.mtime_nsec())).unwrap())
    };
    let before = look();
    for (name, says) in [
        ("file", "no socket"),
        ("folder", "a folder"),
        ("link", "symbolic link"),
        ("dangling", "symbolic link"),
        ("to-alive", "symbolic link"),
        ("pipe", "no socket"),
        ("alive", "in use"),
        ("nowhere/s", "its folder is not there"),
        ("file/s", "Not a directory"),
    ] {
        let problem = refused(&at(name));
        assert!(problem.contains(says), "{name}: {problem}");
    }
    assert_eq!(look(), before);
    assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "mine");
    drop(alive);
}

/// A queue that is full is no sign of death, and is not waited for.
#[test]
fn t6_a_socket_that_is_too_busy_to_answer_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    busy.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    busy.listen(0).unwrap();
    let queued: Vec<UnixStream> = std::iter::from_fn(|| {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&SockAddr::unix(&path).unwrap()).ok().map(|()| socket.into())
    })
    .collect();
    assert!(!queued.is_empty());
    let problem = refused(&path);
    assert!(problem.contains("may be in use"), "{problem}");
    assert!(std::fs::symlink_metadata(&path).unwrap().file_type().is_socket());
}

#[test]
fn t6_a_dead_socket_of_ours_is_replaced_and_the_new_one_goes_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    let old = std::fs::symlink_metadata(&path).unwrap().ino();
    // What is held open keeps its number, so that the new one has another.
    let _held = handle_of(&path).unwrap();
    let (socket, file) = bind(&path, &asked(0o600)).unwrap();
    assert_ne!(std::fs::symlink_metadata(&path).unwrap().ino(), old);
    socket.listen(1).unwrap();
    assert!(refused(&path).contains("in use"));
    drop(file);
    assert!(!path.exists());
}

/// Root alone can make one.
#[test]
fn t6_a_socket_of_another_user_stays_unless_it_is_to_be_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    if !geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
    assert!(refused(&path).contains("another user (uid 12345)"));
    let theirs = UnixSocket { owner: Some(12_345), group: Some(54_321), ..asked(0o660) };
    let (_socket, _file) = bind(&path, &theirs).unwrap();
    let made = std::fs::symlink_metadata(&path).unwrap();
    assert_eq!((made.uid(), made.gid(), mode(&path)), (12_345, 54_321, 0o660));
}

#[test]
fn t6_the_end_takes_nothing_away_that_is_not_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let (_socket, file) = bind(&path, &asked(0o600)).unwrap();
    std::fs::rename(&path, folder.path().join("moved")).unwrap();
    std::fs::write(&path, "another's").unwrap();
    drop(file);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's");
}
