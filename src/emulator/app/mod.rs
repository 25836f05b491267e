//! A Databricks App on a host of its own (databricks.md section 5): the vendor's proxy in front, which asks for a token
//! and sets identity headers, and behind it an app that does under `/api/` all that a reverse proxy has to cope with.

pub(super) mod door;
mod echo;
mod heads;
pub(super) mod websocket;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use serde::Serialize;
use tokio::time::sleep;

use super::State;
use super::server::{Levers, ReplyBody, Upload, response};
use super::settings::{AppRefusal, AppSettings};
use super::wire::{Asked, Reply};

/// What the emulator knows of the app.
#[derive(Debug)]
pub(super) struct App {
    /// Its own host.
    pub url: String,
    pub settings: AppSettings,
    refusal: Mutex<AppRefusal>,
}

/// What is under way at the Databricks App.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AppTraffic {
    /// Open connections, WebSockets among them.
    pub connections: u64,
    /// Requests whose answer has not ended yet.
    pub requests: u64,
}

impl App {
    pub fn new(url: String, settings: AppSettings) -> Self {
        Self { url, refusal: Mutex::new(settings.refusal), settings }
    }

    pub fn refusal(&self) -> AppRefusal {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_refusal(&self, refusal: AppRefusal) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

/// Answers one request that was let in.
pub(super) async fn answer(
    state: &State,
    asked: &Asked,
    request: Request<Upload>,
    levers: &Levers,
) -> Response<ReplyBody> {
    let limit = state.app.settings.request_limit;
    match asked.path.as_str() {
        "/api/sse" => {
            let body =
                ReplyBody::events(number(asked, "events", 5), Duration::from_millis(number(asked, "every_ms", 100)));
            streamed("text/event-stream", body.within(limit))
        }
        "/api/bytes" => {
            let count = number(asked, "count", 1 << 20);
            let mut answer = streamed("application/octet-stream", ReplyBody::dots(count).within(limit));
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(count));
            answer
        }
        "/api/slow" => {
            let wanted = Duration::from_millis(number(asked, "ms", 1000));
            sleep(limit.map_or(wanted, |limit| wanted.min(limit))).await;
            let late = limit.is_some_and(|limit| wanted >= limit);
            response(Reply::empty(if late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::NO_CONTENT }))
        }
        "/api/duplex" => streamed("application/octet-stream", ReplyBody::back(request.into_body()).within(limit)),
        "/api/status" => heads::status(asked),
        "/api/early" => response(Reply::json(code(asked, 413), &serde_json::json!({"app": "did not read the body"}))),
        "/api/redirect" => heads::redirect(asked),
        "/api/headers" => heads::many(asked),
        "/api/rude-headers" => heads::rude(),
        "/api/continue" => {
            heads::early_hints(asked, levers);
            echo::answer(state, asked, request).await
        }
        "/api/trailers" => echo::with_trailers(state, asked, request).await,
        "/api/ws" => websocket::accept(asked, request, levers, &state.app.url),
        _ => echo::answer(state, asked, request).await,
    }
}

fn streamed(kind: &'static str, body: ReplyBody) -> Response<ReplyBody> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn number(asked: &Asked, name: &str, default: u64) -> u64 {
    asked.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The status of `?code=`. An interim one is none that can be answered.
fn code(asked: &Asked, default: u16) -> StatusCode {
    let named = u16::try_from(number(asked, "code", default.into())).ok();
    let status = named.and_then(|code| StatusCode::from_u16(code).ok());
    status.filter(|status| !status.is_informational()).unwrap_or(StatusCode::BAD_REQUEST)
}
