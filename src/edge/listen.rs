//! Sockets.

#[cfg(target_os = "linux")]
mod unix;
#[cfg(not(target_os = "linux"))]
#[path = "listen/unix_elsewhere.rs"]
mod unix;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::io::Io;
use super::tls::{Identities, Identity};
use crate::config::{Listen, UnixSocket};
use crate::model::Peer;
pub use unix::SocketFile;

/// A socket that listens; nobody is let in yet.
pub struct Listener {
    socket: Socket,
    place: Listen,
    terms: Terms,
}

/// What holds for all sockets of one place.
#[derive(Clone)]
struct Terms {
    /// Whether several sockets have one TCP address.
    shared: bool,
    tls: Option<Identities>,
    /// Of a unix socket: users that are let in; none: all.
    peer_uids: Arc<[u32]>,
}

/// A listener in an event loop.
pub struct Door {
    socket: Acceptor,
    place: Listen,
    terms: Terms,
}

enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Somebody at the door.
pub(super) enum Arrival {
    /// They may speak.
    Guest(Io, Peer),
    /// They have to show who they are first.
    Stranger(TcpStream, Peer, Arc<Identity>),
    /// They are none of those who may come.
    Unwelcome(Peer),
}

/// After a failed `accept`, mostly for want of file descriptors: trying again at once would burn a core.
const BREATH: Duration = Duration::from_millis(50);
const BACKLOG: i32 = 1024;

impl Listener {
    /// Binds a TCP address. Several listeners may share it (one per event loop), if all say so.
    ///
    /// # Errors
    /// With the address in the message.
    pub fn bind(address: SocketAddr, shared: bool, tls: Option<Identities>) -> Result<Listener, String> {
        let terms = Terms { shared, tls, peer_uids: Arc::default() };
        Listener::bind_with(address, terms).map_err(|error| format!("cannot listen on {address}: {error}"))
    }

    fn bind_with(address: SocketAddr, terms: Terms) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if terms.shared {
            socket.set_reuse_port(true)?;
        }
        stay_near(&socket, address)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let bound = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Listener { socket, place: Listen::Tcp(bound), terms })
    }

    /// Binds a path of the file system. The socket's file has to be kept as long as somebody should find it.
    ///
    /// # Errors
    /// With the path in the message.
    pub fn bind_unix(path: &Path, asked: &UnixSocket) -> Result<(Listener, SocketFile), String> {
        let bound = || -> Result<(Listener, SocketFile), String> {
            let (socket, file) = unix::bind(path, asked)?;
            socket.set_nonblocking(true).and_then(|()| socket.listen(BACKLOG)).map_err(|error| error.to_string())?;
            let peer_uids = asked.peer_uids.as_slice().into();
            let terms = Terms { shared: false, tls: None, peer_uids };
            Ok((Listener { socket, place: Listen::Unix(path.to_owned()), terms }, file))
        };
        bound().map_err(|problem| format!("cannot listen on unix:{}: {problem}", path.display()))
    }

    /// The same for one more event loop. A TCP address is bound again, so that the kernel spreads its connections; a
    /// path is bound once only, and loops take turns at the one socket.
    ///
    /// # Errors
    /// With the place in the message.
    pub fn another(&self) -> Result<Listener, String> {
        let (place, terms) = (self.place.clone(), self.terms.clone());
        let another = match &place {
            Listen::Tcp(address) => Listener::bind_with(*address, terms),
            Listen::Unix(_) => self.socket.try_clone().map(|socket| Listener { socket, place, terms }),
        };
        another.map_err(|error| format!("cannot listen on {}: {error}", self.place))
    }

    /// Where it is bound; the real port if 0 was asked for.
    pub fn place(&self) -> &Listen {
        &self.place
    }

    /// Puts it into the event loop of the caller.
    ///
    /// # Errors
    /// With the place in the message.
    pub fn open(self) -> Result<Door, String> {
        let Listener { socket, place, terms } = self;
        let opened = match &place {
            Listen::Tcp(_) => TcpListener::from_std(socket.into()).map(Acceptor::Tcp),
            Listen::Unix(_) => UnixListener::from_std(socket.into()).map(Acceptor::Unix),
        };
        match opened {
            Ok(socket) => Ok(Door { socket, place, terms }),
            Err(error) => Err(format!("cannot listen on {place}: {error}")),
        }
    }
}

impl Door {
    /// The next one.
    pub(super) async fn next(&self) -> Arrival {
        loop {
            match self.accept().await {
                Ok(Some(arrival)) => return arrival,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, place = %self.place, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// None: they have gone again.
    async fn accept(&self) -> io::Result<Option<Arrival>> {
        match &self.socket {
            Acceptor::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Replies are small and whole: waiting for more to send would only delay them.
                if stream.set_nodelay(true).is_err() {
                    return Ok(None);
                }
                let peer = Peer::at(address.ip());
                let Some(identities) = &self.terms.tls else { return Ok(Some(Arrival::Guest(Io::Tcp(stream), peer))) };
                Ok(identities().map(|identity| Arrival::Stranger(stream, peer, identity)))
            }
            Acceptor::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                // By the kernel's word, at the time of the connect. Users of other user namespaces all read as 65534.
                let Ok(credentials) = stream.peer_cred() else { return Ok(None) };
                let (uid, allowed) = (credentials.uid(), &self.terms.peer_uids);
                let peer = Peer::user(uid);
                let is_welcome = allowed.is_empty() || allowed.contains(&uid);
                Ok(Some(if is_welcome { Arrival::Guest(Io::Unix(stream), peer) } else { Arrival::Unwelcome(peer) }))
            }
        }
    }
}

/// Replies of a loopback listener go no further than one hop: a host that routes others to its loopback
/// (CVE-2020-8558) would otherwise carry them on. Connections have it from the listener.
fn stay_near(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(address) if address.ip().is_loopback() => socket.set_ttl_v4(1),
        SocketAddr::V6(address) if address.ip().is_loopback() => socket.set_unicast_hops_v6(1),
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn asked(peer_uids: Vec<u32>) -> UnixSocket {
        UnixSocket { mode: 0o600, owner: None, group: None, peer_uids }
    }

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// The first listener is in no loop, so that whoever comes is taken by the other.
    #[tokio::test]
    async fn t6_every_loop_takes_connections_of_the_one_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (first, _file) = Listener::bind_unix(&path, &asked(Vec::new())).unwrap();
        let door = first.another().unwrap().open().unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        assert!(matches!(door.next().await, Arrival::Guest(Io::Unix(_), peer) if peer == Peer::user(me())));
    }

    #[tokio::test]
    async fn t6_users_who_are_not_named_are_unwelcome() {
        let folder = tempfile::tempdir().unwrap();
        for (peer_uids, is_welcome) in
            [(vec![], true), (vec![me()], true), (vec![me() + 1, me()], true), (vec![me() + 1], false)]
        {
            let path = folder.path().join("s");
            let (listener, _file) = Listener::bind_unix(&path, &asked(peer_uids.clone())).unwrap();
            let doors = [listener.another().unwrap().open().unwrap(), listener.open().unwrap()];
            for door in doors {
                let _client = UnixStream::connect(&path).unwrap();
                assert_eq!(matches!(door.next().await, Arrival::Guest(..)), is_welcome, "{peer_uids:?}");
            }
        }
    }

    #[tokio::test]
    async fn t3_replies_of_loopback_go_one_hop() {
        for (address, is_near) in [("127.0.0.1:0", true), ("0.0.0.0:0", false)] {
            let listener = Listener::bind(address.parse().unwrap(), false, None).unwrap();
            let _client = std::net::TcpStream::connect(("127.0.0.1", listener.place().tcp().unwrap().port())).unwrap();
            listener.socket.set_nonblocking(false).unwrap();
            let (connection, _) = listener.socket.accept().unwrap();
            assert_eq!(connection.ttl_v4().unwrap() == 1, is_near, "{address}");
        }
    }

    #[tokio::test]
    async fn a_shared_address_is_bound_again_and_another_one_is_not() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let shared = Listener::bind(any, true, None).unwrap();
        assert_eq!(shared.another().unwrap().place(), shared.place());
        let alone = Listener::bind(any, false, None).unwrap();
        assert!(alone.another().err().unwrap().starts_with(&format!("cannot listen on {}", alone.place())));
    }
}
