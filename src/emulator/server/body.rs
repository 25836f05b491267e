//! The bodies that the emulator sends: whole, cut short, or made while they are sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};

/// Time for the first half of a truncated body to leave before the connection is closed.
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
    cut: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Rest {
    Whole(Bytes),
    Events { next: u64, last: u64, ticks: Interval },
    Dots(u64),
    Nothing,
}

impl ReplyBody {
    /// All of it.
    pub fn whole(data: Bytes) -> Self {
        Self { rest: Rest::Whole(data), cut: None }
    }

    /// The first half, then the end of the connection.
    pub fn half(data: &Bytes) -> Self {
        let half = data.slice(..data.len() / 2);
        Self { rest: Rest::Whole(half), cut: Some(Box::pin(sleep(CUT_AFTER))) }
    }

    /// Server-sent events 1 to `last`, one each `period`, the first at once.
    pub fn events(last: u64, period: Duration) -> Self {
        let mut ticks = interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { rest: Rest::Events { next: 1, last, ticks }, cut: None }
    }

    /// So many bytes, made as they are sent.
    pub fn dots(count: u64) -> Self {
        Self { rest: Rest::Dots(count), cut: None }
    }

    /// Cuts the connection if the body is still under way after this time.
    #[must_use]
    pub fn within(mut self, limit: Option<Duration>) -> Self {
        self.cut = limit.map(|limit| Box::pin(sleep(limit)));
        self
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.rest {
            Rest::Whole(data) => {
                let data = std::mem::take(data);
                self.rest = Rest::Nothing;
                Poll::Ready(Some(data))
            }
            Rest::Events { next, last, ticks } if *next <= *last => {
                ready!(ticks.poll_tick(cx));
                let event = format!("id: {next}\ndata: {{\"n\": {next}}}\n\n");
                *next += 1;
                Poll::Ready(Some(event.into()))
            }
            Rest::Dots(left) if *left > 0 => {
                let piece = usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE.len());
                *left -= piece as u64;
                Poll::Ready(Some(Bytes::from_static(&PIECE).slice(..piece)))
            }
            Rest::Nothing if self.cut.is_some() => Poll::Pending,
            Rest::Events { .. } | Rest::Dots(_) | Rest::Nothing => Poll::Ready(None),
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Poll::Ready(data) = self.next(cx) {
            return Poll::Ready(data.map(|data| Ok(Frame::data(data))));
        }
        match self.cut.as_mut() {
            Some(cut) => cut.as_mut().poll(cx).map(|()| Some(Err(Cut))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && matches!(&self.rest, Rest::Whole(data) if data.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
