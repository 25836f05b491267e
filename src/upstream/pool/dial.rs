//! New connections.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tower_service::Service;

use super::Pool;
use super::seat::{Sender, Shared, Stream};
use crate::upstream::connect::Connection;

/// What is read of a connection at once, and the bound of a response's head. hyper's buffers grow with the
/// body otherwise, and stay so.
const READ: usize = 64 << 10;
/// What one HTTP/2 stream may have on its way to us: enough for 50 Mbit/s at 10 ms.
const STREAM_WINDOW: u32 = 64 << 10;
/// Streams of one connection, if the target takes as many; there may be several connections.
const STREAMS: usize = 100;
/// So that callers who read slowly, each with a full window, do not keep the others from theirs. A bound of memory.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;
/// For a connection that nobody wants any more to be closed properly.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often a busy HTTP/2 connection is asked whether it lives, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
const PONG: Duration = Duration::from_secs(10);

/// Why there is no connection.
pub(super) enum NoConnection {
    /// On the way: name, TCP, proxy or TLS.
    Road(Box<dyn std::error::Error + Send + Sync>),
    /// In the first words of HTTP.
    Http(hyper::Error),
}

/// A new connection, of either kind.
pub(super) enum Fresh {
    Http1(Sender),
    /// To be shared, with a stream of it for the one who dialled.
    Http2(Shared, Stream),
}

/// Opens a connection.
pub(super) async fn dial(pool: &Pool, only_http1: bool) -> Result<Fresh, NoConnection> {
    let mut connector = pool.connectors[usize::from(!only_http1)].clone();
    let connection = connector.call(pool.origin.clone()).await.map_err(NoConnection::Road)?;
    if connection.connected().is_negotiated_h2() {
        http2(pool, connection).await.map_err(NoConnection::Http)
    } else {
        http1(pool, connection).await.map_err(NoConnection::Http)
    }
}

async fn http1(pool: &Pool, connection: Connection) -> hyper::Result<Fresh> {
    let (sender, connection) = http1::Builder::new().max_buf_size(READ).handshake(connection).await?;
    let (sender, gone) = Sender::new(sender);
    pool.tasks.background(async move {
        let mut connection = pin!(connection.with_upgrades());
        // Those who use it are told how it ended. Of a target that does not read, it would never end by itself.
        tokio::select! {
            biased;
            _ = connection.as_mut() => {}
            _ = gone => drop(timeout(LAST_WORDS, connection).await),
        }
    });
    Ok(Fresh::Http1(sender))
}

async fn http2(pool: &Pool, connection: Connection) -> hyper::Result<Fresh> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(STREAMS)
        .max_header_list_size(READ as u32)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .handshake(connection)
        .await?;
    let most = Arc::new(AtomicUsize::new(STREAMS));
    let said = Arc::clone(&most);
    pool.tasks.background(async move {
        let mut connection = pin!(connection);
        poll_fn(|context| {
            let poll = connection.as_mut().poll(context);
            said.store(connection.current_max_send_streams().min(STREAMS), Ordering::Relaxed);
            poll.map(drop)
        })
        .await;
    });
    let (shared, stream) = Shared::new(sender, most);
    Ok(Fresh::Http2(shared, stream))
}
