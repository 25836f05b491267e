//! One request and its answer, with the faults between them.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::super::faults::{Fault, Plan};
use super::super::operation::Operation;
use super::super::wire::{Asked, Reply};
use super::super::{State, app};
use super::body::{Cut, ReplyBody};
use super::levers::{Levers, Raw};
use super::upload::Upload;

/// No request that a vendor would take is larger. Those to the app are not held to it.
const MAX_BODY: usize = 1 << 20;

/// No JSON, no UTF-8.
const GARBAGE: &[u8] = b"\x1f\x8b\x00{\"access_token\": \"\xff\xfe";

type Answer = Result<Response<ReplyBody>, Cut>;

pub async fn with_vendor(state: &State, levers: &Levers, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(response(Reply::empty(StatusCode::PAYLOAD_TOO_LARGE)));
    };
    let asked = Asked::new(&parts, body.to_bytes(), &state.url);
    if let Some(reply) = state.control(&asked) {
        return Ok(response(reply));
    }
    let operation = state.operation(&asked);
    let (seq, plan, fault) = disturbed(state, levers, &asked, operation).await?;
    if let Some(raw) = fault.raw {
        return Ok(spoken(levers, raw));
    }
    let mut notes = Vec::new();
    let mut reply = match fault.reply(operation) {
        Some(reply) => reply,
        None => state.answer(operation, &asked, &plan, &mut notes),
    };
    if fault.garbage {
        reply.body = Bytes::from_static(GARBAGE);
    }
    state.journal.answered(seq, reply.status, notes);
    Ok(finished(response(reply), &asked, &plan, fault.truncate))
}

pub async fn with_app(state: &Arc<State>, levers: &Levers, request: Request<Incoming>) -> Answer {
    let open = state.traffic.app_requests.enter();
    let (parts, body) = request.into_parts();
    let asked = Asked::new(&parts, Bytes::new(), &state.app.url);
    let (seq, plan, fault) = disturbed(state, levers, &asked, Operation::App).await?;
    let mut upload = Upload::new(body, seq, state);
    if let Some(raw) = fault.raw {
        upload.take_in_if_small(&asked.headers).await;
        return Ok(spoken(levers, raw));
    }
    let refused = fault.reply(Operation::App).or_else(|| app::door::refused(state, &asked, fault.refuse));
    let mut answer = match refused {
        Some(reply) => {
            upload.take_in_if_small(&asked.headers).await;
            response(reply)
        }
        None => app::answer(state, &asked, Request::from_parts(parts, upload), levers).await,
    };
    if fault.garbage {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(GARBAGE.len()));
        *answer.body_mut() = ReplyBody::whole(Bytes::from_static(GARBAGE));
    }
    state.journal.answered(seq, answer.status(), Vec::new());
    Ok(finished(answer, &asked, &plan, fault.truncate).map(|body| body.holding(open)))
}

/// Writes the request down and lets the faults that concern it have their way: a delay, a hang, a reset.
async fn disturbed(
    state: &State,
    levers: &Levers,
    asked: &Asked,
    operation: Operation,
) -> Result<(u64, Plan, Fault), Cut> {
    let seq = state.journal.arrived(asked, operation, levers.number);
    let plan = state.faults.take(operation, &asked.path);
    if plan.touched {
        state.journal.faulted(seq);
    }
    if let Some(delay) = plan.delay {
        sleep(delay).await;
    }
    let fault = plan.replaced.clone().unwrap_or_default();
    if fault.hang {
        // Until the client gives up: hyper drops this future with the connection, or with the stream in HTTP/2.
        std::future::pending::<Infallible>().await;
    }
    if fault.reset {
        levers.reset();
        return Err(Cut);
    }
    Ok((seq, plan, fault))
}

/// The raw bytes of a fault, and the end of the connection. The response only makes hyper write: it is swallowed.
fn spoken(levers: &Levers, bytes: String) -> Response<ReplyBody> {
    levers.say(Raw { bytes: bytes.into(), last: true });
    response(Reply::empty(StatusCode::OK).with(CONNECTION, "close"))
}

/// What faults and the method have to say to an answer that is there.
fn finished(mut answer: Response<ReplyBody>, asked: &Asked, plan: &Plan, truncate: bool) -> Response<ReplyBody> {
    for (name, value) in &plan.extra_headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    if asked.method == Method::HEAD {
        // HTTP/1.1 leaves the body out by itself, HTTP/2 does not.
        return answer.map(|_| ReplyBody::nothing());
    }
    if truncate { answer.map(ReplyBody::truncated) } else { answer }
}

/// A reply as hyper wants it.
pub fn response(reply: Reply) -> Response<ReplyBody> {
    let length = HeaderValue::from(reply.body.len());
    let mut response = Response::new(ReplyBody::whole(reply.body));
    *response.status_mut() = reply.status;
    response.headers_mut().extend(reply.headers);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}
