//! The host app's endpoints: the page and its files, and what the page asks of the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::App;
use super::burst::{self, Lines};
use super::sidecar::Answer;
use crate::emulator::Operation;

type Reply = Response<Either<Full<Bytes>, Lines>>;

const MAX_BODY: usize = 16 << 10;

/// The page wants a token for the viewer who is signed in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenAsk {
    viewer: String,
    embed: Option<String>,
    purpose: Purpose,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Purpose {
    Load,
    Renew,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageAsk {
    on: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LifeAsk {
    /// None restores the normal life.
    seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BurstAsk {
    count: u32,
    embed: Option<String>,
}

/// Answers one request.
pub(super) async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if parts.method == Method::GET {
        return Ok(get(&app, path));
    }
    // A page of another origin cannot send this type without asking first, and it is never allowed to.
    let is_json = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if parts.method != Method::POST || !is_json {
        return Ok(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "POST application/json"));
    }
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    };
    let reply = post(&app, path, &body.to_bytes()).await;
    Ok(reply.unwrap_or_else(|error| refused(StatusCode::BAD_REQUEST, &error.to_string())))
}

fn get(app: &App, path: &str) -> Reply {
    match path {
        "/" => page(app),
        "/page.css" => file("text/css; charset=utf-8", include_str!("page.css")),
        "/page.js" => file("text/javascript; charset=utf-8", include_str!("page.js")),
        "/embed-client.js" => file("text/javascript; charset=utf-8", include_str!("embed-client.js")),
        "/api/viewers" => reply(&json!({
            "viewers": app.settings.viewers,
            "embeds": app.settings.embeds,
            "sidecar_url": app.settings.sidecar_url,
            "status_url": format!("{}/status", app.settings.admin_url),
            "emulator_url": app.emulator.url(),
        })),
        "/api/stats" => reply(&stats(app)),
        _ => refused(StatusCode::NOT_FOUND, "no such page"),
    }
}

async fn post(app: &Arc<App>, path: &str, body: &Bytes) -> Result<Reply, serde_json::Error> {
    match path {
        "/api/token" => {
            let ask: TokenAsk = read(body)?;
            Ok(token(app, &ask).await)
        }
        "/api/burst" => {
            let ask: BurstAsk = read(body)?;
            let lines = burst::fire(app, embed(app, ask.embed.as_deref()), ask.count.min(burst::MOST));
            let mut reply = Response::new(Either::Right(lines));
            set(&mut reply, CONTENT_TYPE, "application/x-ndjson");
            Ok(reply)
        }
        "/api/outage" => {
            app.set_outage(read::<OutageAsk>(body)?.on);
            Ok(reply(&stats(app)))
        }
        "/api/token-life" => {
            app.set_token_life(read::<LifeAsk>(body)?.seconds.map(Duration::from_secs));
            Ok(reply(&stats(app)))
        }
        _ => Ok(refused(StatusCode::NOT_FOUND, "no such endpoint")),
    }
}

/// One of the embeds that the app has; the first where none, or no such one, is named.
fn embed<'a>(app: &'a App, named: Option<&str>) -> &'a str {
    let embeds = &app.settings.embeds;
    let found = embeds.iter().find(|embed| Some(embed.as_str()) == named).or_else(|| embeds.first());
    found.map_or("default", String::as_str)
}

/// The page names who is signed in, which stands for the session cookie of a real app. What that viewer may see is
/// looked up here.
async fn token(app: &App, ask: &TokenAsk) -> Reply {
    let Some(viewer) = app.settings.viewers.iter().find(|viewer| viewer.id == ask.viewer) else {
        return refused(StatusCode::FORBIDDEN, "nobody of that id is signed in");
    };
    let (purpose, is_load) = match ask.purpose {
        Purpose::Load => ("load", true),
        Purpose::Renew => ("renew", false),
    };
    let id = app.session_id(&viewer.id);
    match app.sidecar.token(embed(app, ask.embed.as_deref()), &id, &viewer.value, purpose).await {
        Ok(answer) => {
            if is_load && answer.status.is_success() {
                app.count_view();
            }
            passed_on(answer)
        }
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, &format!("the sidecar cannot be reached: {error}")),
    }
}

fn passed_on(answer: Answer) -> Reply {
    let mut reply = Response::new(Either::Left(Full::from(answer.body)));
    *reply.status_mut() = answer.status;
    set(&mut reply, CONTENT_TYPE, answer.content_type.as_deref().unwrap_or("application/json"));
    set(&mut reply, CACHE_CONTROL, "no-store");
    if let Some(timing) = answer.server_timing {
        set(&mut reply, HeaderName::from_static("server-timing"), &timing);
    }
    if let Some(wait) = answer.retry_after {
        set(&mut reply, RETRY_AFTER, &wait);
    }
    reply
}

/// The scoreboard. The vendor's example app makes three calls for each view.
fn stats(app: &App) -> Value {
    let count = |operation| app.emulator.count(operation);
    let [service_token, token_info, mint] = [Operation::ServiceToken, Operation::TokenInfo, Operation::Mint].map(count);
    let views = app.views.load(Ordering::Relaxed);
    let (outage, life) = {
        let switches = app.switches();
        (!switches.outage.is_empty(), switches.token_life)
    };
    json!({
        "views": views,
        "upstream": {"service_token": service_token, "token_info": token_info, "mint": mint},
        "upstream_calls": service_token + token_info + mint,
        "vendor_example_calls": 3 * views,
        "loads": app.emulator.loads(),
        "faults": app.emulator.faults().len(),
        "outage": outage,
        "token_life": life.map(|life| life.as_secs()),
    })
}

/// The page may frame the vendor and nobody else. The vendor's page learns from the referrer whom to talk to, so the
/// referrer must not be hidden.
fn page(app: &App) -> Reply {
    let mut reply = file("text/html; charset=utf-8", include_str!("page.html"));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         frame-src {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        app.emulator.url()
    );
    set(&mut reply, CONTENT_SECURITY_POLICY, &policy);
    set(&mut reply, REFERRER_POLICY, "strict-origin-when-cross-origin");
    reply
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, serde_json::Error> {
    serde_json::from_slice(body)
}

fn file(kind: &'static str, text: &'static str) -> Reply {
    let mut reply = Response::new(Either::Left(Full::from(text)));
    set(&mut reply, CONTENT_TYPE, kind);
    set(&mut reply, CACHE_CONTROL, "no-cache");
    reply
}

fn reply(body: &Value) -> Reply {
    let mut reply = Response::new(Either::Left(Full::from(body.to_string())));
    set(&mut reply, CONTENT_TYPE, "application/json");
    set(&mut reply, CACHE_CONTROL, "no-store");
    reply
}

fn refused(status: StatusCode, why: &str) -> Reply {
    let mut reply = reply(&json!({"error": why}));
    *reply.status_mut() = status;
    reply
}

fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}
