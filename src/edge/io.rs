//! The bytes of a connection, wherever it comes from. A closed set: what is chosen with each read is a jump, not a
//! second copy of all that stands on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::tls;

/// An open connection.
pub enum Io {
    /// From an address.
    Tcp(TcpStream),
    /// From this machine.
    Unix(UnixStream),
    /// From an address, in TLS; apart from the others, which it would make ten times as large.
    Tls(Box<tls::Stream>),
}

macro_rules! on_each {
    ($self:ident, $io:ident => $call:expr) => {
        match $self.get_mut() {
            Io::Tcp($io) => $call,
            Io::Unix($io) => $call,
            Io::Tls($io) => $call,
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_each!(self, io => Pin::new(io).poll_read(context, buffer))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_each!(self, io => Pin::new(io).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_each!(self, io => Pin::new(io).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Io::Tcp(io) => io.is_write_vectored(),
            Io::Unix(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self, io => Pin::new(io).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self, io => Pin::new(io).poll_shutdown(context))
    }
}
