//! WebSockets (RFC 6455): the handshake goes through a route like any request; what follows is bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    self, CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::edge::Request;
use crate::lifecycle::Stop;
use crate::model::{Code, Fault};

/// Of the handshake to the target; `Origin` is ours to say.
const ASKED: [HeaderName; 4] =
    [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_EXTENSIONS];

/// Whether a request is a handshake.
///
/// # Errors
/// It asks for another protocol, or not as section 4.1 wants it.
pub(super) fn is_wanted(request: &Request) -> Result<bool, Fault> {
    let headers = request.headers();
    let connections = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named =
        connections.flat_map(|line| line.split(',')).any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    if !named && !headers.contains_key(UPGRADE) {
        return Ok(false);
    }
    let once = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let is_websocket = once(&UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !named || !is_websocket {
        return Err(Fault::new(Code::MalformedRequest, "no other protocol than `websocket` can be upgraded to"));
    }
    let key = once(&SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key.as_bytes()).ok());
    let is_sound = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && once(&SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && key.is_some_and(|key| key.len() == 16);
    if !is_sound {
        return Err(Fault::new(Code::MalformedRequest, "this is no WebSocket handshake (RFC 6455 section 4.1)"));
    }
    Ok(true)
}

/// Puts the handshake into the headers for the target.
pub(super) fn ask(given: &HeaderMap, origin: &HeaderValue, headers: &mut HeaderMap) {
    for name in ASKED {
        for value in given.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(ORIGIN, origin.clone());
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Puts the target's answer into the headers for the caller.
///
/// # Errors
/// The target changes to something else.
pub(super) fn answer(given: &HeaderMap, headers: &mut HeaderMap) -> Result<(), Fault> {
    let to = given.get(header::UPGRADE).map(HeaderValue::as_bytes);
    if !to.is_some_and(|to| to.eq_ignore_ascii_case(b"websocket")) {
        return Err(Fault::new(Code::Malformed, "the target changed to another protocol than was asked for"));
    }
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    Ok(())
}

/// Carries bytes both ways until both sides have closed, nothing has moved for `idle`, or all is given up.
pub(super) async fn carry(caller: OnUpgrade, target: OnUpgrade, idle: Duration, stop: Stop) {
    let (Ok(caller), Ok(target)) = tokio::join!(caller, target) else { return };
    let moved = Arc::new(AtomicU64::new(0));
    let mut caller = Noted { io: TokioIo::new(caller), moved: Arc::clone(&moved) };
    let mut target = TokioIo::new(target);
    tokio::select! {
        // How it ended is between the two.
        _ = tokio::io::copy_bidirectional(&mut caller, &mut target) => {}
        () = silence(&moved, idle) => tracing::debug!("a WebSocket was closed: nothing had moved for too long"),
        () = stop.forced() => {}
    }
}

/// Returns once the counter has stood still for so long.
async fn silence(moved: &AtomicU64, idle: Duration) {
    // Looked at four times in that span: a timer moved for each frame would cost more than the frame.
    let (mut before, mut quiet) = (moved.load(Ordering::Relaxed), 0);
    while quiet < 4 {
        tokio::time::sleep(idle / 4).await;
        let now = moved.load(Ordering::Relaxed);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
}

/// Counts what moves in either direction.
struct Noted<IO> {
    io: IO,
    moved: Arc<AtomicU64>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Noted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_read(context, buffer);
        if poll.is_ready() {
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
        poll
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Noted<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(context, bytes);
        if poll.is_ready() {
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
