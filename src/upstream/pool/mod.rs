//! Connections to one target that are kept for the next request: HTTP/1.1, or HTTP/2 where the target prefers
//! it. Requests and responses are streamed; nothing here knows of tokens or of what may pass.
//!
//! hyper-util's pool costs 9,000 instructions a request more than this one, a third of the whole request
//! (measured), and cannot tell a caller's fault from a target's.

mod body;
mod dial;
mod fault;
mod seat;

use std::future::poll_fn;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use http_body_util::Full;
use hyper::client::conn::TrySendError;
use tokio::time::{Instant, Sleep, timeout};

pub use body::{BodyError, Receiving, Sending, Stream, Upload};
use dial::{Fresh, NoConnection};
use seat::{Kind, Seat, Sender, Sent, Shared};

use super::connect::{self, Connector};
use crate::config::{BaseUrl, RouteTimeouts};
use crate::lifecycle::Tasks;
use crate::model::Fault;

/// Connections that are kept for want of work: more come and go with a burst.
const MOST_PARKED: usize = 128;
/// How often they are looked at, and after how many such rounds they go: 40 to 50 s. Common servers close after
/// 60 s or more; those that do sooner are noticed.
const ROUND: Duration = Duration::from_secs(10);
const ROUNDS: u32 = 5;

/// For a connection to deal with what is left of the request before.
const LEFTOVERS: Duration = Duration::from_millis(50);

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
    round: AtomicU32,
    shared: Mutex<Vec<Shared>>,
    speaks: AtomicU8,
    /// Held by the one who dials while others may share what comes of it. Nobody waits here whom a
    /// connection in hand could serve.
    dialing: tokio::sync::Mutex<()>,
}

struct Parked {
    sender: Sender,
    alarm: Pin<Box<Sleep>>,
    /// In which round of the sweeper it came.
    round: u32,
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
            round: AtomicU32::new(0),
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
    /// A request that met a connection which the target was just closing is sent once more, on a new one, where
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
        let mut seat = match self.unpark() {
            Some(seat) => seat,
            None => self.seat(outgoing.upgrade).await?,
        };
        let mut sent = self.head(&mut seat, outgoing.with(body), upload.as_deref()).await?;
        if let Err(error) = &mut sent
            && let Some(request) = again(outgoing, spare, error, &seat)
        {
            seat = self.fresh(outgoing.upgrade).await?;
            sent = Box::pin(self.head(&mut seat, request, upload.as_deref())).await?;
        }
        match sent {
            Ok(response) => Ok(response.map(|body| Receiving::new(body, seat, upload, self.timeouts.idle))),
            Err(error) => Err(fault::no_response(&self.target, error.error(), upload.as_deref())),
        }
    }

    /// Sends a request and waits for the head of its response: so long from the end of the request, and while
    /// that is still coming, as long as it comes.
    async fn head(
        &self,
        seat: &mut Seat,
        request: http::Request<Sending>,
        upload: Option<&Upload>,
    ) -> Result<Sent, Fault> {
        let begin = Instant::now();
        let deadline = || match upload.map_or((Some(begin), None), Upload::last) {
            (Some(ended), _) => ended + self.timeouts.response_headers,
            (None, last) => last.unwrap_or(begin) + self.timeouts.idle,
        };
        let Seat { kind, alarm, .. } = seat;
        // The alarm of a new request may be set for later than its own deadline.
        if deadline() < alarm.deadline() {
            alarm.as_mut().reset(deadline());
        }
        let mut reply = pin!(kind.send(self, request));
        poll_fn(|context| {
            if let Poll::Ready(sent) = reply.as_mut().poll(context) {
                return Poll::Ready(Ok(sent));
            }
            while alarm.as_mut().poll(context).is_ready() {
                let until = deadline();
                if until <= Instant::now() {
                    return Poll::Ready(Err(fault::late(&self.target, upload)));
                }
                alarm.as_mut().reset(until);
            }
            Poll::Pending
        })
        .await
    }

    /// A place on a connection: one that is kept and still has to deal with the request before, or a new one.
    async fn seat(self: &Arc<Self>, only_http1: bool) -> Result<Seat, Fault> {
        while let Some(mut seat) = self.unpark_any() {
            // A target that does not read what it has answered already is no use to the next request.
            if timeout(LEFTOVERS, seat.ready()).await.unwrap_or(false) {
                return Ok(seat);
            }
        }
        self.fresh(only_http1).await
    }

    /// A place on another connection than those that are kept for one request at a time.
    async fn fresh(self: &Arc<Self>, only_http1: bool) -> Result<Seat, Fault> {
        // Seldom, and far larger than the rest: a future is moved with all that it could ever hold.
        match Box::pin(timeout(self.timeouts.connect, self.new_seat(only_http1))).await {
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
        Ok(Seat::new(self, kind))
    }

    /// A stream of a connection in hand.
    fn share(self: &Arc<Self>) -> Option<Seat> {
        let mut shared = lock(&self.shared);
        shared.retain(|connection| !connection.is_closed());
        let stream = shared.iter().find_map(Shared::stream)?;
        Some(Seat::again(self, Kind::Http2(stream), None))
    }

    /// The connection that was used last, for the others may grow old, if it can take a request at once.
    fn unpark(self: &Arc<Self>) -> Option<Seat> {
        let parked = lock(&self.parked).pop_if(|parked| parked.sender.is_ready())?;
        Some(Seat::again(self, Kind::Http1(parked.sender), Some(parked.alarm)))
    }

    fn unpark_any(self: &Arc<Self>) -> Option<Seat> {
        let parked = lock(&self.parked).pop()?;
        Some(Seat::again(self, Kind::Http1(parked.sender), Some(parked.alarm)))
    }

    fn park(&self, sender: Sender, alarm: Pin<Box<Sleep>>) {
        let mut parked = lock(&self.parked);
        if parked.len() < MOST_PARKED {
            parked.push(Parked { sender, alarm, round: self.round.load(Ordering::Relaxed) });
        }
    }

    /// Says where a request goes, in the words of the connection's protocol.
    fn dress(&self, request: &mut http::Request<Sending>, http2: bool) {
        if !http2 {
            request.headers_mut().insert(HOST, self.host.clone());
            // A request that was not sent after all may have been dressed for the other one.
            if request.version() == Version::HTTP_2 {
                let path = request.uri().path_and_query().cloned();
                *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
                *request.version_mut() = Version::HTTP_11;
            }
            return;
        }
        // There is none in HTTP/2, and hyper would take out what it names, `TE` for one.
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

/// The request once more, if the first try met the end of a connection that had been good before, and either was
/// not sent or may be repeated without harm (RFC 9110 section 9.2.2). On HTTP/2 the end of one stream is an answer to
/// the request, not the end of the connection.
fn again<H: Fn() -> HeaderMap>(
    outgoing: &Outgoing<H>,
    spare: Option<Full<Bytes>>,
    error: &mut TrySendError<http::Request<Sending>>,
    seat: &Seat,
) -> Option<http::Request<Sending>> {
    if !seat.used || !fault::is_closing(error.error()) {
        return None;
    }
    match error.take_message() {
        None if outgoing.method.is_idempotent() && seat.is_closed() => {
            spare.map(|body| outgoing.with(Sending::Whole(body)))
        }
        unsent => unsent,
    }
}

/// Lets go of connections that nobody has used for long, as long as there is a pool.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(ROUND).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = pool.round.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        lock(&pool.parked).retain(|parked| now.wrapping_sub(parked.round) < ROUNDS && !parked.sender.is_closed());
        lock(&pool.shared).retain_mut(|shared| shared.is_wanted(ROUNDS));
    }
}

/// What is under these locks is changed by single calls: a panic leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
