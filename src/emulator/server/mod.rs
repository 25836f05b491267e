//! The listeners: connections in, requests through faults and handlers, replies out.

mod body;
mod exchange;
mod levers;
mod line;
mod spoken;
mod upload;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::{State, app};
pub(super) use body::ReplyBody;
pub(super) use exchange::response;
use levers::Gauge;
pub(super) use levers::{Leaving, Levers, Raw};
use line::Line;
use spoken::Spoken;
pub(super) use upload::Upload;

/// The name of HTTP/2 over TLS in ALPN (RFC 9113 section 3.2).
pub(super) const H2: &[u8] = b"h2";

/// As much as HTTP/1.1 takes here: it is the client that is under test, not this limit.
const MAX_HEAD: u32 = 400 << 10;

/// Whose listener it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The workspace, and the emulator's own endpoints.
    Vendor,
    /// The Databricks App, which has a host of its own.
    App,
}

/// What goes on at the listeners.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    accepted: AtomicU64,
    app_connections: Gauge,
    app_requests: Gauge,
    goodbye: watch::Sender<()>,
}

impl Traffic {
    /// Connections to the app and requests on them that are under way.
    pub fn of_app(&self) -> (u64, u64) {
        (self.app_connections.now(), self.app_requests.now())
    }

    /// Ends all connections in good order, as soon as the requests on them are answered.
    pub fn say_goodbye(&self) {
        self.goodbye.send_replace(());
    }
}

/// Accepts for ever. The connections end with this future.
pub(super) async fn accept(door: Door, listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(door, stream, tls.clone(), Arc::clone(&state))); }
                // Out of file descriptors, usually: a pause keeps the loop from spinning until some are free.
                Err(_) => sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(door: Door, stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let levers = Arc::new(Levers::new(state.traffic.accepted.fetch_add(1, Ordering::Relaxed) + 1));
    let open = (door == Door::App).then(|| state.traffic.app_connections.enter());
    let stream = Line::new(stream, Arc::clone(&levers));
    match tls {
        None => serve(door, stream, false, &state, levers).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                serve(door, stream, is_http2, &state, levers).await;
            }
        }
    }
    drop(open);
}

async fn serve<S>(door: Door, stream: S, is_http2: bool, state: &Arc<State>, levers: Arc<Levers>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (state, levers) = (Arc::clone(state), Arc::clone(&levers));
        async move {
            match door {
                Door::Vendor => exchange::with_vendor(&state, &levers, request).await,
                Door::App => exchange::with_app(&state, &levers, request).await,
            }
        }
    });
    let stream = TokioIo::new(Spoken::new(stream, Arc::clone(&levers)));
    let goodbye = state.traffic.goodbye.subscribe();
    // An error here is a client that went away, or a connection that a fault has cut.
    if is_http2 {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new()).max_header_list_size(MAX_HEAD);
        let connection = http.serve_connection(stream, service);
        let _ = until_goodbye(connection, goodbye, http2::Connection::graceful_shutdown).await;
        return;
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    let connection = http.serve_connection(stream, service).with_upgrades();
    let _ = until_goodbye(connection, goodbye, http1::UpgradeableConnection::graceful_shutdown).await;
    if let Some(Leaving { upgrade, manners }) = levers.take_leaving()
        && let Ok(stream) = upgrade.await
    {
        // Ends when either side does.
        let _ = app::websocket::converse(TokioIo::new(stream), &manners).await;
    }
}

async fn until_goodbye<C: Future>(connection: C, mut goodbye: watch::Receiver<()>, end: fn(Pin<&mut C>)) -> C::Output {
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            Ok(()) = goodbye.changed() => end(connection.as_mut()),
        }
    }
}
