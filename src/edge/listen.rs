//! Sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// After a failed `accept`, mostly for want of file descriptors: trying again at once would burn a core.
const BREATH: Duration = Duration::from_millis(50);
const BACKLOG: i32 = 1024;

impl Listener {
    /// Binds. Several listeners may share one address (one per event loop), if all say so.
    ///
    /// # Errors
    /// With the address in the message.
    pub fn bind(address: SocketAddr, shared: bool) -> Result<Listener, String> {
        let bound = || -> io::Result<Listener> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            if shared {
                socket.set_reuse_port(true)?;
            }
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let socket = TcpListener::from_std(socket.into())?;
            let address = socket.local_addr()?;
            Ok(Listener { socket, address })
        };
        bound().map_err(|error| format!("cannot listen on {address}: {error}"))
    }

    /// Where it is bound; the real port if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    // Replies are small and whole: waiting for more to send would only delay them.
                    if stream.set_nodelay(true).is_ok() {
                        return (stream, peer);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

/// Lets the process have as many open files as the system allows it: each connection is one.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        tracing::debug!("the limit of open files stays as it is");
    }
}
