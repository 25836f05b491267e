//! The admin port: for kubelet, Prometheus and people.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, HOST, ORIGIN};

use super::route::Lost;
use super::{Site, Snapshot, status};
use crate::edge::{Request, Response, respond};
use crate::model::{Code, Fault, Peer};
use crate::tokens::Upstream;

/// A vendor that is down for so long holds up no start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers a request on the admin port.
pub fn handle(site: &Site, request: &Request, peer: Peer, addresses: &[SocketAddr]) -> Response {
    let snapshot = site.snapshot();
    if let Err(fault) = guard(&snapshot, request, addresses) {
        site.metrics.refused(fault.code());
        return respond::problem(&fault);
    }
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/livez" | "/readyz" | "/startupz" | "/metrics" | "/status" | "/" if !get => {
            Lost::wrong_method("GET").response()
        }
        "/livez" => respond::text(200, "ok\n"),
        "/readyz" => readyz(site, &snapshot),
        "/startupz" => startupz(site, &snapshot),
        "/metrics" => respond::content(200, "text/plain; version=0.0.4; charset=utf-8", site.metrics.render()),
        "/status" | "/" if wants_json(request) => {
            respond::content(200, "application/json", status::json(site, &snapshot))
        }
        "/status" | "/" => respond::content(200, "text/html; charset=utf-8", status::page(site, &snapshot)),
        "/quitquitquit" if snapshot.config.admin.quit => quit(site, request, peer),
        _ => Lost::not_found("here are /livez, /readyz, /startupz, /metrics and /status").response(),
    }
}

/// On loopback, names of others are refused as on the token port; elsewhere probes and scrapers
/// come by address. Pages of other origins have no business here at all.
fn guard(snapshot: &Snapshot, request: &Request, addresses: &[SocketAddr]) -> Result<(), Fault> {
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if headers.get(ORIGIN).is_some_and(|origin| !origin.to_str().is_ok_and(|origin| origin == format!("http://{host}")))
    {
        return Err(Fault::new(Code::ForbiddenOrigin, "pages of other origins may not call the admin port"));
    }
    let loopback = addresses.iter().all(|address| address.ip().is_loopback());
    let port = addresses.first().map_or(0, SocketAddr::port);
    let bare = host.strip_suffix(&format!(":{port}")).unwrap_or(host);
    let own = addresses.iter().any(|address| host == address.to_string());
    let named = ["localhost", "127.0.0.1", "[::1]"].contains(&bare)
        || snapshot.config.server.allowed_hosts.iter().any(|h| h == bare);
    if loopback && !own && !named {
        return Err(Fault::new(Code::ForbiddenHost, "the Host is none of ours, as in DNS rebinding"));
    }
    Ok(())
}

fn wants_json(request: &Request) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}

/// Whether we can answer. An outage with tokens and keys in hand changes nothing about that.
fn readyz(site: &Site, snapshot: &Snapshot) -> Response {
    if site.stop.has_begun() {
        return respond::text(503, "draining\n");
    }
    if snapshot.issuer.as_ref().is_some_and(|issuer| issuer.status().size.is_none()) {
        return respond::text(503, "the keys of the viewers' issuer never came; see /status\n");
    }
    if !limits_are_settled(snapshot) {
        return respond::text(503, "the fleet's Redis has yet to be found, or found to be away\n");
    }
    // Without service tokens there is none to wait for.
    let got = |upstream: &Arc<Upstream>| upstream.service.as_ref().is_none_or(|service| service.status().was_got);
    if snapshot.upstreams.is_empty() || snapshot.upstreams.values().any(got) {
        return respond::text(200, "ready\n");
    }
    respond::text(503, "no upstream has given a service token yet; see /status\n")
}

/// Whether loads can start, together with the fleet or apart from it: three seconds after the start at the latest.
fn limits_are_settled(snapshot: &Snapshot) -> bool {
    snapshot.upstreams.values().filter_map(|upstream| upstream.limiter.as_ref()).all(|limiter| limiter.is_settled())
}

/// What a start waits for: its name in the config, and why it is not there yet.
struct Awaited<'a> {
    name: &'a str,
    failure: Option<Fault>,
}

fn awaited(snapshot: &Snapshot) -> Vec<Awaited<'_>> {
    let upstreams = snapshot.upstreams.iter().filter_map(|(name, upstream)| {
        let status = upstream.service.as_ref()?.status();
        (!status.was_got).then_some(Awaited { name, failure: status.failure })
    });
    let issuer = snapshot.issuer.iter().filter_map(|issuer| {
        let status = issuer.status();
        status.size.is_none().then_some(Awaited { name: "viewers.jwt", failure: status.failure })
    });
    let fleet = (!limits_are_settled(snapshot)).then_some(Awaited { name: "fleet", failure: None });
    upstreams.chain(issuer).chain(fleet).collect()
}

/// Whether the start is over: each upstream has given its first service token and the viewers' issuer its keys, or
/// they have been down for so long that waiting helps nobody. A rejected credential is no outage: a rollout should
/// stop at it.
fn startupz(site: &Site, snapshot: &Snapshot) -> Response {
    let awaited = awaited(snapshot);
    let is_over = site.is_started.load(Ordering::Relaxed);
    let is_down = || awaited.iter().all(|one| one.failure.as_ref().is_none_or(Fault::is_transient));
    let is_long = || site.clock.now().since(site.started) >= PATIENCE;
    if is_over || awaited.is_empty() || (is_down() && is_long()) {
        site.is_started.store(true, Ordering::Relaxed);
        let text = if awaited.is_empty() { "started\n" } else { "started, degraded: an upstream or issuer is down\n" };
        return respond::text(200, text);
    }
    let faults = awaited.iter().filter_map(|one| Some(format!("{}: {}", one.name, one.failure.as_ref()?)));
    let what = "waiting for the first service token of each upstream, and the keys of the viewers' issuer";
    let why: Vec<String> = std::iter::once(what.to_owned()).chain(faults).collect();
    respond::content(503, "text/plain; charset=utf-8", why.join("; ") + "\n")
}

/// The admin port may be at all addresses, for probes and scrapers. To stop us is for those beside us alone.
fn quit(site: &Site, request: &Request, peer: Peer) -> Response {
    if request.method() != Method::POST {
        return Lost::wrong_method("POST").response();
    }
    if !peer.is_beside_us() {
        let fault = Fault::new(Code::ForbiddenHost, "/quitquitquit is for this machine, or this pod: call 127.0.0.1");
        site.metrics.refused(fault.code());
        return respond::problem(&fault);
    }
    tracing::info!("asked to stop by /quitquitquit");
    site.stop.begin();
    respond::text(200, "stopping\n")
}
