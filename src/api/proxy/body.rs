//! Bodies that go through a route as they come, but for their trailers, which are headers that come late
//! (RFC 9110 section 6.5) and are held against the same lists.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

use crate::edge::BodyError;

/// A body whose trailers are filtered.
pub(super) struct Filtered<B> {
    body: B,
    trailers: fn(HeaderMap) -> HeaderMap,
}

impl<B> Filtered<B> {
    pub(super) fn new(body: B, trailers: fn(HeaderMap) -> HeaderMap) -> Filtered<B> {
        Filtered { body, trailers }
    }
}

impl<B> Body for Filtered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) if frame.is_trailers() => {
                let trailers = frame.into_trailers().unwrap_or_default();
                Ok(Frame::trailers((self.trailers)(trailers)))
            }
            Ok(frame) => Ok(frame),
            Err(error) => Err(error.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    // Without it a body of a known length would be sent in chunks.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
