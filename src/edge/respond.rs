//! Replies, and the one mouth through which faults become HTTP.

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;

use super::Body;
use crate::model::{Class, Code, Fault};

/// What goes back.
pub type Response = http::Response<Body>;

/// What handlers give. A hit is answered without any future: moving one that could also mint costs
/// more than the whole hit (measured: 2,000 of 20,000 instructions were copies of futures).
pub enum Answer {
    /// At once.
    Ready(Response),
    /// After some waiting.
    Later(Pin<Box<dyn Future<Output = Response> + Send>>),
}

impl Answer {
    /// After some waiting.
    pub fn later(future: impl Future<Output = Response> + Send + 'static) -> Answer {
        Answer::Later(Box::pin(future))
    }
}

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What every JSON reply with a token says, made once: copying a map is cheaper than filling one.
static TOKEN_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = headers("application/json");
    headers.insert(SERVER_TIMING, HeaderValue::from_static(""));
    headers
});

/// A reply that bears a token: kept by nobody on the way.
pub fn token(content_type: &'static str, body: Vec<u8>, timing: HeaderValue) -> Response {
    let mut response = Response::new(Body::Whole(Full::new(body.into())));
    let headers = response.headers_mut();
    headers.clone_from(&TOKEN_HEADERS);
    if let Some(slot) = headers.get_mut(&SERVER_TIMING) {
        *slot = timing;
    }
    if content_type != "application/json" {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

/// Plain text.
pub fn text(status: u16, text: &'static str) -> Response {
    reply(status_of(status), "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

/// Any content.
pub fn content(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    reply(status_of(status), content_type, body.into())
}

/// `application/problem+json` (RFC 9457).
pub fn problem(fault: &Fault) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: String,
        title: &'a str,
        status: u16,
        code: &'a str,
        class: &'a str,
        detail: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        request_id: String,
    }
    let code = fault.code();
    let retry_after = (code.class() == Class::Retry).then(|| whole_seconds(fault.retry_hint()));
    let request_id = format!("{:016x}", fastrand::u64(..));
    let body = Problem {
        r#type: format!("urn:sidemint:error:{}", code.as_str()),
        title: code.title(),
        status: code.status(),
        code: code.as_str(),
        class: code.class().as_str(),
        detail: fault.detail(),
        retry_after,
        request_id,
    };
    // Everybody is told `draining`; one line at its beginning is enough.
    if code.status() >= 500 && code != Code::Draining {
        tracing::warn!(code = body.code, detail = body.detail, request_id = body.request_id, "a request failed");
    }
    let json = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = reply(status_of(code.status()), "application/problem+json", json.into());
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(challenge) = challenge(code) {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// What a 401 asks for (RFC 9110 section 15.5.2): a bearer token of the viewer (RFC 6750), or a header of our own,
/// which no browser knows to ask its user for.
fn challenge(code: Code) -> Option<&'static str> {
    match code {
        Code::ViewerUnauthenticated => Some("Bearer"),
        Code::CallerUnauthenticated => Some("Sidemint-Request"),
        _ => None,
    }
}

/// What everybody is told at the end.
pub fn draining() -> Response {
    let mut response = problem(&Fault::new(Code::Draining, "sidemint is stopping; ask the next one"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The same, with the methods that would be allowed (RFC 9110 section 15.5.6).
pub fn method_not_allowed(fault: &Fault, allow: &'static str) -> Response {
    let mut response = problem(fault);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// At least one second: a client that is told 0 comes back at once.
fn whole_seconds(hint: Option<Duration>) -> u64 {
    hint.map_or(1, |hint| hint.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)).max(1)
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Response {
    let mut response = Response::new(Body::Whole(Full::new(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers(content_type);
    response
}

fn headers(content_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
}
