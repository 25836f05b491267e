//! The bodies that the emulator sends: whole, cut short, or made while they are sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};

use super::levers::Open;
use super::upload::Upload;

/// Time for the first part of a truncated body to leave before the connection is closed.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// One piece of a long body.
const PIECE: [u8; 16 << 10] = [b'.'; 16 << 10];

/// The connection ends here, on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut by the emulator")]
pub struct Cut;

/// What is still to be sent, and when the connection is to be cut meanwhile.
#[derive(Debug)]
pub struct ReplyBody {
    rest: Rest,
    limit: Option<Pin<Box<Sleep>>>,
    /// A cut is what comes in place of the end.
    short: bool,
    open: Option<Open>,
}

#[derive(Debug)]
enum Rest {
    Whole(Bytes),
    Events { next: u64, last: u64, ticks: Interval },
    Dots(u64),
    Trailed(Bytes, HeaderMap),
    Trailers(HeaderMap),
    Back(Box<Upload>),
    Nothing,
}

impl ReplyBody {
    fn new(rest: Rest) -> Self {
        Self { rest, limit: None, short: false, open: None }
    }

    /// All of it.
    pub fn whole(data: Bytes) -> Self {
        Self::new(Rest::Whole(data))
    }

    /// None of it, whatever the headers say.
    pub fn nothing() -> Self {
        Self::new(Rest::Nothing)
    }

    /// Server-sent events 1 to `last`, one each `period`, the first at once.
    pub fn events(last: u64, period: Duration) -> Self {
        let mut ticks = interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::new(Rest::Events { next: 1, last, ticks })
    }

    /// So many bytes, made as they are sent.
    pub fn dots(count: u64) -> Self {
        Self::new(Rest::Dots(count))
    }

    /// All of it, and trailers.
    pub fn trailed(data: Bytes, trailers: HeaderMap) -> Self {
        Self::new(Rest::Trailed(data, trailers))
    }

    /// The body of the request, piece by piece as it comes.
    pub fn back(upload: Upload) -> Self {
        Self::new(Rest::Back(Box::new(upload)))
    }

    /// Cuts the connection if the body is still under way after this time.
    #[must_use]
    pub fn within(mut self, limit: Option<Duration>) -> Self {
        self.limit = limit.map(|limit| Box::pin(sleep(limit)));
        self
    }

    /// The first half, or the first event, then the end of the connection (of the stream, in HTTP/2).
    #[must_use]
    pub fn truncated(mut self) -> Self {
        self.rest = match self.rest {
            Rest::Whole(data) | Rest::Trailed(data, _) => Rest::Whole(data.slice(..data.len() / 2)),
            Rest::Events { next, ticks, .. } => Rest::Events { next, last: next, ticks },
            Rest::Dots(count) => Rest::Dots(count / 2),
            other => other,
        };
        self.limit = None;
        self.short = true;
        self
    }

    /// Counts as under way until it is dropped.
    #[must_use]
    pub fn holding(mut self, open: Open) -> Self {
        self.open = Some(open);
        self
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let data = match &mut self.rest {
            Rest::Whole(data) => {
                let data = std::mem::take(data);
                self.rest = Rest::Nothing;
                data
            }
            Rest::Trailed(data, trailers) => {
                let data = std::mem::take(data);
                self.rest = Rest::Trailers(std::mem::take(trailers));
                data
            }
            Rest::Trailers(trailers) => {
                let trailers = std::mem::take(trailers);
                self.rest = Rest::Nothing;
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            Rest::Events { next, last, ticks } if *next <= *last => {
                ready!(ticks.poll_tick(cx));
                let event = format!("id: {next}\ndata: {{\"n\": {next}}}\n\n");
                *next += 1;
                event.into()
            }
            Rest::Dots(left) if *left > 0 => {
                let piece = usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE.len());
                *left -= piece as u64;
                Bytes::from_static(&PIECE).slice(..piece)
            }
            Rest::Back(upload) => match ready!(Pin::new(&mut **upload).poll_frame(cx)) {
                // Trailers end a body, and are not sent back: the client may not want any.
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) => return Poll::Ready(Some(Err(Cut))),
                None => return Poll::Ready(None),
            },
            Rest::Events { .. } | Rest::Dots(_) | Rest::Nothing => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.next(cx) {
            Poll::Ready(None) if self.short => {
                self.limit.get_or_insert_with(|| Box::pin(sleep(CUT_AFTER)));
            }
            Poll::Pending => {}
            ready => return ready,
        }
        match self.limit.as_mut() {
            Some(limit) => limit.as_mut().poll(cx).map(|()| Some(Err(Cut))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.short
            && match &self.rest {
                Rest::Whole(data) => data.is_empty(),
                Rest::Nothing => true,
                _ => false,
            }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
