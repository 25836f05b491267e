//! The endpoints: the table of contents of the product.
//!
//! [`handle`] is the life of a request on the token port, [`admin::handle`] on the admin port.

pub mod admin;
mod databricks_metadata;
mod json;
mod proxy;
mod recent;
mod route;
mod service_token;
mod status;
mod viewer_token;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONNECTION, HeaderValue, VARY,
};

use crate::config::Config;
use crate::edge::guard::{Pass, Proof, Rules};
use crate::edge::{Answer, Request, Response, respond};
use crate::identity::Issuer;
use crate::lifecycle::Stop;
use crate::model::{Clock, Code, Fault, Moment, Peer};
use crate::secrets::SecretLease;
use crate::telemetry::audit::{Entry, Subject};
use crate::telemetry::{Audit, Metrics};
use crate::tokens::{IdRules, NarrowedTokens, Upstream, ViewerTokens};
pub use proxy::Passage;
pub use recent::Recent;
use route::Route;
pub use viewer_token::Show;
#[doc(hidden)]
pub use viewer_token::render_hit;

/// What every handler may see.
pub struct Site {
    /// The time.
    pub clock: Clock,
    /// The cache.
    pub tokens: ViewerTokens,
    /// Service tokens that are good for less.
    pub narrowed: Arc<NarrowedTokens>,
    /// The counters.
    pub metrics: Metrics,
    /// The audit trail.
    pub audit: Audit,
    /// Whether we are stopping.
    pub stop: Stop,
    /// The last failures, for people.
    pub recent: Recent,
    /// When the process came up.
    pub started: Moment,
    /// Whether `/startupz` was ever fine; it stays so.
    pub is_started: AtomicBool,
    /// What the config of the moment amounts to.
    pub snapshot: RwLock<Arc<Snapshot>>,
}

/// What a config amounts to. A request keeps the one that it began with.
pub struct Snapshot {
    /// The config.
    pub config: Arc<Config>,
    /// The local defence of the token port.
    pub rules: Rules,
    /// What callers must show.
    pub caller: Caller,
    /// By name.
    pub embeds: HashMap<String, Arc<Show>>,
    /// By name.
    pub routes: HashMap<String, Arc<Passage>>,
    /// By name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// What becomes of viewer ids.
    pub ids: Arc<IdRules>,
    /// Who vouches for viewers, where callers do not.
    pub issuer: Option<Arc<Issuer>>,
}

/// What callers must show.
pub enum Caller {
    /// Nothing.
    Anyone,
    /// `Sidemint-Request: true`.
    Header,
    /// A secret in that header.
    Secret(SecretLease),
}

impl Caller {
    fn secret(&self) -> Option<&SecretLease> {
        match self {
            Caller::Secret(secret) => Some(secret),
            Caller::Anyone | Caller::Header => None,
        }
    }
}

impl Snapshot {
    /// Whether the path is of a route that asks callers for nothing.
    fn is_open_route(&self, path: &str) -> bool {
        route::proxied(path).and_then(|name| self.routes.get(name)).is_some_and(|route| !route.config.require_header)
    }
}

impl Site {
    /// The config of the moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new config in place; requests in flight keep theirs.
    pub fn replace(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let mut current = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(snapshot))
    }

    /// Writes down that somebody was turned away before a word was said.
    pub fn turned_away(&self, peer: Peer) {
        let fault = Fault::new(Code::CallerUnauthenticated, "server.unix_socket.peer_uids does not name this user");
        self.note(&fault, None, None, self.clock.now(), peer);
    }

    /// Writes down a refusal or failure.
    fn note(&self, fault: &Fault, purpose: Option<&str>, subject: Option<Subject<'_>>, at: Moment, peer: Peer) {
        if fault.code().status() < 500 {
            self.metrics.refused(fault.code());
        }
        let code = fault.code().as_str();
        let at = at.unix_seconds();
        self.audit.note(&Entry { at, granted: false, code, purpose, subject, caller: peer });
    }
}

/// Answers a request on the token port.
pub fn handle(site: &Arc<Site>, request: Request, peer: Peer) -> Answer {
    let snapshot = site.snapshot();
    let begin = site.clock.now();
    let origin = match guard(&snapshot, &request, peer) {
        Ok(Pass::Through { origin }) => origin.cloned(),
        Ok(Pass::Preflight(origin)) => return Answer::Ready(preflight(&snapshot, &request, origin)),
        Err(fault) => return refuse(site, snapshot, request, fault, begin, peer),
    };
    let answer = dispatch(site, snapshot, request, begin, peer);
    match origin {
        None => answer,
        Some(origin) => then(answer, move |response| readable_by(&origin, response)),
    }
}

fn dispatch(site: &Arc<Site>, snapshot: Arc<Snapshot>, request: Request, begin: Moment, peer: Peer) -> Answer {
    match route::find(request.method(), request.uri().path()) {
        Ok(Route::ViewerToken(embed, form)) => match snapshot.embeds.get(embed) {
            Some(show) => viewer_token::handle(site, &snapshot, show, request, begin, peer, form),
            None => {
                let fault = Fault::new(Code::UnknownEmbed, "the config has no embed of this name");
                site.note(&fault, None, None, begin, peer);
                Answer::Ready(respond::problem(&fault))
            }
        },
        Ok(Route::Proxy(route)) => match snapshot.routes.get(route) {
            Some(passage) => {
                let is_open = matches!(snapshot.caller, Caller::Anyone) || !passage.config.require_header;
                proxy::handle(site, passage, request, is_open, begin, peer)
            }
            None => {
                let fault = Fault::new(Code::UnknownRoute, "the config has no route of this name");
                site.note(&fault, None, None, begin, peer);
                Answer::Ready(respond::problem(&fault))
            }
        },
        Ok(Route::ServiceToken(upstream)) => {
            let upstream = upstream.to_owned();
            service_token::handle(site, snapshot, &upstream, request, begin, peer)
        }
        Ok(Route::DatabricksMetadata(upstream)) => {
            databricks_metadata::handle(site, &snapshot, upstream, &request, begin, peer)
        }
        Ok(Route::OpenApi) => Answer::Ready(respond::content(200, "application/json", OPENAPI)),
        Err(lost) => {
            site.note(&lost.fault, None, None, begin, peer);
            Answer::Ready(lost.response())
        }
    }
}

/// Refuses what the guard refused; but a caller whose secret is wrong may just have read the new
/// one before we did.
fn refuse(
    site: &Arc<Site>,
    snapshot: Arc<Snapshot>,
    request: Request,
    fault: Fault,
    begin: Moment,
    peer: Peer,
) -> Answer {
    let Some(secret) = snapshot.caller.secret().filter(|_| fault.code() == Code::CallerUnauthenticated).cloned() else {
        site.note(&fault, None, None, begin, peer);
        let response = refusal(&fault);
        return Answer::Ready(match snapshot.rules.allowed_origin(request.headers()) {
            Some(origin) => readable_by(origin, response),
            None => response,
        });
    };
    let origin = snapshot.rules.allowed_origin(request.headers()).cloned();
    let site = Arc::clone(site);
    let answer = Answer::later(async move {
        let changed = secret.changed().await;
        let good = changed.is_some_and(|changed| check(&snapshot, &request, &Proof::Secret(&[changed])).is_ok());
        if !good {
            site.note(&fault, None, None, begin, peer);
            return refusal(&fault);
        }
        match dispatch(&site, snapshot, request, begin, peer) {
            Answer::Ready(response) => response,
            Answer::Later(future) => future.await,
        }
    });
    match origin {
        Some(origin) => then(answer, move |response| readable_by(&origin, response)),
        None => answer,
    }
}

fn then(answer: Answer, change: impl FnOnce(Response) -> Response + Send + 'static) -> Answer {
    match answer {
        Answer::Ready(response) => Answer::Ready(change(response)),
        Answer::Later(future) => Answer::later(async move { change(future.await) }),
    }
}

/// The description of all this; the tests walk it.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Where a request's own shape is in doubt, so is where the next one begins: that connection ends
/// (RFC 9112 section 6.3).
fn refusal(fault: &Fault) -> Response {
    let mut response = respond::problem(fault);
    if fault.code() == Code::MalformedRequest {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn guard<'a>(snapshot: &Snapshot, request: &'a Request, peer: Peer) -> Result<Pass<'a>, Fault> {
    match &snapshot.caller {
        _ if databricks_metadata::does_without_proof(snapshot, request.uri().path(), peer) => {
            check(snapshot, request, &Proof::None)
        }
        _ if snapshot.is_open_route(request.uri().path()) => check(snapshot, request, &Proof::None),
        Caller::Anyone => check(snapshot, request, &Proof::None),
        Caller::Header => check(snapshot, request, &Proof::Header),
        Caller::Secret(secret) => check(snapshot, request, &Proof::Secret(&secret.accepted()?)),
    }
}

fn check<'a>(snapshot: &Snapshot, request: &'a Request, proof: &Proof<'_>) -> Result<Pass<'a>, Fault> {
    snapshot.rules.check(request.method(), request.uri(), request.headers(), proof)
}

/// What a browser of an allowed origin may send (Fetch standard, CORS protocol).
fn preflight(snapshot: &Snapshot, request: &Request, origin: &HeaderValue) -> Response {
    let mut response = respond::content(204, "text/plain", "");
    let headers = response.headers_mut();
    let passage = route::proxied(request.uri().path()).and_then(|name| snapshot.routes.get(name));
    let (methods, names) = match passage {
        Some(passage) => passage.preflight(request.headers()),
        None => (
            HeaderValue::from_static("GET, POST"),
            HeaderValue::from_static(match snapshot.issuer {
                None => "Content-Type, Sidemint-Request, Sidemint-Viewer, Sidemint-Viewer-Value",
                Some(_) => "Authorization, Content-Type, Sidemint-Request, Sidemint-Viewer, Sidemint-Viewer-Value",
            }),
        ),
    };
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    readable_by(origin, response)
}

fn readable_by(origin: &HeaderValue, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After, Server-Timing"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
    response
}
