//! `/status`: the state of things on one page, for people, or as JSON.

use std::fmt::Write;

use serde::Serialize;

use super::{Site, Snapshot};
use crate::identity::Issuer;
use crate::model::clock::rfc3339;
use crate::tokens::{ServiceTokens, Upstream};

#[derive(Serialize)]
struct Status {
    version: &'static str,
    now: String,
    uptime_seconds: u64,
    state: &'static str,
    upstreams: Vec<UpstreamStatus>,
    embeds: Vec<EmbedStatus>,
    routes: Vec<RouteStatus>,
    /// Null where callers name the viewer.
    viewers_issuer: Option<IssuerStatus>,
    cache: CacheStatus,
    recent_errors: Vec<ErrorStatus>,
}

#[derive(Serialize)]
struct UpstreamStatus {
    name: String,
    kind: &'static str,
    host: String,
    service_token: &'static str,
    expires_at: Option<String>,
    expires_in: Option<u64>,
    last_error: Option<String>,
    /// The vendor asked for a pause of so many more seconds.
    paused_for: Option<u64>,
    /// Null where there is no limit.
    loads_per_window: Option<u32>,
    window_seconds: Option<f64>,
    /// Whose limit it is: `process`, `fleet`, `share` (the fleet's Redis is away), `joining`.
    load_limit_of: Option<&'static str>,
    loads_waiting: usize,
}

#[derive(Serialize)]
struct EmbedStatus {
    name: String,
    upstream: String,
    /// The id of what is shown.
    item: String,
    min_ttl_seconds: u64,
}

#[derive(Serialize)]
struct RouteStatus {
    name: String,
    upstream: String,
    target: String,
    /// The app that tokens are exchanged for.
    audience: Option<String>,
    allow: Vec<String>,
}

#[derive(Serialize)]
struct IssuerStatus {
    issuer: String,
    state: &'static str,
    /// With which viewers' tokens can be checked.
    keys: usize,
    /// Published for other purposes, or of no use.
    keys_skipped: usize,
    /// None where they are in a file.
    keys_age_seconds: Option<u64>,
    last_error: Option<String>,
}

#[derive(Serialize)]
struct CacheStatus {
    viewer_tokens: u64,
    bytes: u64,
    max_bytes: u64,
}

#[derive(Serialize)]
struct ErrorStatus {
    at: String,
    of: String,
    code: &'static str,
    detail: String,
    times: u64,
}

pub(super) fn json(site: &Site, snapshot: &Snapshot) -> Vec<u8> {
    serde_json::to_vec_pretty(&status(site, snapshot)).unwrap_or_default()
}

fn status(site: &Site, snapshot: &Snapshot) -> Status {
    let now = site.clock.now();
    let (viewer_tokens, bytes) = site.tokens.size();
    let errors = site.recent.list().into_iter().map(|failure| ErrorStatus {
        at: rfc3339(failure.at),
        of: failure.of,
        code: failure.fault.code().as_str(),
        detail: failure.fault.detail().to_owned(),
        times: failure.times,
    });
    Status {
        version: env!("CARGO_PKG_VERSION"),
        now: rfc3339(now.unix_seconds()),
        uptime_seconds: now.since(site.started).as_secs(),
        state: if site.stop.has_begun() { "draining" } else { "running" },
        upstreams: snapshot.upstreams.values().map(|upstream| upstream_status(upstream)).collect(),
        embeds: snapshot.config.embeds.values().map(|embed| embed_status(embed)).collect(),
        routes: snapshot.config.routes.values().map(|route| route_status(route)).collect(),
        viewers_issuer: snapshot.issuer.as_deref().map(issuer_status),
        cache: CacheStatus { viewer_tokens, bytes, max_bytes: snapshot.config.cache.max_size },
        recent_errors: errors.collect(),
    }
}

fn upstream_status(upstream: &Upstream) -> UpstreamStatus {
    let service = upstream.service.as_ref().map(ServiceTokens::status);
    let alive = service.as_ref().and_then(|service| service.expires).filter(|(_, left)| !left.is_zero());
    let failure = service.as_ref().and_then(|service| service.failure.as_ref());
    let state = match (&alive, failure) {
        _ if service.is_none() => "none needed",
        (Some(_), None) => "fresh",
        (Some(_), Some(_)) => "valid, renewal fails",
        (None, Some(_)) => "missing",
        (None, None) => "being fetched",
    };
    let limit = upstream.limiter.as_ref().map(|limiter| limiter.limit());
    UpstreamStatus {
        name: upstream.config.name.clone(),
        kind: upstream.config.system.kind(),
        host: upstream.config.system.host().to_string(),
        service_token: state,
        expires_at: alive.map(|(at, _)| rfc3339(at)),
        expires_in: alive.map(|(_, left)| left.as_secs()),
        last_error: failure.cloned().or_else(|| upstream.vendor.trouble()).map(|fault| fault.to_string()),
        paused_for: upstream.vendor.paused_for().map(|rest| rest.as_secs() + 1),
        loads_per_window: limit.map(|limit| limit.per_second),
        window_seconds: limit.map(|limit| limit.window.as_secs_f64()),
        load_limit_of: upstream.limiter.as_ref().map(|limiter| limiter.standing().as_str()),
        loads_waiting: upstream.limiter.as_ref().map_or(0, |limiter| limiter.waiting()),
    }
}

fn issuer_status(issuer: &Issuer) -> IssuerStatus {
    let status = issuer.status();
    let state = match (status.size, &status.failure) {
        (Some(_), None) => "keys in hand",
        (Some(_), Some(_)) => "keys in hand, renewal fails",
        (None, Some(_)) => "no keys",
        (None, None) => "keys are being fetched",
    };
    let (keys, keys_skipped) = status.size.unwrap_or_default();
    IssuerStatus {
        issuer: issuer.config.name.clone(),
        state,
        keys,
        keys_skipped,
        keys_age_seconds: status.age.map(|age| age.as_secs()),
        last_error: status.failure.map(|fault| fault.to_string()),
    }
}

fn embed_status(embed: &crate::config::Embed) -> EmbedStatus {
    EmbedStatus {
        name: embed.name.clone(),
        upstream: embed.upstream.name.clone(),
        item: embed.item.id().to_owned(),
        min_ttl_seconds: embed.min_ttl.as_secs(),
    }
}

fn route_status(route: &crate::config::Route) -> RouteStatus {
    RouteStatus {
        name: route.name.clone(),
        upstream: route.upstream.name.clone(),
        target: route.target.to_string(),
        audience: route.audience.clone(),
        allow: route.allow.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn page(site: &Site, snapshot: &Snapshot) -> String {
    let status = status(site, snapshot);
    let mut page = String::with_capacity(8 << 10);
    page.push_str(include_str!("status_head.html"));
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<header><i></i><h1>Sidemint</h1><b class=\"{0}\">{0}</b><p>version {1} · up {2} · {3}</p></header>",
        status.state,
        status.version,
        span(status.uptime_seconds),
        status.now
    );
    table(
        &mut page,
        "Upstreams",
        &["name", "kind", "host", "service token", "expires", "load limit", "waiting", "last error"],
        status.upstreams.iter().map(upstream_row),
    );
    let embed = |embed: &EmbedStatus| {
        [embed.name.clone(), embed.upstream.clone(), embed.item.clone(), span(embed.min_ttl_seconds)].to_vec()
    };
    table(
        &mut page,
        "Embeds",
        &["name", "upstream", "shows", "least life handed out"],
        status.embeds.iter().map(embed),
    );
    let route = |route: &RouteStatus| {
        let allow = if route.allow.is_empty() { "nothing".to_owned() } else { route.allow.join(", ") };
        [route.name.clone(), route.upstream.clone(), route.target.clone(), allow].to_vec()
    };
    if !status.routes.is_empty() {
        table(&mut page, "Routes", &["name", "upstream", "target", "lets through"], status.routes.iter().map(route));
    }
    if let Some(issuer) = &status.viewers_issuer {
        let heads = ["issuer", "keys", "usable", "left out", "age", "last error"];
        table(&mut page, "Viewers", &heads, std::iter::once(issuer_row(issuer)));
    }
    let cache =
        [status.cache.viewer_tokens.to_string(), size(status.cache.bytes), size(status.cache.max_bytes)].to_vec();
    table(&mut page, "Cache", &["viewer tokens", "memory", "bound"], std::iter::once(cache));
    let error = |e: &ErrorStatus| {
        [e.at.clone(), e.of.clone(), e.code.to_owned(), e.times.to_string(), e.detail.clone()].to_vec()
    };
    table(
        &mut page,
        "Last errors",
        &["last seen", "of", "code", "times", "what to do"],
        status.recent_errors.iter().map(error),
    );
    page.push_str("<footer><a href=\"/metrics\">metrics</a> · <code>curl -H 'Accept: application/json'</code> gives this page as JSON</footer></main>");
    page
}

fn upstream_row(upstream: &UpstreamStatus) -> Vec<String> {
    let expires = match (&upstream.expires_at, upstream.expires_in) {
        (Some(at), Some(left)) => format!("in {} ({at})", span(left)),
        _ => "–".to_owned(),
    };
    let state = match upstream.paused_for {
        Some(seconds) => format!("{}; vendor asked for a pause of {seconds} s", upstream.service_token),
        None => upstream.service_token.to_owned(),
    };
    let limit = match upstream.loads_per_window.zip(upstream.window_seconds) {
        Some((loads, seconds)) => format!("{loads} per {seconds} s{}", whose(upstream.load_limit_of)),
        None => "none".to_owned(),
    };
    [
        upstream.name.clone(),
        upstream.kind.to_owned(),
        upstream.host.clone(),
        state,
        expires,
        limit,
        upstream.loads_waiting.to_string(),
        upstream.last_error.clone().unwrap_or_else(|| "–".to_owned()),
    ]
    .to_vec()
}

fn whose(limit_of: Option<&str>) -> &'static str {
    match limit_of {
        Some("fleet") => ", for the whole fleet",
        Some("share") => ", of which this replica takes its share: the fleet's Redis is away",
        Some("joining") => ", and is looking for its fleet",
        _ => "",
    }
}

fn issuer_row(issuer: &IssuerStatus) -> Vec<String> {
    [
        issuer.issuer.clone(),
        issuer.state.to_owned(),
        issuer.keys.to_string(),
        issuer.keys_skipped.to_string(),
        issuer.keys_age_seconds.map_or_else(|| "–".to_owned(), span),
        issuer.last_error.clone().unwrap_or_else(|| "–".to_owned()),
    ]
    .to_vec()
}

fn table(page: &mut String, title: &str, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(page, "<section><h2>{title}</h2><table><thead><tr>");
    heads.iter().for_each(|head| {
        let _ = write!(page, "<th>{head}</th>");
    });
    page.push_str("</tr></thead><tbody>");
    let before = page.len();
    for row in rows {
        page.push_str("<tr>");
        row.iter().for_each(|cell| {
            let _ = write!(page, "<td>{}</td>", escape(cell));
        });
        page.push_str("</tr>");
    }
    if page.len() == before {
        let _ = write!(page, "<tr><td colspan=\"{}\" class=\"none\">none</td></tr>", heads.len());
    }
    page.push_str("</tbody></table></section>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn size(bytes: u64) -> String {
    let kib = bytes.div_ceil(1024);
    if kib < 1024 { format!("{kib} KiB") } else { format!("{:.1} MiB", kib as f64 / 1024.0) }
}

fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}
