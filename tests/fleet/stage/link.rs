//! The network between one sidecar and the store, and all that can happen to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    /// Everything comes later by this, in both directions.
    Slow(Duration),
    /// Nothing passes and nothing is closed. What was said meanwhile arrives when it is open again.
    Silent,
    /// Answers do not arrive until it is open again; questions do.
    Mute,
    /// Connections are reset, and so are new ones.
    Broken,
    /// Each connection is reset in the middle of an answer.
    Torn,
}

#[derive(Clone, Copy)]
struct State {
    way: Way,
    target: SocketAddr,
    /// Connections of an earlier one are reset.
    era: u64,
}

/// One link.
pub struct Link {
    /// Where to connect instead.
    pub address: SocketAddr,
    state: watch::Sender<State>,
}

impl Link {
    /// To this address, and open.
    pub fn to(target: SocketAddr) -> Link {
        let (state, seen) = watch::channel(State { way: Way::Open, target, era: 0 });
        let listener = runtime().block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let accept = async move {
            let mut link = seen.clone();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => drop(runtime().spawn(carry(client, seen.clone()))),
                    _ = link.wait_for(|_| false) => return,
                }
            }
        };
        runtime().spawn(accept);
        Link { address, state }
    }

    /// From now on it goes so.
    pub fn set(&self, way: Way) {
        self.state.send_modify(|state| {
            state.way = way;
            state.era += u64::from(way == Way::Broken);
        });
    }

    /// Leads somewhere else: what is open is reset.
    pub fn lead(&self, target: SocketAddr) {
        self.state.send_modify(|state| {
            state.target = target;
            state.era += 1;
        });
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
    })
}

/// One connection, to its end.
async fn carry(mut client: TcpStream, mut state: watch::Receiver<State>) {
    // On a reset link this is what resets; and after a connection's own end it does no harm.
    let _ = SockRef::from(&client).set_linger(Some(Duration::ZERO));
    let _ = client.set_nodelay(true);
    let Ok(State { way, target, era }) = state.wait_for(|state| state.way != Way::Silent).await.map(|state| *state)
    else {
        return;
    };
    if way == Way::Broken {
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let other = state.clone();
    tokio::select! {
        () = pump(from_client, to_server, state, era, false) => {}
        () = pump(from_server, to_client, other, era, true) => {}
    }
}

/// One direction of it. Returns when the connection has to end.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut state: watch::Receiver<State>,
    era: u64,
    answers: bool,
) {
    let mut buffer = vec![0; 16 << 10];
    let mut over = state.clone();
    let work = async {
        loop {
            let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
            let holds = |state: &State| state.way != Way::Silent && !(answers && state.way == Way::Mute);
            let Ok(way) = state.wait_for(holds).await.map(|state| state.way) else { return };
            let mut bytes = buffer.get(..length).unwrap_or_default();
            match way {
                Way::Slow(time) => tokio::time::sleep(time).await,
                Way::Torn if answers => bytes = bytes.get(..length.div_ceil(2)).unwrap_or_default(),
                _ => {}
            }
            if to.write_all(bytes).await.is_err() || bytes.len() < length {
                return;
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = over.wait_for(|state| state.era != era) => {}
    }
}
