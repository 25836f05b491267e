//! Connections to one target that are kept for the next request: HTTP/1.1, or HTTP/2 where the target prefers
//! it. Requests and responses are streamed; nothing here knows of tokens or of what may pass.
//!
//! hyper-util's pool costs 9,000 instructions a request more than this one, a third of the whole request
//! (measured), and cannot tell a caller's fault from a target's.

mod body;
mod dial;
mod fault;
mod seat;

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::header::{CONNECTION, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use hyper::client::conn::http1;
use tokio::time::{Instant, timeout, timeout_at};

pub use body::{BodyError, Receiving, Sending, Stream, Upload};
use dial::{Fresh, NoConnection};
use seat::{Kind, Seat, Shared};

use super::connect::{self, Connector};
use crate::config::{BaseUrl, RouteTimeouts};
use crate::lifecycle::Tasks;
use crate::model::Fault;

/// Connections that are kept for want of work: more come and go with a burst.
const MOST_PARKED: usize = 128;
/// How long. Common servers close after 60 s or more; those that do sooner are noticed.
const PARKED_FOR: Duration = Duration::from_secs(55);

/// What the target speaks, as far as that is known.
const UNKNOWN: u8 = 0;
const HTTP1: u8 = 1;
const HTTP2: u8 = 2;

/// Connections to one target.
pub struct Pool {
    target: BaseUrl,
    origin: Uri,
    host: HeaderValue,
    timeouts: RouteTimeouts,
    /// For HTTP/1.1 alone, and for either.
    connectors: [Connector; 2],
    tasks: Tasks,
    parked: Mutex<Vec<Parked>>,
    shared: Mutex<Vec<Shared>>,
    speaks: AtomicU8,
    /// Held by the one who dials while others may share what comes of it. Nobody waits here whom a
    /// connection in hand could serve.
    dialing: tokio::sync::Mutex<()>,
}

struct Parked {
    sender: http1::SendRequest<Sending>,
    since: Instant,
}

/// A request for a target, without what the connection says of it, and without its body.
pub struct Outgoing<H> {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: PathAndQuery,
    /// Makes the headers, all but `Host`. Called again if the request has to be sent again.
    pub headers: H,
    /// Whether the connection is to become another protocol, which only HTTP/1.1 knows.
    pub upgrade: bool,
}

impl<H: Fn() -> HeaderMap> Outgoing<H> {
    fn with(&self, body: Sending) -> http::Request<Sending> {
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.path.clone());
        *request.headers_mut() = (self.headers)();
        request
    }
}

impl Pool {
    /// A pool without connections.
    ///
    /// # Errors
    /// One sentence on what is wrong with the roots of trust, or with the target's name.
    pub fn new(
        target: &BaseUrl,
        ca_file: Option<&Path>,
        timeouts: RouteTimeouts,
        tasks: Tasks,
    ) -> Result<Arc<Pool>, String> {
        let no_name = |error: &dyn std::fmt::Display| format!("{target}: {error}");
        let pool = Arc::new(Pool {
            origin: format!("{target}/").parse().map_err(|error: http::uri::InvalidUri| no_name(&error))?,
            host: HeaderValue::try_from(&target.authority).map_err(|error| no_name(&error))?,
            connectors: connect::connectors(target, ca_file, timeouts.connect)?,
            target: target.clone(),
            timeouts,
            parked: Mutex::default(),
            shared: Mutex::default(),
            speaks: AtomicU8::new(UNKNOWN),
            dialing: tokio::sync::Mutex::new(()),
            tasks: tasks.clone(),
        });
        tasks.chore(sweep(Arc::downgrade(&pool)));
        Ok(pool)
    }

    /// Sends a request and waits for the head of its response; the body comes as it is read.
    ///
    /// A request that met a connection which the target was just closing is sent again on another one, where
    /// that can do no harm.
    ///
    /// # Errors
    /// Why there is no response, or that the caller broke off.
    pub async fn send<H: Fn() -> HeaderMap>(
        self: &Arc<Self>,
        outgoing: &Outgoing<H>,
        body: Sending,
    ) -> Result<http::Response<Receiving>, Fault> {
        let (spare, upload) = match &body {
            Sending::Whole(body) => (Some(body.clone()), None),
            Sending::Streamed(_, upload) => (None, Some(Arc::clone(upload))),
        };
        let mut request = outgoing.with(body);
        loop {
            let mut seat = self.seat(outgoing.upgrade).await?;
            let mut error = match self.head(seat.send(request), upload.as_deref()).await? {
                Ok(response) => {
                    let idle = self.timeouts.idle;
                    return Ok(response.map(|body| Receiving::new(body, seat, upload, idle)));
                }
                Err(error) => error,
            };
            let again = match error.take_message() {
                None if outgoing.method.is_idempotent() => {
                    spare.clone().map(|body| outgoing.with(Sending::Whole(body)))
                }
                unsent => unsent,
            };
            request = match again {
                Some(request) if seat.used && fault::is_closing(error.error()) => request,
                _ => return Err(fault::no_response(&self.target, error.error(), upload.as_deref())),
            };
        }
    }

    /// Waits for the head of a response: so long from the end of the request, and while that is still coming,
    /// as long as it comes.
    async fn head<T>(&self, reply: impl Future<Output = T>, upload: Option<&Upload>) -> Result<T, Fault> {
        let begin = Instant::now();
        let mut reply = std::pin::pin!(reply);
        let deadline = || match upload.map_or((Some(begin), None), Upload::last) {
            (Some(ended), _) => (true, ended + self.timeouts.response_headers),
            (None, last) => (false, last.unwrap_or(begin) + self.timeouts.idle),
        };
        loop {
            let (is_sent, until) = deadline();
            if let Ok(reply) = timeout_at(until, reply.as_mut()).await {
                return Ok(reply);
            }
            if deadline().1 <= Instant::now() {
                return Err(fault::late(&self.target, is_sent));
            }
        }
    }

    /// A place on a connection: one that is kept, or a new one.
    async fn seat(self: &Arc<Self>, only_http1: bool) -> Result<Seat, Fault> {
        while let Some(mut seat) = self.unpark() {
            if seat.ready().await {
                return Ok(seat);
            }
        }
        match timeout(self.timeouts.connect, self.new_seat(only_http1)).await {
            Ok(Ok(seat)) => Ok(seat),
            Ok(Err(error)) => Err(fault::no_connection(&self.target, &error)),
            Err(_) => Err(fault::no_connection_in_time(&self.target)),
        }
    }

    async fn new_seat(self: &Arc<Self>, only_http1: bool) -> Result<Seat, NoConnection> {
        if only_http1 || !self.target.https || self.speaks.load(Ordering::Relaxed) == HTTP1 {
            return self.dial(only_http1).await;
        }
        if let Some(seat) = self.share() {
            return Ok(seat);
        }
        let turn = self.dialing.lock().await;
        if let Some(seat) = self.share() {
            return Ok(seat);
        }
        if self.speaks.load(Ordering::Relaxed) == HTTP1 {
            drop(turn);
        }
        self.dial(false).await
    }

    async fn dial(self: &Arc<Self>, only_http1: bool) -> Result<Seat, NoConnection> {
        let (kind, speaks) = match dial::dial(self, only_http1).await? {
            Fresh::Http1(sender) => (Kind::Http1(sender), HTTP1),
            Fresh::Http2(shared, stream) => {
                lock(&self.shared).push(shared);
                (Kind::Http2(stream), HTTP2)
            }
        };
        if !only_http1 {
            self.speaks.store(speaks, Ordering::Relaxed);
        }
        Ok(Seat::new(self, kind, false))
    }

    /// A stream of a connection in hand.
    fn share(self: &Arc<Self>) -> Option<Seat> {
        let mut shared = lock(&self.shared);
        shared.retain(|connection| !connection.is_closed());
        let stream = shared.iter().find_map(Shared::stream)?;
        Some(Seat::new(self, Kind::Http2(stream), true))
    }

    /// The connection that was used last: the others may grow old.
    fn unpark(self: &Arc<Self>) -> Option<Seat> {
        let mut parked = lock(&self.parked);
        loop {
            let Parked { sender, .. } = parked.pop()?;
            if !sender.is_closed() {
                return Some(Seat::new(self, Kind::Http1(sender), true));
            }
        }
    }

    fn park(&self, sender: http1::SendRequest<Sending>) {
        let mut parked = lock(&self.parked);
        if parked.len() < MOST_PARKED {
            parked.push(Parked { sender, since: Instant::now() });
        }
    }

    /// Says where a request goes, in the words of the connection's protocol.
    fn dress(&self, request: &mut http::Request<Sending>, http2: bool) {
        if !http2 {
            request.headers_mut().insert(HOST, self.host.clone());
            return;
        }
        // HTTP/2 has no options of a connection (RFC 9113 section 8.2.2): hyper would take `TE` for one of them, and
        // out.
        request.headers_mut().remove(CONNECTION);
        request.headers_mut().remove(HOST);
        let mut parts = self.origin.clone().into_parts();
        parts.path_and_query = request.uri().path_and_query().cloned();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        *request.version_mut() = Version::HTTP_2;
    }
}

/// Lets go of connections that nobody has used for long, as long as there is a pool.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(PARKED_FOR / 4).await;
        let Some(pool) = pool.upgrade() else { return };
        lock(&pool.parked).retain(|parked| parked.since.elapsed() < PARKED_FOR && !parked.sender.is_closed());
    }
}

/// What is under these locks is changed by single calls: a panic leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
