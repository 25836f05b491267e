//! `POST /v1/upstreams/{upstream}/token`: the service token itself, or one that is good for less. Whoever has it
//! can do what the service principal can, so the config has to open this by name.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::ORIGIN;
use hyper::body::Body;
use serde::{Deserialize, Serialize};

use super::json::{Object, unreadable};
use super::viewer_token::{Form, wants_plain_text};
use super::{Site, Snapshot};
use crate::edge::{Answer, Request, Response, body, respond};
use crate::lease::Grant;
use crate::model::{Code, Fault, Moment, Peer, Token, clock};
use crate::telemetry::audit::{self, Entry, Subject};
use crate::tokens::{Bearer, Narrowing, Upstream};

/// Longer than any client id or list of scopes.
const LONGEST: usize = 1024;

/// What callers may ask for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    #[serde(default)]
    audience: Option<String>,
    #[serde(default)]
    scope: Option<String>,
}

/// Answers an app.
pub(super) fn handle(
    site: &Arc<Site>,
    snapshot: Arc<Snapshot>,
    name: &str,
    request: Request,
    begin: Moment,
    peer: Peer,
) -> Answer {
    let upstream = match opened(&snapshot, name, &request) {
        Ok(upstream) => Arc::clone(upstream),
        Err(fault) => {
            site.note(&fault, None, None, begin, peer);
            return Answer::Ready(respond::problem(&fault));
        }
    };
    let form = if wants_plain_text(&request) { Form::Plain } else { Form::Json };
    let site = Arc::clone(site);
    Answer::later(async move {
        let token = tokio::select! {
            biased;
            token = token(&site, &snapshot, &upstream, request) => token,
            () = site.stop.forced() => Err(Fault::new(Code::Draining, "sidemint is stopping; ask the next one")),
        };
        match token {
            Ok(grant) => grant_to(&site, &upstream, &grant, form, peer),
            Err(fault) => refuse(&site, &upstream, &fault, peer),
        }
    })
}

/// The upstream, if the config opens it to callers.
fn opened<'a>(snapshot: &'a Snapshot, name: &str, request: &Request) -> Result<&'a Arc<Upstream>, Fault> {
    refuse_pages(request.headers())?;
    let Some(upstream) = snapshot.upstreams.get(name) else {
        return Err(Fault::new(Code::UnknownUpstream, "the config has no upstream of this name"));
    };
    if !upstream.config.service_token_endpoint {
        let detail = "this is closed: see service_token_endpoint of the upstream in the config";
        return Err(Fault::new(Code::NotFound, detail));
    }
    Ok(upstream)
}

/// Only pages of an allowed origin get here, and of our own, which a route may show. They may have viewer tokens,
/// never the service token.
pub(super) fn refuse_pages(headers: &HeaderMap) -> Result<(), Fault> {
    if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err(Fault::new(Code::ForbiddenOrigin, "this is for programs: no page of a browser may ask"));
    }
    Ok(())
}

async fn token(
    site: &Site,
    snapshot: &Snapshot,
    upstream: &Arc<Upstream>,
    request: Request,
) -> Result<Grant<Token>, Fault> {
    let narrowing = read(snapshot, upstream, request).await?;
    let bearer = if narrowing == Narrowing::default() {
        Bearer::Service(Arc::clone(upstream))
    } else {
        Bearer::Narrowed(site.narrowed.of(upstream, narrowing))
    };
    bearer.token().await
}

async fn read(snapshot: &Snapshot, upstream: &Upstream, request: Request) -> Result<Narrowing, Fault> {
    let (head, incoming) = request.into_parts();
    if incoming.is_end_stream() {
        return Ok(Narrowing::default());
    }
    let server = &snapshot.config.server;
    let json = body::json(&head.headers, incoming, server.max_body, server.header_timeout).await?;
    let Object::<Ask>(ask) = serde_json::from_slice(&json).map_err(|error| unreadable(&error, "audience and scope"))?;
    let invalid = |detail| Fault::new(Code::InvalidParameters, detail);
    let given = [&ask.audience, &ask.scope];
    if given.iter().any(|text| text.is_some()) && !upstream.config.system.narrows() {
        return Err(invalid("this vendor's service token has the audience and scope that the config gives it"));
    }
    if given.into_iter().flatten().any(|text| !is_plain(text)) {
        return Err(invalid("audience and scope are words of printable ASCII, 1 KiB at most"));
    }
    Ok(Narrowing { audience: ask.audience, scope: ask.scope })
}

/// Words with single spaces between them (RFC 6749 section 3.3).
fn is_plain(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    text.len() <= LONGEST && text.split(' ').all(is_word)
}

/// A refusal, written down.
pub(super) fn refuse(site: &Site, upstream: &Upstream, fault: &Fault, peer: Peer) -> Response {
    let place = audit::upstream_place(&upstream.config.name);
    site.note(fault, None, Some(Subject { place: &place, viewer: None, token: None }), site.clock.now(), peer);
    respond::problem(fault)
}

fn grant_to(site: &Site, upstream: &Upstream, grant: &Grant<Token>, form: Form, peer: Peer) -> Response {
    #[derive(Serialize)]
    struct Reply<'a> {
        access_token: &'a str,
        token_type: &'a str,
        expires_in: u64,
        expires_at: String,
        refresh_in: u64,
    }
    note_grant(site, upstream, grant, peer);
    if form == Form::Plain {
        return respond::content(200, "text/plain; charset=utf-8", grant.item.expose().as_bytes().to_vec());
    }
    let left = grant.lifetime.remaining(site.clock.now());
    let reply = Reply {
        access_token: grant.item.expose(),
        token_type: "Bearer",
        expires_in: left.as_secs(),
        expires_at: clock::rfc3339(grant.lifetime.expires_at()),
        refresh_in: refresh_in(left, grant.lifetime.ttl()).as_secs(),
    };
    respond::content(200, "application/json", serde_json::to_vec(&reply).unwrap_or_default())
}

/// Writes down that somebody has the token now.
pub(super) fn note_grant(site: &Site, upstream: &Upstream, grant: &Grant<Token>, peer: Peer) {
    let place = audit::upstream_place(&upstream.config.name);
    site.audit.note(&Entry {
        at: site.clock.now().unix_seconds(),
        granted: true,
        code: "service_token",
        purpose: None,
        subject: Some(Subject { place: &place, viewer: None, token: Some(grant.item.fingerprint()) }),
        caller: peer,
    });
}

/// A new one is there once the last third of its life has begun; at half of what is left where that is over.
fn refresh_in(left: Duration, ttl: Duration) -> Duration {
    left.saturating_sub(ttl / 3).max(left / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain() {
        for text in ["all-apis", "sql files.read", "6a1f0c52-3c1e", "2ff814a6/.default", "a:b"] {
            assert!(is_plain(text), "{text}");
        }
        for text in ["", " ", " a", "a ", "a  b", "a\tb", "a\nb", "a\"b", "a\\b", "\u{e9}", &"a".repeat(1025)] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn a_caller_comes_back_when_there_is_a_new_one() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        assert_eq!(refresh_in(minutes(60), minutes(60)), minutes(40));
        assert_eq!(refresh_in(minutes(20), minutes(60)), minutes(10));
        assert_eq!(refresh_in(minutes(0), minutes(60)), minutes(0));
    }
}
