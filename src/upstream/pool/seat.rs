//! A place for one request on a connection: all of an HTTP/1.1 connection, a stream of an HTTP/2 one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};

use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::Pool;
use super::body::Sending;

/// A place on a connection. Dropped, it closes an HTTP/1.1 connection and frees a stream.
pub struct Seat {
    pub(super) kind: Kind,
    /// For the head of the response. It stays with the connection and is moved when it goes off, not with each
    /// request: most never see it.
    pub(super) alarm: Pin<Box<Sleep>>,
    pool: Arc<Pool>,
    /// Whether the connection has carried a request before, so that the target may just be closing it.
    pub(super) used: bool,
}

pub(super) enum Kind {
    Http1(Sender),
    Http2(Stream),
}

/// The way into an HTTP/1.1 connection. With it ends the connection, whether the target goes along or not.
pub(super) struct Sender {
    pub(super) sender: http1::SendRequest<Sending>,
    /// Tells the task of the connection when it is dropped.
    _alive: oneshot::Sender<()>,
}

/// What came of a request; one that was not sent comes back with the error.
pub(super) type Sent = Result<http::Response<Incoming>, TrySendError<http::Request<Sending>>>;

impl Sender {
    /// With what tells that it is gone.
    pub(super) fn new(sender: http1::SendRequest<Sending>) -> (Sender, oneshot::Receiver<()>) {
        let (alive, gone) = oneshot::channel();
        (Sender { sender, _alive: alive }, gone)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Kind {
    /// Sends a request, dressed for this kind of connection, and waits for the head of its response.
    pub(super) async fn send(&mut self, pool: &Pool, mut request: http::Request<Sending>) -> Sent {
        pool.dress(&mut request, matches!(self, Kind::Http2(_)));
        match self {
            Kind::Http1(sender) => sender.sender.try_send_request(request).await,
            Kind::Http2(stream) => stream.sender.try_send_request(request).await,
        }
    }
}

/// One HTTP/2 connection, for all who share it.
pub(super) struct Shared {
    sender: http2::SendRequest<Sending>,
    streams: Arc<AtomicUsize>,
    /// As many streams as the target takes at once (SETTINGS_MAX_CONCURRENT_STREAMS, RFC 9113 section 6.5.2).
    most: Arc<AtomicUsize>,
    /// Looks in a row that found no stream in use.
    idle: u32,
}

/// A stream that is in use.
pub(super) struct Stream {
    sender: http2::SendRequest<Sending>,
    streams: Arc<AtomicUsize>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// With its first stream.
    pub(super) fn new(sender: http2::SendRequest<Sending>, most: Arc<AtomicUsize>) -> (Shared, Stream) {
        let streams = Arc::new(AtomicUsize::new(1));
        let stream = Stream { sender: sender.clone(), streams: Arc::clone(&streams) };
        (Shared { sender, streams, most, idle: 0 }, stream)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// A stream, unless as many are in use as the target takes.
    pub(super) fn stream(&self) -> Option<Stream> {
        let most = self.most.load(Ordering::Relaxed);
        let below = |streams: usize| (streams < most).then_some(streams + 1);
        self.streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).ok()?;
        Some(Stream { sender: self.sender.clone(), streams: Arc::clone(&self.streams) })
    }

    /// Looks whether it is worth keeping: not if so many looks in a row found it idle.
    pub(super) fn is_wanted(&mut self, looks: u32) -> bool {
        self.idle = if self.streams.load(Ordering::Relaxed) > 0 { 0 } else { self.idle + 1 };
        self.idle < looks && !self.is_closed()
    }
}

impl Seat {
    pub(super) fn new(pool: &Arc<Pool>, kind: Kind) -> Seat {
        let alarm = Box::pin(tokio::time::sleep(pool.timeouts.response_headers));
        Seat { kind, alarm, pool: Arc::clone(pool), used: false }
    }

    /// A place on a connection that has been used before.
    pub(super) fn again(pool: &Arc<Pool>, kind: Kind, alarm: Option<Pin<Box<Sleep>>>) -> Seat {
        match alarm {
            Some(alarm) => Seat { kind, alarm, pool: Arc::clone(pool), used: true },
            None => Seat { used: true, ..Seat::new(pool, kind) },
        }
    }

    /// Waits until the connection has dealt with the request before.
    pub(super) async fn ready(&mut self) -> bool {
        match &mut self.kind {
            Kind::Http1(sender) => sender.sender.ready().await.is_ok(),
            Kind::Http2(_) => !self.is_closed(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.kind {
            Kind::Http1(sender) => sender.is_closed(),
            Kind::Http2(stream) => stream.sender.is_closed(),
        }
    }

    /// Leaves the connection to the next one, if it is good for another request.
    pub(super) fn leave(self, is_free: bool) {
        if let Kind::Http1(sender) = self.kind
            && is_free
        {
            self.pool.park(sender, self.alarm);
        }
    }
}
