//! Deadlines of a connection: for a request head to arrive, and for an idle connection to be used.
//!
//! hyper's own header timeout arms a timer for each request, which costs a fifth of a hit (1,600
//! instructions, measured). Here one timer per connection is moved only when a poll *ends* with a
//! head half read: a head that arrives in one piece never touches it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where a connection stands, shared by its socket, its handler and its watcher.
///
/// The two low bits of `requests` are the phase, the rest counts them.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<Marks>);

#[derive(Default)]
struct Marks {
    given_up: AtomicBool,
    parting: AtomicBool,
    /// Milliseconds less than all that there could be, so that nothing needs to be set where there is nothing to say.
    impatience: AtomicU32,
    requests: AtomicU32,
    /// Writes that moved something, modulo 2^31, and in the lowest bit whether the last one could not.
    writes: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// A head has begun to arrive.
    Head,
    /// A request is being answered.
    Busy,
}

impl Progress {
    pub(super) fn phase(&self) -> Phase {
        match self.0.requests.load(Ordering::Relaxed) & 3 {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    /// Requests so far, modulo 2^30.
    pub(super) fn requests(&self) -> u32 {
        self.0.requests.load(Ordering::Relaxed) >> 2
    }

    pub(super) fn request_begins(&self) {
        let count = self.requests().wrapping_add(1);
        self.0.requests.store(count << 2 | 2, Ordering::Relaxed);
    }

    pub(super) fn request_ends(&self) {
        self.0.requests.store(self.requests() << 2, Ordering::Relaxed);
    }

    /// How long the client may stand still.
    pub(super) fn set_patience(&self, patience: Duration) {
        let patience = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        self.0.impatience.store(u32::MAX - patience, Ordering::Relaxed);
    }

    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(u32::MAX - self.0.impatience.load(Ordering::Relaxed)))
    }

    /// What has no answer yet gets none any more.
    pub(super) fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.0.given_up.load(Ordering::Relaxed)
    }

    /// Whoever asks from now on is sent away.
    pub(super) fn part(&self) {
        self.0.parting.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_parting(&self) -> bool {
        self.0.parting.load(Ordering::Relaxed)
    }

    /// What stands still as long as the client takes nothing of what is to be written; `None` where nothing waits
    /// to be written.
    pub(super) fn blocked_at(&self) -> Option<u32> {
        Some(self.0.writes.load(Ordering::Relaxed)).filter(|writes| writes & 1 == 1)
    }

    fn written<T>(&self, poll: &Poll<T>) {
        let writes = self.0.writes.load(Ordering::Relaxed);
        match poll {
            Poll::Pending => self.0.writes.store(writes | 1, Ordering::Relaxed),
            Poll::Ready(_) => self.0.writes.store((writes & !1).wrapping_add(2), Ordering::Relaxed),
        }
    }

    fn bytes_arrive(&self) {
        if self.phase() == Phase::Idle {
            self.0.requests.store(self.requests() << 2 | 1, Ordering::Relaxed);
        }
    }
}

/// A socket that notes when a head begins to arrive.
pub(super) struct Watched<IO> {
    io: IO,
    progress: Progress,
}

impl<IO> Watched<IO> {
    pub(super) fn new(io: IO, progress: Progress) -> Self {
        Watched { io, progress }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.bytes_arrive();
        }
        poll
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(context, bytes);
        self.progress.written(&poll);
        poll
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.progress.written(&poll);
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_flush(context);
        // TLS takes what is written into memory at once; that it goes nowhere shows here.
        if poll.is_pending() || self.progress.blocked_at().is_some() {
            self.progress.written(&poll);
        }
        poll
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
