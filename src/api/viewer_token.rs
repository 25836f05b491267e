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
        site.note(&fault, None, begin, peer);
        return respond::problem(&fault);
    };
    let plain = wants_plain_text(&request);
    let asked = read(snapshot, request).await;
    let purpose = asked.as_ref().ok().map(|ask| ask.purpose.as_str());
    let result = match asked {
        Ok(ask) => {
            // At the end of a drain, whoever still waits is told so instead of losing the connection.
            tokio::select! {
                biased;
                result = hand_out(site, snapshot, &show, &ask, begin) => result,
                () = site.stop.forced() => Err(Fault::new(Code::Draining, "sidemint is stopping; ask the next one")),
            }
        }
        Err(fault) => Err(fault),
    };
    let now = site.clock.now();
    let outcome = result.as_ref().map_or_else(outcome_of, |hand_out| outcome_of_how(hand_out.served.how));
    show.embed.metrics.answered(outcome, now.since(begin));
    match result {
        Ok(hand_out) => {
            note(site, &show, purpose, &hand_out, outcome, now, peer);
            reply::render(&show, &hand_out, now, plain)
        }
        Err(fault) => {
            if fault.code().status() >= 500 {
                site.recent.note(&show.embed.config.name, &fault, now);
            }
            site.note(&fault, Some(&show.embed), now, peer);
            respond::problem(&fault)
        }
    }
}

/// From the ask to the token: the mint first, the start of the load as late as possible.
async fn hand_out(site: &Site, snapshot: &Snapshot, show: &Show, ask: &Ask, begin: Moment) -> Result<HandOut, Fault> {
    let embed = &show.embed;
    let upstream = &embed.upstream;
    check(&ask.viewer, &snapshot.ids)?;
    let is_load = ask.purpose == Purpose::Load;
    let loads = &upstream.metrics.loads;
    let mut policy = embed.policy().raised_to(ask.min_ttl.unwrap_or_default());
    if is_load && upstream.limiter.waiting() > 0 {
        // What cannot even queue up is refused before a mint is spent on it; what queues up gets a
        // token that is still good enough after the wait.
        upstream.limiter.room(&ask.viewer.id, loads)?;
        policy = policy.raised_to(policy.asked + upstream.limiter.limit().max_wait);
    }
    let served = site.tokens.token(embed, &ask.viewer, &policy, &snapshot.ids).await?;
    let minted_in = match served.how {
        How::Miss | How::Coalesced => site.clock.now().since(begin),
        How::Hit | How::Stale => Duration::ZERO,
    };
    let waited = if is_load { upstream.limiter.start(&ask.viewer.id, loads).await? } else { Duration::ZERO };
    Ok(HandOut { timing: Timing { minted_in, waited }, served })
}

async fn read(snapshot: &Snapshot, request: Request) -> Result<Ask, Fault> {
    let server = &snapshot.config.server;
    let (head, incoming) = request.into_parts();
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
