//! The file of a unix socket: made without a moment in which it is open wider than asked, never in the place of
//! anything but a dead socket of ours, and taken away at the end.
//!
//! Callers may be able to write to its folder, as with the `emptyDir` that containers of one pod share. So nothing in
//! it is followed, and nothing is changed or removed by its name without a look at what it is.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, chmod, chownat, fchmod, fstat, lstat, open, unlink};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::UnixSocket;

/// The file of a bound socket. It goes with this, if it is still the same one.
pub struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

/// Binds a socket to a path. Nobody can connect before it listens.
///
/// # Errors
/// What is in the way, or what the system says.
pub(super) fn bind(path: &Path, asked: &UnixSocket) -> Result<(Socket, SocketFile), String> {
    make_room(path, asked)?;
    let said = |error: io::Error| error.to_string();
    let socket = bind_closed(path).map_err(said)?;
    let handle = handle_of(path).map_err(said)?;
    let found = fstat(&handle).map_err(|error| error.to_string())?;
    if !is_socket(&found) || found.st_uid != geteuid().as_raw() {
        return Err("another file was put in its place".to_owned());
    }
    let file = SocketFile { path: path.to_owned(), identity: identity(&found) };
    open_up(&handle, asked)
        .map_err(|error| format!("its mode, owner and group cannot be set (server.unix_socket): {error}"))?;
    Ok((socket, file))
}

/// Takes a dead socket of ours away; anything else stays as it is.
fn make_room(path: &Path, asked: &UnixSocket) -> Result<(), String> {
    let found = match lstat(path) {
        Ok(found) => found,
        Err(Errno::NOENT) if path.parent().is_some_and(Path::is_dir) => return Ok(()),
        Err(Errno::NOENT) => return Err("its folder is not there".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Socket => {}
        FileType::Symlink => return Err("there is a symbolic link, and none is followed".to_owned()),
        FileType::Directory => return Err("there is a folder".to_owned()),
        _ => return Err("there is a file that is no socket".to_owned()),
    }
    // A process that was killed left its socket in the hands of the owner that it was told.
    if found.st_uid != geteuid().as_raw() && asked.owner != Some(found.st_uid) {
        return Err(format!("there is a socket of another user (uid {})", found.st_uid));
    }
    let mut answer = knock(path);
    if answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        // A process that was killed may have left it closed, or closed to us: it is ours to open.
        answer = unlock(path, identity(&found)).and_then(|()| knock(path));
    }
    match answer {
        Ok(()) => Err("it is in use: somebody answers there".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => remove(path, identity(&found)),
        Err(error) => Err(format!("it may be in use: {error}")),
    }
}

/// Whether somebody listens. A full queue is not waited for.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// Lets us write to a file that is still the one that was looked at.
fn unlock(path: &Path, then: Identity) -> io::Result<()> {
    let handle = handle_of(path)?;
    if identity(&fstat(&handle)?) != then {
        return Err(io::Error::other("another file was put in its place"));
    }
    chmod_by(&handle, Mode::RUSR | Mode::WUSR)
}

/// Binds, with a file that nobody may open. Linux gives the file the mode that the socket itself has, less the umask;
/// which is left as it is, since it is one for the whole process and other threads make files, too.
fn bind_closed(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    fchmod(&socket, Mode::empty())?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// A handle of the very file: a name can be put on another one between two calls.
fn handle_of(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Gives the file its mode, owner and group. Who gives a file away may not change it any more, and nobody can connect yet.
fn open_up(handle: &OwnedFd, asked: &UnixSocket) -> io::Result<()> {
    chmod_by(handle, Mode::from_raw_mode(asked.mode))?;
    let (owner, group) = (asked.owner.map(Uid::from_raw), asked.group.map(Gid::from_raw));
    if owner.is_some() || group.is_some() {
        chownat(handle, "", owner, group, AtFlags::EMPTY_PATH)?;
    }
    Ok(())
}

/// A handle that only names a file is changed in this way alone (open(2), O_PATH).
fn chmod_by(handle: &OwnedFd, mode: Mode) -> io::Result<()> {
    Ok(chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), mode)?)
}

fn is_socket(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Socket
}

fn identity(found: &Stat) -> Identity {
    (found.st_dev, found.st_ino)
}

/// Removes a file that is still the one that was looked at.
fn remove(path: &Path, then: Identity) -> Result<(), String> {
    match lstat(path) {
        Ok(found) if identity(&found) == then => unlink(path).map_err(|error| error.to_string()),
        Ok(_) => Err("another file was put in its place".to_owned()),
        Err(_) => Ok(()),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(problem) = remove(&self.path, self.identity) {
            tracing::warn!(path = %self.path.display(), problem, "the file of the socket is left as it is");
        }
    }
}

#[cfg(test)]
mod tests;
