//! `ANY /proxy/{route}/{path}`: a reverse proxy that puts a service token into what goes through it.
//!
//! What the token opens is far more than what a caller should reach, so a request is refused unless all of it is
//! understood: its path has one meaning and a rule that lets it through ([`ask`]), its headers are on a list
//! ([`headers`]), where it goes and with which credential comes from the config alone ([`relay`]).

mod ask;
mod body;
mod headers;
mod relay;
mod websocket;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{HeaderMap, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Site;
use crate::config;
use crate::edge::{Answer, Request, Response, respond};
use crate::lease::Grant;
use crate::lifecycle::Tasks;
use crate::model::path::AllowRule;
use crate::model::{Code, Fault, Moment, Peer, Token};
use crate::telemetry::audit::{self, Subject};
use crate::telemetry::metrics::RouteMetrics;
use crate::tokens::{Bearer, Upstream};
use crate::upstream::pool::Pool;
use crate::upstream::sensitive;
use ask::Ask;

/// Open at once through one route: each has two connections and no end of its own.
const WEBSOCKETS: usize = 4096;

/// A route at work.
pub struct Passage {
    /// What it was made from.
    pub config: Arc<config::Route>,
    /// Whose tokens requests carry.
    pub upstream: Arc<Upstream>,
    bearer: Bearer,
    pool: Arc<Pool>,
    metrics: RouteMetrics,
    tasks: Tasks,
    /// WebSockets that may still be opened.
    websockets: Arc<Semaphore>,
    /// The target as browsers name it, which WebSocket servers ask for.
    origin: HeaderValue,
    /// Its name and its upstream's, as the audit trail writes them.
    place: String,
    /// The header of the last token: made once, since it is copied with each request.
    authorization: Mutex<Option<(Arc<Token>, HeaderValue)>>,
}

impl Passage {
    /// Puts the parts together.
    ///
    /// # Errors
    /// One sentence on what is wrong with the roots of trust, or with the target's name.
    pub fn new(
        config: &Arc<config::Route>,
        upstream: &Arc<Upstream>,
        bearer: Bearer,
        metrics: RouteMetrics,
        tasks: &Tasks,
    ) -> Result<Passage, String> {
        let origin = HeaderValue::try_from(config.target.to_string()).map_err(|error| error.to_string())?;
        let pool = Pool::new(&config.target, config.upstream.ca_file.as_deref(), config.timeouts, tasks.clone())?;
        Ok(Passage {
            place: audit::route_place(&config.name, &config.upstream.name),
            authorization: Mutex::default(),
            tasks: tasks.clone(),
            websockets: Arc::new(Semaphore::new(WEBSOCKETS)),
            config: Arc::clone(config),
            upstream: Arc::clone(upstream),
            bearer,
            pool,
            metrics,
            origin,
        })
    }

    fn place_for_websocket(&self) -> Result<OwnedSemaphorePermit, Fault> {
        let full = |_| Fault::new(Code::Unavailable, "as many WebSockets are open as pass at once");
        Arc::clone(&self.websockets).try_acquire_owned().map_err(full)
    }

    /// The methods and headers that a page of an allowed origin may use here.
    pub(super) fn preflight(&self, given: &HeaderMap) -> (HeaderValue, HeaderValue) {
        let methods: BTreeSet<&str> = self.config.allow.iter().map(AllowRule::method).collect();
        let methods: Vec<&str> = methods.into_iter().collect();
        let names = [&["sidemint-request"][..], &headers::passed_of(given)].concat();
        let list = |names: &[&str]| HeaderValue::try_from(names.join(", "));
        let nothing = HeaderValue::from_static("");
        (list(&methods).unwrap_or(nothing.clone()), list(&names).unwrap_or(nothing))
    }

    fn authorization(&self, token: &Grant<Token>) -> Result<HeaderValue, Fault> {
        let mut held = self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, value)) = &*held
            && Arc::ptr_eq(of, &token.item)
        {
            return Ok(value.clone());
        }
        let value = sensitive(&zeroize::Zeroizing::new(format!("Bearer {}", token.item.expose())))?;
        *held = Some((Arc::clone(&token.item), value.clone()));
        Ok(value)
    }
}

/// Answers a request through a route.
pub(super) fn handle(
    site: &Arc<Site>,
    passage: &Arc<Passage>,
    request: Request,
    is_open: bool,
    begin: Moment,
    peer: Peer,
) -> Answer {
    let ask = match Ask::of(passage, request, is_open) {
        Ok(ask) => ask,
        Err(fault) => return Answer::Ready(refuse(site, passage, &fault, begin, peer)),
    };
    let (site, passage) = (Arc::clone(site), Arc::clone(passage));
    Answer::later(async move {
        match relay::relay(&passage, ask).await {
            Ok(response) => {
                passage.metrics.answered(response.status().as_u16(), site.clock.now().since(begin));
                response
            }
            Err(fault) => refuse(&site, &passage, &fault, begin, peer),
        }
    })
}

/// A response of our own, counted and written down.
fn refuse(site: &Site, passage: &Passage, fault: &Fault, begin: Moment, peer: Peer) -> Response {
    if fault.code().status() >= 500 {
        site.recent.note("route", &passage.config.name, fault, begin);
    }
    let subject = Subject { place: &passage.place, viewer: None, token: None };
    site.note(fault, None, Some(subject), begin, peer);
    passage.metrics.answered(fault.code().status(), site.clock.now().since(begin));
    match fault.code() {
        Code::MethodNotAllowed => respond::method_not_allowed(fault, ALLOW),
        Code::MalformedRequest => super::refusal(fault),
        _ => respond::problem(fault),
    }
}

/// What routes let through at all.
const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
