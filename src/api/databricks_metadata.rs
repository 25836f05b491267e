//! `GET /v1/upstreams/{upstream}/databricks-metadata`: the server side of the Databricks SDKs' metadata-service
//! protocol, by which an unmodified program takes its token from us. It is the service token itself, so the
//! config has to open it.

use std::sync::Arc;

use http::HeaderMap;
use serde::Serialize;

use super::service_token::{note_grant, refuse, refuse_pages};
use super::{Site, Snapshot, route};
use crate::config::{BaseUrl, Listen, System};
use crate::edge::{Answer, Request, Response, body, respond};
use crate::lease::Grant;
use crate::model::peer::Origin;
use crate::model::{Code, Fault, Moment, Peer, Token};
use crate::tokens::{Bearer, Upstream};

const VERSION: &str = "x-databricks-metadata-version";
const HOST: &str = "x-databricks-host";

/// Whether the protocol's own header does in place of ours: an SDK cannot send that one, and no simple request
/// forgery can send this one. From beyond this machine it says nothing about the caller, whose secret is asked for
/// as anywhere else; and where a mesh may hand requests on, nobody knows where they are from.
pub(super) fn does_without_proof(snapshot: &Snapshot, path: &str, caller: Peer) -> bool {
    let server = &snapshot.config.server;
    let needs_no_secret = || snapshot.caller.secret().is_none();
    let is_local = || server.listen.iter().all(Listen::is_local);
    route::is_databricks_metadata(path)
        && (needs_no_secret() || !server.allow_forwarded)
        && is_of_this_machine(caller.origin, || needs_no_secret() || is_local())
}

/// A loopback address says so only where no other could be reached: behind one that can, it may be a relay's. The
/// kernel's word about the other end of a unix socket needs nothing beside it.
fn is_of_this_machine(caller: Origin, is_local: impl FnOnce() -> bool) -> bool {
    match caller {
        Origin::User(_) => true,
        Origin::Address(address) => address.to_canonical().is_loopback() && is_local(),
    }
}

/// Answers an SDK.
pub(super) fn handle(
    site: &Arc<Site>,
    snapshot: &Snapshot,
    name: &str,
    request: &Request,
    begin: Moment,
    peer: Peer,
) -> Answer {
    let found = check_sdk(request.headers()).and_then(|()| opened(snapshot, name));
    let upstream = match found {
        Ok(upstream) => Arc::clone(upstream),
        Err(fault) => {
            site.note(&fault, None, None, begin, peer);
            return Answer::Ready(respond::problem(&fault));
        }
    };
    if let Err(fault) = body::none(request.body()).and_then(|()| check_host(request.headers(), &upstream)) {
        return Answer::Ready(refuse(site, &upstream, &fault, peer));
    }
    let (site, bearer) = (Arc::clone(site), Bearer::Service(Arc::clone(&upstream)));
    Answer::later(async move {
        let token = tokio::select! {
            biased;
            token = bearer.token() => token,
            () = site.stop.forced() => Err(Fault::new(Code::Draining, "sidemint is stopping; ask the next one")),
        };
        match token {
            Ok(grant) => grant_to(&site, &upstream, &grant, peer),
            Err(fault) => refuse(&site, &upstream, &fault, peer),
        }
    })
}

/// The protocol wants a refusal for a version that we do not speak. It goes first, as our own header does elsewhere:
/// who lacks it learns nothing of what there is.
fn check_sdk(headers: &HeaderMap) -> Result<(), Fault> {
    refuse_pages(headers)?;
    if once(headers, VERSION) != Some("1") {
        let detail = "send the header `X-Databricks-Metadata-Version: 1`, once; other versions are not spoken here";
        return Err(Fault::new(Code::MissingRequestHeader, detail));
    }
    Ok(())
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

/// The protocol wants a refusal for another host than ours.
fn check_host(headers: &HeaderMap, upstream: &Upstream) -> Result<(), Fault> {
    if once(headers, HOST).is_some_and(|asked| names(asked, upstream.config.system.host())) {
        return Ok(());
    }
    let detail =
        "send the header `X-Databricks-Host` with the host of this upstream, once: DATABRICKS_HOST names another";
    Err(Fault::new(Code::InvalidParameters, detail))
}

/// The value of a header that is there once. An underscore counts as a hyphen, as in the local defence.
fn once<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let is_named = |given: &str| {
        given.len() == name.len() && given.bytes().zip(name.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
    };
    let mut values = headers.iter().filter(|(given, _)| is_named(given.as_str())).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
}

/// Whether a text means this host, as the SDKs read `DATABRICKS_HOST` and send it on: without a scheme it is https;
/// case, the scheme's own port and a slash at the end say nothing. (Python keeps the case and takes off the slash and
/// port 443, Go keeps case and port, JavaScript keeps neither.)
fn names(asked: &str, host: &BaseUrl) -> bool {
    let asked = asked.to_ascii_lowercase();
    let (scheme, rest) = asked.split_once("://").unwrap_or(("https", &asked));
    let own_port = if host.https { ":443" } else { ":80" };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let authority = authority.strip_suffix(own_port).unwrap_or(authority);
    scheme == (if host.https { "https" } else { "http" }) && authority == host.authority
}

fn grant_to(site: &Site, upstream: &Upstream, grant: &Grant<Token>, peer: Peer) -> Response {
    #[derive(Serialize)]
    struct Reply<'a> {
        access_token: &'a str,
        token_type: &'a str,
        expires_on: i64,
    }
    note_grant(site, upstream, grant, peer);
    let reply =
        Reply { access_token: grant.item.expose(), token_type: "Bearer", expires_on: grant.lifetime.expires_at() };
    respond::content(200, "application/json", serde_json::to_vec(&reply).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_as_the_sdks_read_it() {
        let host = |https, authority: &str| BaseUrl { https, authority: authority.to_owned() };
        let acme = host(true, "acme.cloud.databricks.com");
        for asked in [
            "https://acme.cloud.databricks.com",
            "https://acme.cloud.databricks.com/",
            "https://acme.cloud.databricks.com:443",
            "https://acme.cloud.databricks.com:443/",
            "HTTPS://Acme.Cloud.Databricks.com",
            "acme.cloud.databricks.com",
            "acme.cloud.databricks.com/",
        ] {
            assert!(names(asked, &acme), "{asked}");
        }
        for asked in [
            "",
            "/",
            "https://",
            "http://acme.cloud.databricks.com",
            "ftp://acme.cloud.databricks.com",
            "://acme.cloud.databricks.com",
            "//acme.cloud.databricks.com",
            "https://acme.cloud.databricks.com:80",
            "https://acme.cloud.databricks.com:8443",
            "https://acme.cloud.databricks.com.",
            "https://acme.cloud.databricks.com//",
            "https://acme.cloud.databricks.com/x",
            "https://acme.cloud.databricks.com?o=1",
            "https://acme.cloud.databricks.com#",
            "https://x@acme.cloud.databricks.com",
            "https://acme.cloud.databricks.com@evil.example",
            "https://acme.cloud.databricks.com, https://evil.example",
            "https://evil.example/https://acme.cloud.databricks.com",
            "https://https://acme.cloud.databricks.com",
            " https://acme.cloud.databricks.com",
            "https://xacme.cloud.databricks.com",
            "https://acme.cloud.databricks.co",
        ] {
            assert!(!names(asked, &acme), "{asked}");
        }
        let local = host(false, "127.0.0.1:8290");
        assert!(names("http://127.0.0.1:8290", &local) && names("http://127.0.0.1:8290/", &local));
        assert!(names("http://[::1]:80", &host(false, "[::1]")) && names("http://[::1]", &host(false, "[::1]")));
        for asked in ["127.0.0.1:8290", "https://127.0.0.1:8290", "http://127.0.0.1", "http://localhost:8290"] {
            assert!(!names(asked, &local), "{asked}");
        }
    }

    #[test]
    fn the_caller_secret_is_dispensed_with_on_this_machine_only() {
        let ask = |local: bool, caller: &str| is_of_this_machine(Origin::Address(caller.parse().unwrap()), || local);
        for caller in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert!(ask(true, caller), "{caller}");
            assert!(!ask(false, caller), "{caller}");
        }
        for caller in ["10.0.0.7", "192.168.1.1", "169.254.0.1", "fe80::1", "::ffff:10.0.0.7", "0.0.0.0", "::"] {
            assert!(!ask(true, caller), "{caller}");
        }
        assert!(is_of_this_machine(Origin::User(1000), || false));
    }
}
