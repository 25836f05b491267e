//! Bodies on their way to a target and back, neither of which is ever held as a whole.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::seat::Seat;

/// What can go wrong with a body on its way.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A body as it comes.
pub type Stream = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>;

/// The body of a request to a target.
pub enum Sending {
    /// All of it, so that it can be sent again.
    Whole(Full<Bytes>),
    /// As it comes from the caller.
    Streamed(Stream, Arc<Upload>),
}

/// How far a streamed request has got, for those who wait for what comes of it.
pub struct Upload(Mutex<State>);

#[derive(Clone, Copy)]
enum State {
    /// Still coming; the last bytes came then. Whether it is the caller who is waited for, or the target to take more.
    Coming(Instant, bool),
    /// It ended then.
    Ended(Instant),
    /// The caller gave up, or sent nonsense.
    Failed,
}

impl Upload {
    /// One that begins now.
    pub fn new() -> Arc<Upload> {
        Arc::new(Upload(Mutex::new(State::Coming(Instant::now(), true))))
    }

    fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state(), State::Failed)
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state(), State::Ended(_))
    }

    /// When it ended, or else when its last bytes came.
    pub(super) fn last(&self) -> (Option<Instant>, Option<Instant>) {
        match self.state() {
            State::Ended(at) => (Some(at), Some(at)),
            State::Coming(at, _) => (None, Some(at)),
            State::Failed => (None, None),
        }
    }

    pub(super) fn waits_for_caller(&self) -> bool {
        matches!(self.state(), State::Coming(_, true))
    }

    fn waits(&self) {
        if let State::Coming(at, false) = self.state() {
            self.set(State::Coming(at, true));
        }
    }

    fn note(&self, frame: Option<&Result<Frame<Bytes>, BodyError>>, is_end: bool) {
        self.set(match frame {
            Some(Err(_)) => State::Failed,
            Some(Ok(_)) if !is_end => State::Coming(Instant::now(), false),
            _ => State::Ended(Instant::now()),
        });
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Sending::Whole(whole) => Pin::new(whole).poll_frame(context).map_err(|never| match never {}),
            Sending::Streamed(stream, upload) => {
                let poll = stream.as_mut().poll_frame(context);
                match &poll {
                    Poll::Ready(frame) => upload.note(frame.as_ref(), stream.is_end_stream()),
                    Poll::Pending => upload.waits(),
                }
                poll
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Sending::Whole(whole) => whole.is_end_stream(),
            Sending::Streamed(stream, _) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Sending::Whole(whole) => whole.size_hint(),
            Sending::Streamed(stream, _) => stream.size_hint(),
        }
    }
}

/// The body of a response. With its end, its place on the connection is left to the next request, if all of its own
/// request was taken by then; without one (the caller went away, the target fell silent) that connection is no good
/// to anybody.
pub struct Receiving {
    body: Incoming,
    seat: Option<Seat>,
    upload: Option<Arc<Upload>>,
    idle: Duration,
    last: Option<Instant>,
    /// Made when the first wait begins: a short body is there with its head.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Receiving {
    pub(super) fn new(body: Incoming, seat: Seat, upload: Option<Arc<Upload>>, idle: Duration) -> Receiving {
        let mut receiving = Receiving { body, seat: Some(seat), upload, idle, last: None, alarm: None };
        receiving.free_at_end();
        receiving
    }

    fn free_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.free();
        }
    }

    fn free(&mut self) {
        if let Some(seat) = self.seat.take() {
            // What is still being sent to it is in the way of the next request.
            seat.leave(self.upload.as_ref().is_none_or(|upload| upload.has_ended()));
        }
    }

    /// Ready when no byte has moved in either direction for too long.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let (last, idle) = (*self.last.get_or_insert(now), self.idle);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(last + idle)));
        while alarm.as_mut().poll(context).is_ready() {
            let sent = self.upload.as_ref().and_then(|upload| upload.last().1);
            let until = sent.map_or(last, |sent| sent.max(last)) + idle;
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl Body for Receiving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                if self.alarm.is_some() {
                    self.last = Some(Instant::now());
                }
                match &frame {
                    Some(Err(_)) => self.seat = None,
                    Some(Ok(_)) => self.free_at_end(),
                    // Chunked bodies say so only here.
                    None => self.free(),
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => match self.poll_idle(context) {
                Poll::Ready(()) => Poll::Ready(Some(Err("no byte has moved for too long".into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
