//! `GET` and `POST /v1/embeds/{embed}/token`, and the same in the words of Bold BI's browser SDK.

mod ask;
mod authorize;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::ACCEPT;

use super::{Site, Snapshot};
use crate::config::Item;
use crate::edge::{Answer, Request, Response, body, respond};
use crate::lease::{How, Policy};
use crate::limit::Turn;
use crate::model::secret::ShortHex;
use crate::model::{Code, Fault, Moment, Peer};
use crate::telemetry::audit::{Entry, Subject};
use crate::telemetry::metrics::{Label, Outcome};
use crate::tokens::{Asked, Embed, Served, check};
use crate::vendor::page_block;
use ask::{Ask, InHeaders, Purpose};
use reply::Timing;

/// An embed and the part of its replies that never changes.
pub struct Show {
    embed: Arc<Embed>,
    /// What the page needs besides the token, as JSON; empty where each token brings its own.
    block: Vec<u8>,
    /// How long before the end the vendor's page client renews.
    page_margin: Duration,
}

impl Show {
    /// Renders what can be rendered once.
    pub fn new(embed: Arc<Embed>) -> Show {
        let page_margin = Duration::from_secs(match &embed.config.item {
            // aibi-client renews five minutes before the end, and loops when it gets less.
            Item::Databricks { .. } => 300,
            // The vendor's sample looks every 30 s, and renews when ten minutes are left.
            Item::PowerBi(_) => 600,
            // The vendor's page client renews nothing by itself.
            Item::BoldBi(_) => 300,
        });
        Show { block: page_block(&embed.config), page_margin, embed }
    }

    /// The embed.
    pub fn embed(&self) -> &Arc<Embed> {
        &self.embed
    }
}

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
    if request.method() != Method::GET {
        let owned = own();
        return Answer::later(async move {
            let (site, snapshot, show) = &owned;
            let visit = Visit { site, snapshot, show, begin, peer, form };
            visit.of_post(request).await
        });
    }
    let ask = match ask::of_get(&request) {
        Ok(ask) => ask,
        Err(fault) => return Answer::Ready(visit.refuse(None, &fault)),
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

impl Visit<'_> {
    async fn of_post(&self, request: Request) -> Response {
        let read = tokio::select! {
            biased;
            read = self.read(request) => read,
            () = self.site.stop.forced() => Err(draining()),
        };
        let ask = match read {
            Ok(ask) => ask,
            Err(fault) => return self.refuse(None, &fault),
        };
        match self.at_once(&ask) {
            Ok(response) => response,
            Err(step) => Box::pin(self.see_through(&ask, step)).await,
        }
    }

    /// Reads the body of a POST.
    async fn read(&self, request: Request) -> Result<Ask, Fault> {
        match self.form {
            Form::BoldBi => authorize::read(self.snapshot, self.show, request).await,
            Form::Json | Form::Plain => read(self.snapshot, request).await,
        }
    }

    /// The answer, if it needs no waiting.
    fn at_once(&self, ask: &Ask) -> Result<Response, Step> {
        match self.try_hand_out(ask) {
            Ok(Ok(served)) => {
                let timing = Timing { minted_in: Duration::ZERO, waited: Duration::ZERO };
                Ok(self.grant(ask, &HandOut { served, timing }))
            }
            Ok(Err(step)) => Err(step),
            Err(fault) => Ok(self.refuse(Some(ask), &fault)),
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
            Err(fault) => self.refuse(Some(ask), &fault),
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

    fn refuse(&self, ask: Option<&Ask>, fault: &Fault) -> Response {
        let now = self.site.clock.now();
        let embed = &self.show.embed;
        embed.metrics.answered(outcome_of(fault), now.since(self.begin));
        if fault.code().status() >= 500 {
            self.site.recent.note("embed", &embed.config.name, fault, now);
        }
        let viewer = ask.map(|ask| self.snapshot.ids.pseudonyms.short(&ask.viewer.id));
        let subject = Subject { place: &embed.place, viewer: viewer.as_ref().map(ShortHex::as_str), token: None };
        self.site.note(fault, ask.map(|ask| ask.purpose.as_str()), Some(subject), now, self.peer);
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

async fn read(snapshot: &Snapshot, request: Request) -> Result<Ask, Fault> {
    let server = &snapshot.config.server;
    let (head, incoming) = request.into_parts();
    ask::check_headers(&head.headers, InHeaders::Nothing)?;
    let json = body::json(&head.headers, incoming, server.max_body, server.header_timeout).await?;
    ask::from_json(&json)
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
