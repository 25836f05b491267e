//! A stream on which bytes can be sent that hyper would never send.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::levers::Levers;

/// The stream, inside of TLS where there is TLS.
#[derive(Debug)]
pub struct Spoken<S> {
    stream: S,
    levers: Arc<Levers>,
    ahead: Bytes,
    over: bool,
}

impl<S> Spoken<S> {
    pub fn new(stream: S, levers: Arc<Levers>) -> Self {
        Self { stream, levers, ahead: Bytes::new(), over: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Spoken<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Spoken<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Some(raw) = this.levers.take_raw() {
            this.ahead = raw.bytes;
            this.over |= raw.last;
            // An HTTP/2 connection only reads again, and sees the end, when something wakes it.
            cx.waker().wake_by_ref();
        }
        while this.ahead.has_remaining() {
            let sent = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.ahead))?;
            this.ahead.advance(sent);
        }
        if this.over { Poll::Ready(Ok(buf.len())) } else { Pin::new(&mut this.stream).poll_write(cx, buf) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
