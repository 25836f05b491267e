//! `GET` and `POST /v1/embeds/{embed}/token`, and the same in the words of Bold BI's browser SDK.

mod ask;
mod authorize;
mod reply;
mod show;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::ACCEPT;
use hyper::body::Body as _;

use super::{Site, Snapshot};
use crate::edge::{Answer, Request, Response, body, respond};
use crate::lease::{How, Policy};
use crate::limit::Turn;
use crate::model::secret::ShortHex;
use crate::model::{Code, Fault, Moment, Peer};
use crate::telemetry::audit::{Entry, Subject};
use crate::telemetry::metrics::{Label, Outcome};
use crate::tokens::{Asked, Served, check};
use ask::{Ask, InHeaders, Proved, Purpose};
use reply::Timing;
pub use show::Show;

/// A token that is handed out now.
struct HandOut {
    served: Served,
    timing: Timing,
}

/// What cannot be had at once.
enum Step {
    /// The token has yet to be minted.
    Mint,
    /// The load has yet to wait for its turn.
    Queue(Served, Turn),
}

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The reply with all that a page needs.
    Json,
    /// The bare token.
    Plain,
    /// What Bold BI answered.
    BoldBi,
}

/// Everything about one request that does not change while it is answered.
struct Visit<'a> {
    site: &'a Site,
    snapshot: &'a Snapshot,
    show: &'a Show,
    begin: Moment,
    peer: Peer,
    form: Form,
}

/// Answers at once what memory can answer: no future, no waiting.
pub(super) fn handle(
    site: &Arc<Site>,
    snapshot: &Arc<Snapshot>,
    show: &Arc<Show>,
    request: Request,
    begin: Moment,
    peer: Peer,
    form: Form,
) -> Answer {
    let form = if form == Form::Json && wants_plain_text(&request) { Form::Plain } else { form };
    let visit = Visit { site, snapshot, show, begin, peer, form };
    let own = || (Arc::clone(site), Arc::clone(snapshot), Arc::clone(show));
    let later = |request: Request| {
        let owned = own();
        Answer::later(async move {
            let (site, snapshot, show) = &owned;
            let visit = Visit { site, snapshot, show, begin, peer, form };
            visit.in_its_time(request).await
        })
    };
    if request.method() != Method::GET {
        return later(request);
    }
    let proved = match snapshot.issuer.as_ref().map(|issuer| issuer.at_hand(request.headers())) {
        None => Ok(None),
        Some(Some(proved)) => proved.map(|viewer| Some(Box::new(viewer))),
        Some(None) => return later(request),
    };
    let ask = match proved.map_err(Unread::from).and_then(|proved| of_get(&request, proved)) {
        Ok(ask) => ask,
        Err(unread) => return Answer::Ready(visit.refuse_unread(&unread)),
    };
    match visit.at_once(&ask) {
        Ok(response) => Answer::Ready(response),
        Err(step) => {
            let owned = own();
            Answer::later(async move {
                let (site, snapshot, show) = &owned;
                let visit = Visit { site, snapshot, show, begin, peer, form };
                visit.see_through(&ask, step).await
            })
        }
    }
}

/// Why there is no ask, and of which proved viewer.
struct Unread {
    viewer: Option<String>,
    fault: Fault,
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Unread {
        Unread { viewer: None, fault }
    }
}

fn of_get(request: &Request, proved: Proved) -> Result<Ask, Unread> {
    let viewer = proved.as_ref().map(|viewer| viewer.id.clone());
    ask::of_get(request, proved).map_err(|fault| Unread { viewer, fault })
}

impl Visit<'_> {
    /// An answer for which something has to be waited for before the ask is even known: a body, an issuer's keys.
    async fn in_its_time(&self, request: Request) -> Response {
        let read = tokio::select! {
            biased;
            read = self.read(request) => read,
            () = self.site.stop.forced() => Err(draining().into()),
        };
        let ask = match read {
            Ok(ask) => ask,
            Err(unread) => return self.refuse_unread(&unread),
        };
        match self.at_once(&ask) {
            Ok(response) => response,
            Err(step) => Box::pin(self.see_through(&ask, step)).await,
        }
    }

    /// Who is looking comes first: for nobody, nothing is read.
    async fn read(&self, request: Request) -> Result<Ask, Unread> {
        let proved = match &self.snapshot.issuer {
            None => None,
            // Boxed, so that the future is no larger for those who have no issuer.
            Some(issuer) => Some(Box::new(Box::pin(issuer.viewer(request.headers())).await?)),
        };
        if request.method() == Method::GET {
            return of_get(&request, proved);
        }
        let viewer = proved.as_ref().map(|viewer| viewer.id.clone());
        let ask = match self.form {
            Form::BoldBi => authorize::read(self.snapshot, self.show, request, proved).await,
            Form::Json | Form::Plain => read(self.snapshot, request, proved).await,
        };
        ask.map_err(|fault| Unread { viewer, fault })
    }

    /// The answer, if it needs no waiting.
    fn at_once(&self, ask: &Ask) -> Result<Response, Step> {
        match self.try_hand_out(ask) {
            Ok(Ok(served)) => {
                let timing = Timing { minted_in: Duration::ZERO, waited: Duration::ZERO };
                Ok(self.grant(ask, &HandOut { served, timing }))
            }
            Ok(Err(step)) => Err(step),
            Err(fault) => Ok(self.refuse(Some(&ask.viewer.id), Some(ask.purpose), &fault)),
        }
    }

    fn try_hand_out(&self, ask: &Ask) -> Result<Result<Served, Step>, Fault> {
        check(&self.show.embed.config, &ask.viewer, &self.snapshot.ids)?;
        let Some(answer) = self.token(ask).at_hand(&self.policy(ask)) else { return Ok(Err(Step::Mint)) };
        let served = answer?;
        match self.begin_load(ask)? {
            None => Ok(Ok(served)),
            Some(turn) => Ok(Err(Step::Queue(served, turn))),
        }
    }

    /// The answer, with all the waiting that it needs.
    async fn see_through(&self, ask: &Ask, step: Step) -> Response {
        // At the end of a drain, whoever still waits is told so instead of losing the connection.
        let result = tokio::select! {
            biased;
            result = self.go_on(ask, step) => result,
            () = self.site.stop.forced() => Err(draining()),
        };
        match result {
            Ok(hand_out) => self.grant(ask, &hand_out),
            Err(fault) => self.refuse(Some(&ask.viewer.id), Some(ask.purpose), &fault),
        }
    }

    /// From the ask to the token: the mint first, the start of the load as late as possible.
    async fn go_on(&self, ask: &Ask, step: Step) -> Result<HandOut, Fault> {
        let mut timing = Timing { minted_in: Duration::ZERO, waited: Duration::ZERO };
        let (mut served, turn) = match step {
            Step::Queue(served, turn) => (served, Some(turn)),
            Step::Mint => {
                let served = self.mint(ask).await?;
                timing.minted_in = self.site.clock.now().since(self.begin);
                (served, self.begin_load(ask)?)
            }
        };
        if let Some(turn) = turn {
            let upstream = &self.show.embed.upstream;
            if let Some(limiter) = &upstream.limiter {
                timing.waited = limiter.wait(turn, &upstream.metrics.loads).await?;
            }
            // It was good enough before the wait; nearly always it still is.
            let again = self.token(ask).wait(&self.policy(ask)).await?;
            let how = if again.how == How::Hit { served.how } else { again.how };
            served = Served { how, ..again };
        }
        Ok(HandOut { served, timing })
    }

    async fn mint(&self, ask: &Ask) -> Result<Served, Fault> {
        let upstream = &self.show.embed.upstream;
        let _coming = match (ask.purpose, &upstream.limiter) {
            (Purpose::Load, Some(limiter)) => Some(limiter.announce(&ask.viewer.id, &upstream.metrics.loads)?),
            _ => None,
        };
        self.token(ask).wait(&self.policy(ask)).await
    }

    fn begin_load(&self, ask: &Ask) -> Result<Option<Turn>, Fault> {
        let upstream = &self.show.embed.upstream;
        match (ask.purpose, &upstream.limiter) {
            (Purpose::Load, Some(limiter)) => limiter.begin(&ask.viewer.id, &upstream.metrics.loads),
            _ => Ok(None),
        }
    }

    fn token(&self, ask: &Ask) -> Asked<'_> {
        self.site.tokens.token(&self.show.embed, &ask.viewer, &self.snapshot.ids)
    }

    fn policy(&self, ask: &Ask) -> Policy {
        self.show.embed.policy().raised_to(ask.min_ttl.unwrap_or_default())
    }

    fn grant(&self, ask: &Ask, hand_out: &HandOut) -> Response {
        let now = self.site.clock.now();
        let outcome = outcome_of_how(hand_out.served.how);
        self.show.embed.metrics.answered(outcome, now.since(self.begin));
        let subject = Subject {
            place: &self.show.embed.place,
            viewer: Some(hand_out.served.viewer_hash()),
            token: Some(hand_out.served.grant.item.token.fingerprint()),
        };
        self.site.audit.note(&Entry {
            at: now.unix_seconds(),
            granted: true,
            code: outcome.as_str(),
            purpose: Some(ask.purpose.as_str()),
            subject: Some(subject),
            caller: self.peer,
        });
        reply::render(self.show, hand_out, now, self.form)
    }

    fn refuse_unread(&self, unread: &Unread) -> Response {
        self.refuse(unread.viewer.as_deref(), None, &unread.fault)
    }

    fn refuse(&self, viewer: Option<&str>, purpose: Option<Purpose>, fault: &Fault) -> Response {
        let now = self.site.clock.now();
        let embed = &self.show.embed;
        embed.metrics.answered(outcome_of(fault), now.since(self.begin));
        if fault.code().status() >= 500 {
            self.site.recent.note("embed", &embed.config.name, fault, now);
        }
        let viewer = viewer.map(|id| self.snapshot.ids.pseudonyms.short(id));
        let subject = Subject { place: &embed.place, viewer: viewer.as_ref().map(ShortHex::as_str), token: None };
        self.site.note(fault, purpose.map(Purpose::as_str), Some(subject), now, self.peer);
        respond::problem(fault)
    }
}

fn draining() -> Fault {
    Fault::new(Code::Draining, "sidemint is stopping; ask the next one")
}

/// Renders a hit, for benchmarks.
#[doc(hidden)]
pub fn render_hit(show: &Show, served: Served, now: Moment) -> Response {
    let timing = Timing { minted_in: Duration::ZERO, waited: Duration::ZERO };
    reply::render(show, &HandOut { served, timing }, now, Form::Json)
}

async fn read(snapshot: &Snapshot, request: Request, proved: Proved) -> Result<Ask, Fault> {
    let server = &snapshot.config.server;
    let (head, incoming) = request.into_parts();
    ask::check_headers(&head.headers, InHeaders::Nothing)?;
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        let detail = "what is asked for goes into the body of a POST, not into its URL";
        return Err(Fault::new(Code::InvalidParameters, detail));
    }
    // Where the viewer is proved, there may be nothing left to say.
    if proved.is_some() && incoming.is_end_stream() {
        return ask::from_json(b"{}", proved);
    }
    let json = body::json(&head.headers, incoming, server.max_body, server.header_timeout).await?;
    ask::from_json(&json, proved)
}

/// Whether `text/plain` is what the client names first: "application/json, text/plain" (axios) is not.
pub(super) fn wants_plain_text(request: &Request) -> bool {
    let accept = request.headers().get(ACCEPT).map(|accept| accept.as_bytes());
    accept.is_some_and(|accept| accept.trim_ascii_start().starts_with(b"text/plain"))
}

fn outcome_of_how(how: How) -> Outcome {
    match how {
        How::Hit => Outcome::Hit,
        How::Miss => Outcome::Miss,
        How::Coalesced => Outcome::Coalesced,
        How::Stale => Outcome::Stale,
    }
}

fn outcome_of(fault: &Fault) -> Outcome {
    match fault.code() {
        Code::LoadLimited | Code::ViewerLimited => Outcome::Limited,
        code if code.status() < 500 => Outcome::Refused,
        _ => Outcome::Error,
    }
}
