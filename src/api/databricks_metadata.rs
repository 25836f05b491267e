//! `GET /v1/upstreams/{upstream}/databricks-metadata`: the server side of the Databricks SDKs' metadata-service
//! protocol, by which an unmodified program takes its token from us. It is the service token itself, so the
//! config has to open it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderValue;
use serde_json::json;

use super::{Site, Snapshot};
use crate::config::System;
use crate::edge::{Answer, Request, Response, body, respond};
use crate::lease::Grant;
use crate::model::{Code, Fault, Moment, Token};
use crate::telemetry::audit::{self, Entry, Subject};
use crate::tokens::Upstream;

const VERSION: &str = "x-databricks-metadata-version";
const HOST: &str = "x-databricks-host";

/// Answers an SDK.
pub(super) fn handle(
    site: &Arc<Site>,
    snapshot: &Snapshot,
    name: &str,
    request: &Request,
    begin: Moment,
    peer: SocketAddr,
) -> Answer {
    let upstream = match opened(snapshot, name).and_then(|upstream| {
        body::none(request.body())?;
        check_question(request.headers(), upstream)?;
        Ok(Arc::clone(upstream))
    }) {
        Ok(upstream) => upstream,
        Err(fault) => {
            site.note(&fault, None, None, begin, peer);
            return Answer::Ready(respond::problem(&fault));
        }
    };
    let site = Arc::clone(site);
    Answer::later(async move {
        let token = tokio::select! {
            biased;
            token = service_token(&upstream) => token,
            () = site.stop.forced() => Err(Fault::new(Code::Draining, "sidemint is stopping; ask the next one")),
        };
        answer(&site, &upstream, token, peer)
    })
}

/// The upstream, if the config opens it to SDKs.
fn opened<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Arc<Upstream>, Fault> {
    let Some(upstream) = snapshot.upstreams.get(name) else {
        return Err(Fault::new(Code::UnknownUpstream, "the config has no upstream of this name"));
    };
    match &upstream.config.system {
        System::Databricks(databricks) if databricks.metadata_service => Ok(upstream),
        _ => Err(Fault::new(Code::NotFound, "this is closed: see metadata_service of the upstream in the config")),
    }
}

/// The protocol wants a refusal for a version that we do not speak, and for another host than ours.
fn check_question(headers: &HeaderMap, upstream: &Upstream) -> Result<(), Fault> {
    let once = |name: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    };
    if once(VERSION) != Some("1") {
        let detail = "send the header `X-Databricks-Metadata-Version: 1`, once; other versions are not spoken here";
        return Err(Fault::new(Code::MissingRequestHeader, detail));
    }
    let asked = once(HOST).map(|host| host.trim_end_matches('/').to_ascii_lowercase());
    if asked.is_none_or(|asked| asked != upstream.config.system.host().to_string()) {
        return Err(Fault::new(Code::InvalidParameters, "X-Databricks-Host is not the host of this upstream"));
    }
    Ok(())
}

async fn service_token(upstream: &Upstream) -> Result<Grant<Token>, Fault> {
    match &upstream.service {
        Some(service) => service.token(Duration::ZERO).await,
        None => Err(Fault::new(Code::Internal, "an upstream without service tokens was opened")),
    }
}

fn answer(site: &Site, upstream: &Upstream, token: Result<Grant<Token>, Fault>, peer: SocketAddr) -> Response {
    let now = site.clock.now();
    let place = audit::upstream_place(&upstream.config.name);
    let grant = match token {
        Ok(grant) => grant,
        Err(fault) => {
            site.note(&fault, None, Some(Subject { place: &place, viewer: None, token: None }), now, peer);
            return respond::problem(&fault);
        }
    };
    let subject = Subject { place: &place, viewer: None, token: Some(grant.item.fingerprint()) };
    site.audit.note(&Entry {
        at: now.unix_seconds(),
        granted: true,
        code: "service_token",
        purpose: None,
        subject: Some(subject),
        caller: peer.ip(),
    });
    let reply = json!({
        "access_token": grant.item.expose(), "token_type": "Bearer", "expires_on": grant.lifetime.expires_at(),
    });
    respond::token("application/json", reply.to_string().into_bytes(), HeaderValue::from_static("cache;desc=hit"))
}
