//! Bodies of replies: whole, as nearly all are, or passed on as they come from elsewhere.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Frame, SizeHint};

use super::watch::Progress;

/// What can go wrong with a body on its way.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A body that comes from elsewhere.
pub type Stream = Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// The body of a reply.
pub enum Body {
    /// All of it.
    Whole(Full<Bytes>),
    /// As it comes.
    Passed(Passed),
}

/// A body that is passed on. Its connection counts as busy until it has ended.
pub struct Passed {
    stream: Stream,
    patience: Duration,
    busy: Option<Busy>,
}

/// Ends the request that it belongs to.
struct Busy(Progress);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set_patience(Duration::MAX);
        self.0.request_ends();
    }
}

impl Body {
    /// Nothing.
    pub fn empty() -> Body {
        Body::Whole(Full::default())
    }

    /// Passes a body on to a client that must not stand still for so long.
    pub fn passed(stream: Stream, patience: Duration) -> Body {
        Body::Passed(Passed { stream, patience, busy: None })
    }

    /// Hands over the end of the request: now if the body is whole, else with its last frame.
    pub(super) fn ends(&mut self, progress: &Progress) {
        match self {
            Body::Whole(_) => progress.request_ends(),
            Body::Passed(passed) => {
                progress.set_patience(passed.patience);
                passed.busy = Some(Busy(progress.clone()));
            }
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Body::Whole(whole) => Pin::new(whole).poll_frame(context).map_err(|never| match never {}),
            Body::Passed(passed) => passed.stream.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(whole) => whole.is_end_stream(),
            Body::Passed(passed) => passed.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(whole) => whole.size_hint(),
            Body::Passed(passed) => passed.stream.size_hint(),
        }
    }
}
