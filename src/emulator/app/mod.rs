//! A Databricks App on a host of its own (databricks.md section 5): the vendor's proxy in front, which asks for a token
//! and sets identity headers, and behind it an app that echoes, streams events and bytes, and speaks WebSocket.

pub(super) mod websocket;

use std::sync::PoisonError;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, ORIGIN, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use super::State;
use super::server::{Leaving, ReplyBody, response};
use super::wire::{Asked, Reply, header};

/// What the emulator knows of the app.
#[derive(Debug)]
pub(super) struct App {
    /// Its own host.
    pub url: String,
    /// See [`AppSettings::request_limit`](super::AppSettings::request_limit).
    pub request_limit: Option<Duration>,
}

/// The body of an echoed request is shown up to this length; its digest covers all of it.
const SHOWN: usize = 4096;

/// Answers one request to the app's host.
pub(super) async fn answer(
    state: &State,
    asked: &Asked,
    request: Request<Incoming>,
    leaving: &Leaving,
) -> Response<ReplyBody> {
    if let Some(refused) = at_the_door(state, asked) {
        return response(refused);
    }
    let limit = state.app.request_limit;
    match asked.path.as_str() {
        "/api/sse" => {
            let body =
                ReplyBody::events(number(asked, "events", 5), Duration::from_millis(number(asked, "every_ms", 100)));
            streamed("text/event-stream", body.within(limit))
        }
        "/api/bytes" => {
            let count = number(asked, "count", 1 << 20);
            let mut answer = streamed("application/octet-stream", ReplyBody::dots(count));
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(count));
            answer
        }
        "/api/slow" => {
            let wanted = Duration::from_millis(number(asked, "ms", 1000));
            sleep(limit.map_or(wanted, |limit| wanted.min(limit))).await;
            let late = limit.is_some_and(|limit| wanted >= limit);
            response(Reply::empty(if late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::NO_CONTENT }))
        }
        "/api/status" => {
            let code = u16::try_from(number(asked, "code", 200)).ok().and_then(|code| StatusCode::from_u16(code).ok());
            response(Reply::json(code.unwrap_or(StatusCode::OK), &json!({"app": "says so"})))
        }
        "/api/ws" => websocket::accept(asked, request, leaving, &state.app.url),
        _ => echo(state, asked, request, limit).await,
    }
}

/// The vendor's proxy. Without a token, or with one that is none, it sends the caller to sign in, for WebSockets too;
/// tokens work under `/api/` only.
fn at_the_door(state: &State, asked: &Asked) -> Option<Reply> {
    if asked.path == "/oidc/oauth2/v2.0/authorize" {
        return Some(Reply::html("<html><head><title>Sign in</title></head><body>Sign in to Databricks</body></html>"));
    }
    let to_sign_in = || {
        let place =
            format!("{}/oidc/oauth2/v2.0/authorize?redirect_uri={}/.auth/callback", state.app.url, state.app.url);
        Some(Reply::redirect(StatusCode::FOUND, &place))
    };
    let Some(token) = asked.bearer().filter(|_| asked.path.starts_with("/api/")) else {
        return to_sign_in();
    };
    match state.databricks.admits_to_app(token) {
        Some(true) => None,
        Some(false) => Some(Reply::platform(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "The token lacks scopes.")),
        None if token.matches('.').count() == 2 => {
            Some(Reply::platform(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "Invalid Token"))
        }
        None => to_sign_in(),
    }
}

/// What the app saw of the request. The body is digested as it comes, whatever its size.
async fn echo(
    state: &State,
    asked: &Asked,
    request: Request<Incoming>,
    limit: Option<Duration>,
) -> Response<ReplyBody> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let reading = digested(request.into_body());
    let read = timeout(limit.unwrap_or(Duration::MAX), reading).await;
    let Ok(Some((length, digest, shown))) = read else {
        return response(Reply::empty(StatusCode::GATEWAY_TIMEOUT));
    };
    let seen = json!({
        "method": asked.method.as_str(), "path": asked.path, "query": query, "headers": forwarded(state, asked),
        "body": {"length": length, "sha256": digest, "text": shown},
    });
    response(Reply::json(StatusCode::OK, &seen))
}

async fn digested(mut body: Incoming) -> Option<(u64, String, String)> {
    let (mut digest, mut length, mut start) = (Context::new(&SHA256), 0_u64, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        digest.update(&data);
        length += data.len() as u64;
        let room = SHOWN.saturating_sub(start.len()).min(data.len());
        start.extend_from_slice(&data[..room]);
    }
    let hex = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Some((length, hex, String::from_utf8_lossy(&start).into_owned()))
}

/// The headers as they arrive at the app: the proxy takes `Authorization` and its own cookies away and replaces
/// whatever identity the caller claims.
fn forwarded(state: &State, asked: &Asked) -> Value {
    let is_claimed =
        |name: &HeaderName| name == "authorization" || name == COOKIE || name.as_str().starts_with("x-forwarded-");
    let mut headers = Map::new();
    for (name, value) in asked.headers.iter().filter(|(name, _)| !is_claimed(name)) {
        headers.insert(name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())));
    }
    let settings = state.databricks.settings();
    let principal = format!("{}@{}", settings.client_id, settings.workspace_id);
    let host = state.app.url.split("//").nth(1).unwrap_or_default();
    for (name, value) in [
        ("x-forwarded-host", host),
        ("x-forwarded-user", &principal),
        ("x-forwarded-preferred-username", &settings.client_id),
        ("x-real-ip", "127.0.0.1"),
    ] {
        headers.insert(name.to_owned(), json!(value));
    }
    Value::Object(headers)
}

fn streamed(kind: &'static str, body: ReplyBody) -> Response<ReplyBody> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn number(asked: &Asked, name: &str, default: u64) -> u64 {
    asked.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}
