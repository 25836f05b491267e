//! The listeners: connections in, requests through faults and handlers, replies out.

mod body;
mod line;

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::faults::{Fault, Plan};
use super::operation::Operation;
use super::wire::{Asked, Reply};
use super::{State, app};
pub use body::{Cut, ReplyBody};
use line::{Line, Reset};

/// No request that a vendor would take is larger. Those to the app are not held to it.
const MAX_BODY: usize = 1 << 20;

/// Whose listener it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    /// The workspace, and the emulator's own endpoints.
    Vendor,
    /// The Databricks App, which has a host of its own.
    App,
}

/// A connection that is about to leave HTTP.
pub(super) type Leaving = Arc<Mutex<Option<OnUpgrade>>>;

/// Accepts for ever. The connections end with this future.
pub(super) async fn accept(door: Door, listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(door, stream, tls.clone(), Arc::clone(&state))); }
                // Out of file descriptors, usually: a pause keeps the loop from spinning until some are free.
                Err(_) => sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(door: Door, stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let (stream, reset) = Line::new(stream);
    match tls {
        None => serve(door, stream, state, reset).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(door, stream, state, reset).await;
            }
        }
    }
}

async fn serve<S>(door: Door, stream: S, state: Arc<State>, reset: Reset)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let leaving = Leaving::default();
    let service = service_fn(|request| {
        let (state, reset, leaving) = (Arc::clone(&state), Arc::clone(&reset), Arc::clone(&leaving));
        async move {
            match door {
                Door::Vendor => exchange(&state, &reset, request).await,
                Door::App => app_exchange(&state, &reset, &leaving, request).await,
            }
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    // An error here is a client that went away, or a connection that a fault has cut.
    let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    let upgrade = leaving.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgrade) = upgrade
        && let Ok(stream) = upgrade.await
    {
        // Ends when either side does.
        let _ = app::websocket::echo(TokioIo::new(stream)).await;
    }
}

async fn exchange(state: &State, reset: &Reset, request: Request<Incoming>) -> Result<Response<ReplyBody>, Cut> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(response(Reply::empty(StatusCode::PAYLOAD_TOO_LARGE)));
    };
    let asked = Asked::new(&parts, body.to_bytes(), &state.url);
    if let Some(reply) = state.control(&asked) {
        return Ok(response(reply));
    }
    let operation = state.operation(&asked);
    let (seq, plan, fault) = disturbed(state, reset, &asked, operation).await?;
    let mut notes = Vec::new();
    let mut reply = match fault.reply(operation) {
        Some(reply) => reply,
        None => state.answer(operation, &asked, &plan, &mut notes),
    };
    if fault.garbage {
        reply.body = Bytes::from_static(b"\x1f\x8b\x00{\"access_token\": \"\xff\xfe");
    }
    state.journal.answered(seq, reply.status, notes);
    let body = if fault.truncate { ReplyBody::half(&reply.body) } else { ReplyBody::whole(reply.body.clone()) };
    Ok(response(reply).map(|_| body))
}

async fn app_exchange(
    state: &State,
    reset: &Reset,
    leaving: &Leaving,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Cut> {
    let (parts, body) = request.into_parts();
    let asked = Asked::new(&parts, Bytes::new(), &state.app.url);
    let (seq, _, fault) = disturbed(state, reset, &asked, Operation::App).await?;
    let answer = match fault.reply(Operation::App) {
        Some(reply) => response(reply),
        None => app::answer(state, &asked, Request::from_parts(parts, body), leaving).await,
    };
    state.journal.answered(seq, answer.status(), Vec::new());
    Ok(answer)
}

/// Writes the request down and lets the faults that concern it have their way: a delay, a hang, a reset.
async fn disturbed(
    state: &State,
    reset: &Reset,
    asked: &Asked,
    operation: Operation,
) -> Result<(u64, Plan, Fault), Cut> {
    let seq = state.journal.arrived(asked, operation);
    let plan = state.faults.take(operation, &asked.path);
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
    Ok((seq, plan, fault))
}

/// A reply as hyper wants it.
pub(super) fn response(reply: Reply) -> Response<ReplyBody> {
    let length = HeaderValue::from(reply.body.len());
    let mut response = Response::new(ReplyBody::whole(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().extend(reply.headers);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}
