//! The listener: connections in, requests through faults and handlers, replies out.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;

use super::State;
use super::wire::{Asked, Reply};

/// No request that a vendor would take is larger.
const MAX_BODY: usize = 1 << 20;

/// Time for the first half of a truncated body to leave before the connection is closed.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// Accepts for ever. The connections end with this future.
pub(super) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(stream, tls.clone(), Arc::clone(&state))); }
                // Out of file descriptors, usually: a pause keeps the loop from spinning until some are free.
                Err(_) => sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    // Small replies in several writes would otherwise wait for the peer's delayed ACK.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let stream = Line { stream, reset: Arc::clone(&reset) };
    match tls {
        None => serve(stream, state, reset).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, state, reset).await;
            }
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, state: Arc<State>, reset: Arc<AtomicBool>) {
    let service = service_fn(|request| exchange(Arc::clone(&state), Arc::clone(&reset), request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    // An error here is a client that went away, or a connection that a fault has cut.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn exchange(
    state: Arc<State>,
    reset: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Cut> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(response(Reply::empty(StatusCode::PAYLOAD_TOO_LARGE), false));
    };
    let asked = Asked::new(&parts, body.to_bytes(), &state.url);
    if let Some(reply) = state.control(&asked) {
        return Ok(response(reply, false));
    }
    let operation = state.operation(&asked);
    let seq = state.journal.arrived(&asked, operation);
    let plan = state.faults.take(operation);
    if plan.touched {
        state.journal.faulted(seq);
    }
    if let Some(delay) = plan.delay {
        sleep(delay).await;
    }
    let fault = plan.replaced.clone().unwrap_or_default();
    if fault.hang {
        // Until the client gives up: hyper drops this future with the connection.
        std::future::pending::<Infallible>().await;
    }
    if fault.reset {
        reset.store(true, Ordering::Relaxed);
        return Err(Cut);
    }
    let mut notes = Vec::new();
    let mut reply = match fault.reply(operation) {
        Some(reply) => reply,
        None => state.answer(operation, &asked, &plan, &mut notes),
    };
    if fault.garbage {
        reply.body = Bytes::from_static(b"\x1f\x8b\x00{\"access_token\": \"\xff\xfe");
    }
    state.journal.answered(seq, reply.status, notes);
    Ok(response(reply, fault.truncate))
}

fn response(reply: Reply, truncate: bool) -> Response<ReplyBody> {
    let full = reply.body.len();
    let body = if truncate {
        ReplyBody { data: Some(reply.body.slice(..full / 2)), cut: Some(Box::pin(sleep(CUT_AFTER))) }
    } else {
        ReplyBody { data: Some(reply.body), cut: None }
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    response.headers_mut().extend(reply.headers);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(full));
    response
}

/// The connection ends here, on purpose.
#[derive(Debug, thiserror::Error)]
#[error("cut by an injected fault")]
struct Cut;

/// A whole body, or the first half of one and then the end of the connection.
struct ReplyBody {
    data: Option<Bytes>,
    cut: Option<Pin<Box<Sleep>>>,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(cut) = self.cut.as_mut() else {
            return Poll::Ready(None);
        };
        ready!(cut.as_mut().poll(cx));
        Poll::Ready(Some(Err(Cut)))
    }

    fn is_end_stream(&self) -> bool {
        self.data.as_ref().is_none_or(Bytes::is_empty) && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A TCP connection that is closed with RST when the flag says so.
struct Line {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
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
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            // A FIN first would turn the reset into an orderly end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
