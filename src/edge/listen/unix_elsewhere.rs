//! Where this is developed, not run: the file of a unix socket can be made safely on Linux only.

use std::path::Path;

use socket2::Socket;

use crate::config::UnixSocket;

/// There is none.
pub struct SocketFile;

/// # Errors
/// Always.
pub(super) fn bind(_: &Path, _: &UnixSocket) -> Result<(Socket, SocketFile), String> {
    Err("unix sockets are served on Linux only".to_owned())
}
