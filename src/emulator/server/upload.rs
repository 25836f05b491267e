//! The body of a request to the app, which is never held as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::super::State;
use super::super::journal::Received;
use super::super::wire::header;

/// A refused body up to this length is read all the same.
const SMALL: u64 = 64 << 10;

/// A body that the journal is told of when it is dropped.
#[derive(Debug)]
pub struct Upload {
    body: Incoming,
    received: Received,
    seq: u64,
    state: Arc<State>,
}

impl Upload {
    pub fn new(body: Incoming, seq: u64, state: &Arc<State>) -> Self {
        Self { body, received: Received::default(), seq, state: Arc::clone(state) }
    }

    /// Reads a small body to its end. Closing a connection with unread bytes resets it, and the answer may be lost on
    /// the way; a vendor's front lingers instead.
    pub async fn take_in_if_small(&mut self, headers: &HeaderMap) {
        let length = header(headers, CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if length.is_none_or(|length| length > SMALL) || headers.contains_key(EXPECT) {
            return;
        }
        while let Some(Ok(_)) = self.body.frame().await {}
        self.received = Received { bytes: length.unwrap_or_default(), complete: self.body.is_end_stream() };
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.received.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => {}
            None => self.received.complete = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.received.complete |= self.body.is_end_stream();
        self.state.journal.received(self.seq, self.received);
    }
}
