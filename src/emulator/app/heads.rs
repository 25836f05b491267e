//! Answers whose head is the point: statuses without a body, redirects, many headers, headers that are not to be
//! passed on.

use std::fmt::Write as _;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ALT_SVC, CONNECTION, CONTENT_LENGTH, ETAG,
    HeaderName, HeaderValue, SERVER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, VIA,
};
use http::{Response, StatusCode, Version};
use serde_json::json;

use super::super::server::{Levers, Raw, ReplyBody, response};
use super::super::wire::{Asked, Reply};
use super::{code, number};

/// No test wants more, and a typing mistake is not to fill the memory.
const MOST: u64 = 10_000;

/// What no proxy should hand to its caller unseen: state and policy for the app's origin, and what is for the next hop
/// only (RFC 9110 section 7.6.1).
const RUDE: [(HeaderName, &str); 15] = [
    (SET_COOKIE, "session=app; Path=/; HttpOnly"),
    (SET_COOKIE, "theme=dark; Domain=example.com"),
    (CONNECTION, "x-secret, keep-alive"),
    (HeaderName::from_static("x-secret"), "1"),
    (HeaderName::from_static("keep-alive"), "timeout=5, max=1000"),
    (HeaderName::from_static("proxy-authenticate"), "Basic realm=\"app\""),
    (HeaderName::from_static("proxy-connection"), "keep-alive"),
    (ALT_SVC, "h3=\":443\"; ma=86400"),
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains; preload"),
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
    (SERVER, "app/1.0"),
    (VIA, "1.1 front"),
    (HeaderName::from_static("x-databricks-org-id"), "1234567890123456"),
    (HeaderName::from_static("sidemint-cache"), "forged"),
];

/// `?code=`: 204 and 304 without a body (RFC 9110 sections 15.3.5 and 15.4.5), 205 with an empty one.
pub fn status(asked: &Asked) -> Response<ReplyBody> {
    let status = code(asked, 200);
    match status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
            let mut answer = response(Reply::empty(status).with(ETAG, "\"app-1\""));
            answer.headers_mut().remove(CONTENT_LENGTH);
            answer
        }
        StatusCode::RESET_CONTENT => response(Reply::empty(status)),
        _ => response(Reply::json(status, &json!({"app": "says so"}))),
    }
}

/// `?to=`, `?code=`.
pub fn redirect(asked: &Asked) -> Response<ReplyBody> {
    let to = asked.query.get("to").map_or("/api/elsewhere", String::as_str);
    response(Reply::redirect(code(asked, 302), to))
}

/// `?n=` headers of `?size=` bytes each: `x-many-0`, `x-many-1` ….
pub fn many(asked: &Asked) -> Response<ReplyBody> {
    let (count, size) = (number(asked, "n", 10).min(MOST), number(asked, "size", 16).min(8 << 20));
    let value = "v".repeat(usize::try_from(size).unwrap_or_default());
    let mut answer = response(Reply::json(StatusCode::OK, &json!({"n": count, "size": size})));
    for place in 0..count {
        let name = HeaderName::try_from(format!("x-many-{place}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// See [`RUDE`]. HTTP/2 has no headers for the next hop: there hyper leaves them out.
pub fn rude() -> Response<ReplyBody> {
    let mut answer = response(Reply::json(StatusCode::OK, &json!({"app": "is rude"})));
    for (name, value) in RUDE {
        answer.headers_mut().append(name, HeaderValue::from_static(value));
    }
    answer
}

/// `?hints=` interim answers ahead of the real one (RFC 8297), in HTTP/1.1 only: hyper has no way to send one, and in
/// HTTP/2 no bytes can be slipped in.
pub fn early_hints(asked: &Asked, levers: &Levers) {
    let count = number(asked, "hints", 1).min(MOST);
    if asked.version != Version::HTTP_11 || count == 0 {
        return;
    }
    let mut hints = String::new();
    for place in 0..count {
        let _ = write!(hints, "HTTP/1.1 103 Early Hints\r\nLink: </api/style-{place}.css>; rel=preload\r\n\r\n");
    }
    levers.say(Raw { bytes: hints.into(), last: false });
}
