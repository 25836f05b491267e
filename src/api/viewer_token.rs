//! `GET` and `POST /v1/embeds/{embed}/token`.

mod ask;
mod reply;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::ACCEPT;

use super::{Site, Snapshot};
use crate::edge::{Request, Response, body, respond};
use crate::lease::How;
use crate::model::{Code, Fault, Moment};
use crate::telemetry::audit::{Entry, Subject};
use crate::telemetry::metrics::Outcome;
use crate::tokens::{Embed, Served, check};
use ask::{Ask, Purpose};
use reply::Timing;
pub use reply::embed_block;

/// An embed and the part of its replies that never changes.
pub struct Show {
    embed: Arc<Embed>,
    /// What the page needs besides the token, as JSON.
    block: Vec<u8>,
}

impl Show {
    /// Renders what can be rendered once.
    pub fn new(embed: Arc<Embed>) -> Show {
        Show { block: embed_block(&embed.config), embed }
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

pub(super) async fn handle(
    site: &Site,
    snapshot: &Snapshot,
    show: Option<Arc<Show>>,
    request: Request,
    begin: Moment,
    peer: SocketAddr,
) -> Response {
    let Some(show) = show else {
        let fault = Fault::new(Code::UnknownEmbed, "the config has no embed of this name");
        site.note(&fault, None, None, begin, peer);
        return respond::problem(&fault);
    };
    let plain = wants_plain_text(&request);
    let mut asked = None;
    // At the end of a drain, whoever still waits is told so instead of losing the connection.
    let result = tokio::select! {
        biased;
        result = answer(site, snapshot, &show, request, begin, &mut asked) => result,
        () = site.stop.forced() => Err(Fault::new(Code::Draining, "sidemint is stopping; ask the next one")),
    };
    let now = site.clock.now();
    let outcome = result.as_ref().map_or_else(outcome_of, |hand_out| outcome_of_how(hand_out.served.how));
    show.embed.metrics.answered(outcome, now.since(begin));
    match result {
        Ok(hand_out) => {
            let purpose = asked.as_ref().map(|ask| ask.purpose.as_str());
            note(site, &show, purpose, &hand_out, outcome, now, peer);
            reply::render(&show, &hand_out, now, plain)
        }
        Err(fault) => {
            if fault.code().status() >= 500 {
                site.recent.note(&show.embed.config.name, &fault, now);
            }
            let viewer = asked.as_ref().map(|ask| snapshot.ids.pseudonyms.short(&ask.viewer.id));
            let subject = Subject { place: &show.embed.place, viewer: viewer.as_deref(), token: None };
            let purpose = asked.as_ref().map(|ask| ask.purpose.as_str());
            site.note(&fault, purpose, Some(subject), now, peer);
            respond::problem(&fault)
        }
    }
}

/// Renders a hit, for benchmarks.
#[doc(hidden)]
pub fn render_hit(show: &Show, served: Served, now: Moment) -> Response {
    let timing = Timing { minted_in: Duration::ZERO, waited: Duration::ZERO };
    reply::render(show, &HandOut { served, timing }, now, false)
}

async fn answer(
    site: &Site,
    snapshot: &Snapshot,
    show: &Show,
    request: Request,
    begin: Moment,
    asked: &mut Option<Ask>,
) -> Result<HandOut, Fault> {
    let ask = asked.insert(read(snapshot, request).await?);
    hand_out(site, snapshot, show, ask, begin).await
}

/// From the ask to the token: the mint first, the start of the load as late as possible.
async fn hand_out(site: &Site, snapshot: &Snapshot, show: &Show, ask: &Ask, begin: Moment) -> Result<HandOut, Fault> {
    let embed = &show.embed;
    let limiter = &embed.upstream.limiter;
    let loads = &embed.upstream.metrics.loads;
    check(&ask.viewer, &snapshot.ids)?;
    let is_load = ask.purpose == Purpose::Load;
    let policy = embed.policy().raised_to(ask.min_ttl.unwrap_or_default());
    let token = site.tokens.token(embed, &ask.viewer, &snapshot.ids);
    let mut served = match token.at_hand(&policy) {
        Some(answer) => answer?,
        None => {
            let _coming = if is_load { Some(limiter.announce(&ask.viewer.id, loads)?) } else { None };
            token.wait(&policy).await?
        }
    };
    let minted_in = match served.how {
        How::Miss | How::Coalesced => site.clock.now().since(begin),
        How::Hit | How::Stale => Duration::ZERO,
    };
    let waited = if is_load { limiter.start(&ask.viewer.id, loads).await? } else { Duration::ZERO };
    if !waited.is_zero() {
        // It was good enough before the wait; nearly always it still is.
        let again = token.wait(&policy).await?;
        let how = if again.how == How::Hit { served.how } else { again.how };
        served = Served { how, ..again };
    }
    Ok(HandOut { timing: Timing { minted_in, waited }, served })
}

async fn read(snapshot: &Snapshot, request: Request) -> Result<Ask, Fault> {
    let server = &snapshot.config.server;
    let (head, incoming) = request.into_parts();
    ask::check_headers(&head.headers, head.method == Method::GET)?;
    if head.method == Method::GET {
        body::none(&incoming)?;
        return ask::from_query(head.uri.query().unwrap_or_default(), &head.headers);
    }
    let json = body::json(&head.headers, incoming, server.max_body, server.header_timeout).await?;
    ask::from_json(&json)
}

/// Whether `text/plain` is what the client names first: "application/json, text/plain" (axios) is not.
fn wants_plain_text(request: &Request) -> bool {
    let accept = request.headers().get(ACCEPT).map(|accept| accept.as_bytes());
    accept.is_some_and(|accept| accept.trim_ascii_start().starts_with(b"text/plain"))
}

fn note(
    site: &Site,
    show: &Show,
    purpose: Option<&str>,
    hand_out: &HandOut,
    outcome: Outcome,
    now: Moment,
    peer: SocketAddr,
) {
    use crate::telemetry::metrics::Label;
    let subject = Subject {
        place: &show.embed.place,
        viewer: Some(hand_out.served.viewer_hash()),
        token: Some(hand_out.served.grant.item.token.fingerprint()),
    };
    let (at, code) = (now.unix_seconds(), outcome.as_str());
    site.audit.note(&Entry { at, granted: true, code, purpose, subject: Some(subject), caller: peer.ip() });
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
