//! A TCP connection that can be closed with RST.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::levers::Levers;

/// The connection and its levers.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    levers: Arc<Levers>,
}

impl Line {
    pub fn new(stream: TcpStream, levers: Arc<Levers>) -> Self {
        // Small replies in several writes would otherwise wait for the peer's delayed ACK.
        let _ = stream.set_nodelay(true);
        Self { stream, levers }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.levers.is_reset() {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.levers.is_reset() {
            // HTTP/2 would end one stream in good order and go on with the others.
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.levers.is_reset() {
            // A FIN first would turn the reset into an orderly end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
