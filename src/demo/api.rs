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

use super::burst::{self, Lines};
use super::sidecar::Answer;
use super::vendors::VENDORS;
use super::{App, Embed};

type Reply = Response<Either<Full<Bytes>, Lines>>;

const MAX_BODY: usize = 16 << 10;
const NO_EMBED: &str = "the app has no such embed";

/// The page's modules.
const SCRIPTS: [(&str, &str); 7] = [
    ("/page.js", include_str!("page/page.js")),
    ("/common.js", include_str!("page/common.js")),
    ("/burst.js", include_str!("page/burst.js")),
    ("/vendors.js", include_str!("page/vendors.js")),
    ("/embed-client.js", include_str!("page/embed-client.js")),
    ("/report-client.js", include_str!("page/report-client.js")),
    ("/boldbi-client.js", include_str!("page/boldbi-client.js")),
];

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
    /// When the page is to renew tokens, in seconds after their issue; none restores the normal life.
    renew_after: Option<u64>,
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
        "/page.css" => file("text/css; charset=utf-8", include_str!("page/page.css")),
        "/api/viewers" => reply(&json!({
            "viewers": app.settings.viewers,
            "embeds": app.settings.embeds.iter().map(shown).collect::<Vec<_>>(),
            "sidecar_url": app.settings.sidecar_url,
            "status_url": format!("{}/status", app.settings.admin_url),
            "emulator_url": app.emulator.url(),
        })),
        "/api/stats" => reply(&stats(app)),
        _ => {
            let script = SCRIPTS.iter().find(|(name, _)| *name == path);
            script.map_or_else(
                || refused(StatusCode::NOT_FOUND, "no such page"),
                |(_, text)| file("text/javascript; charset=utf-8", text),
            )
        }
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
            let Some(embed) = embed(app, ask.embed.as_deref()) else {
                return Ok(refused(StatusCode::NOT_FOUND, NO_EMBED));
            };
            let lines = burst::fire(app, embed, ask.count.min(burst::MOST));
            let mut reply = Response::new(Either::Right(lines));
            set(&mut reply, CONTENT_TYPE, "application/x-ndjson");
            Ok(reply)
        }
        "/api/outage" => {
            app.set_outage(read::<OutageAsk>(body)?.on);
            Ok(reply(&stats(app)))
        }
        "/api/token-life" => {
            app.set_renewal(read::<LifeAsk>(body)?.renew_after.map(Duration::from_secs));
            Ok(reply(&stats(app)))
        }
        _ => Ok(refused(StatusCode::NOT_FOUND, "no such endpoint")),
    }
}

/// One of the embeds that the app has; the first where none is named.
fn embed<'a>(app: &'a App, named: Option<&str>) -> Option<&'a Embed> {
    let mut embeds = app.settings.embeds.iter();
    embeds.find(|embed| named.is_none_or(|name| embed.name == name))
}

/// What the page has to know of an embed before it has a token.
fn shown(embed: &Embed) -> Value {
    json!({"name": embed.name, "kind": embed.kind, "vendor": embed.kind.vendor().name})
}

/// The page names who is signed in, which stands for the session cookie of a real app. What that viewer may see is
/// looked up here.
async fn token(app: &App, ask: &TokenAsk) -> Reply {
    let Some(viewer) = app.settings.viewers.iter().find(|viewer| viewer.id == ask.viewer) else {
        return refused(StatusCode::FORBIDDEN, "nobody of that id is signed in");
    };
    let Some(embed) = embed(app, ask.embed.as_deref()) else {
        return refused(StatusCode::NOT_FOUND, NO_EMBED);
    };
    let (purpose, is_load) = match ask.purpose {
        Purpose::Load => ("load", true),
        Purpose::Renew => ("renew", false),
    };
    let id = app.session_id(&viewer.id);
    match app.sidecar.token(&embed.name, &id, &viewer.value, purpose).await {
        Ok(answer) => {
            if is_load && answer.status.is_success() {
                app.count_view(embed.kind);
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

/// The scoreboard, in all and of each vendor.
fn stats(app: &App) -> Value {
    let (mut views, mut calls, mut example) = (0, 0, 0);
    let vendors = VENDORS.iter().zip(&app.views).map(|(vendor, seen)| {
        let (seen, made) = (seen.load(Ordering::Relaxed), vendor.calls_made(&app.emulator));
        views += seen;
        calls += made;
        example += vendor.example_calls * seen;
        let by_call: Value = (vendor.calls.iter())
            .map(|(operation, name)| ((*name).to_owned(), Value::from(app.emulator.count(*operation))))
            .collect();
        json!({
            "kind": vendor.kind, "name": vendor.name, "views": seen, "calls": made, "by_call": by_call,
            "example_calls_per_view": vendor.example_calls, "renewed_before": vendor.renewed_before.as_secs(),
            "loads_per_second": (vendor.loads_per_second)(&app.emulator),
        })
    });
    let vendors: Vec<Value> = vendors.collect();
    let (outage, renew_after) = {
        let switches = app.switches();
        (!switches.outage.is_empty(), switches.renew_after)
    };
    json!({
        "views": views,
        "vendors": vendors,
        "upstream_calls": calls,
        "vendor_example_calls": example,
        "loads": app.emulator.loads(),
        "faults": app.emulator.faults().len(),
        "outage": outage,
        "renew_after": renew_after.map(|after| after.as_secs()),
    })
}

/// The page may frame the vendor and nobody else. The vendor's page learns from the referrer whom to talk to, so the
/// referrer must not be hidden.
fn page(app: &App) -> Reply {
    let mut reply = file("text/html; charset=utf-8", include_str!("page/index.html"));
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
