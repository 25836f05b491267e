//! The heart: one mechanism for everything that expires.
//!
//! A [`Lease`] holds the current value with its [`Lifetime`], judges it by pure rules
//! ([`judge`]), hands it out while it is good, renews it ahead of time ([`keeper`]), lets all who
//! wait share one flight that belongs to no request ([`flight`]), keeps the old value while
//! renewing fails, and remembers failures so that a loop at a caller is none at the issuer.
//!
//! What is leased is a [`Source`]: a service token, a viewer token, the content of a secret file.

mod flight;
pub mod judge;
mod keeper;
mod source;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use flight::Flight;
pub use judge::{Judgement, Policy};
pub use keeper::{Keeper, Rhythm};
pub use source::{Source, Want};

use crate::model::{Code, Fault, Lifetime, Moment, Urgency};

/// How an ask was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// From memory.
    Hit,
    /// By a flight that this ask began.
    Miss,
    /// By a flight that was in the air.
    Coalesced,
    /// From memory, below the promised life, since the issuer cannot be reached.
    Stale,
}

/// A value that was handed out.
pub struct Grant<T> {
    /// The value.
    pub item: Arc<T>,
    /// Its life.
    pub lifetime: Lifetime,
}

/// What came of an ask.
pub type Answer<T> = Result<(Grant<T>, How), Fault>;

impl<T> Clone for Grant<T> {
    fn clone(&self) -> Self {
        Grant { item: Arc::clone(&self.item), lifetime: self.lifetime }
    }
}

/// A thing that expires, and its renewal. No lock in here is held across an await.
pub struct Lease<S: Source> {
    source: S,
    state: Mutex<State<S>>,
}

struct State<S: Source> {
    held: Option<Grant<S::Item>>,
    flight: Option<Flight<S::Item>>,
    /// Boxed: nearly no lease has one, and there are many leases.
    failure: Option<Box<Failure>>,
    /// When the last flight that brought something landed: the floor between two mints counts from here.
    landed: Option<Moment>,
    /// Whether what landed was the best that the issuer has.
    landed_best: bool,
    last_asked: Option<Moment>,
    /// When a refused value was last to be replaced.
    replaced: Option<Moment>,
    /// When the keeper will renew it, in nanoseconds since boot, if it will.
    scheduled: Option<u64>,
}

struct Failure {
    fault: Fault,
    in_a_row: u32,
    at: Moment,
    /// Those who have nothing else are told this fault for so long, without another try.
    remembered: Duration,
    /// No try in the background for so long.
    quiet: Duration,
}

/// What to do about one ask; decided under the lock, acted on without it.
enum Verdict<T> {
    Serve(Grant<T>, How),
    ServeAndRenew(Grant<T>, How),
    Await(Flight<T>),
    Fetch,
    Refuse(Fault),
}

impl<S: Source> Lease<S> {
    /// A lease that holds nothing yet.
    pub fn new(source: S) -> Arc<Lease<S>> {
        let state = State {
            held: None,
            flight: None,
            failure: None,
            landed: None,
            landed_best: false,
            last_asked: None,
            replaced: None,
            scheduled: None,
        };
        Arc::new(Lease { source, state: Mutex::new(state) })
    }

    /// Where the thing comes from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Asks for the thing. A hit does not suspend; dropping the future never disturbs a flight.
    ///
    /// # Errors
    /// What the flight failed with, or the memory of it.
    pub async fn ask(self: &Arc<Self>, keeper: &Arc<Keeper<S>>, policy: &Policy) -> Answer<S::Item> {
        let answer = match self.join_or_start(keeper, policy).await {
            // It took off for somebody who needed less.
            Ok((grant, How::Coalesced)) if self.is_short(&grant, policy, keeper) => {
                self.join_or_start(keeper, policy).await
            }
            answer => answer,
        };
        // The issuer is down, but what we hold may still serve.
        answer.or_else(|fault| self.in_spite_of(&fault, policy, keeper.clock().now()).ok_or(fault))
    }

    async fn join_or_start(self: &Arc<Self>, keeper: &Arc<Keeper<S>>, policy: &Policy) -> Answer<S::Item> {
        let (flight, how) = match self.at_once(keeper, policy) {
            Ok(answer) => return answer,
            Err(Some(flight)) => (flight, How::Coalesced),
            Err(None) => flight::join_or_start(self, keeper, policy),
        };
        flight.landing().await.map(|grant| (grant, how))
    }

    fn is_short(&self, grant: &Grant<S::Item>, policy: &Policy, keeper: &Keeper<S>) -> bool {
        let now = keeper.clock().now();
        matches!(judge::judge(&grant.lifetime, policy, now), Judgement::Stale | Judgement::Expired)
    }

    /// What can be answered without any flight: a hit, or the memory of a failure. `None` means that
    /// [`Lease::ask`] would wait.
    pub fn at_hand(self: &Arc<Self>, keeper: &Arc<Keeper<S>>, policy: &Policy) -> Option<Answer<S::Item>> {
        self.at_once(keeper, policy).ok()
    }

    /// The answer without any flight, or the flight to wait for if one is in the air.
    fn at_once(
        self: &Arc<Self>,
        keeper: &Arc<Keeper<S>>,
        policy: &Policy,
    ) -> Result<Answer<S::Item>, Option<Flight<S::Item>>> {
        match self.judge(keeper, policy, keeper.clock().now()) {
            Verdict::Serve(grant, how) => Ok(Ok((grant, how))),
            Verdict::ServeAndRenew(grant, how) => {
                flight::start(self, keeper, Urgency::Ahead);
                Ok(Ok((grant, how)))
            }
            Verdict::Refuse(fault) => Ok(Err(fault)),
            Verdict::Await(flight) => Err(Some(flight)),
            Verdict::Fetch => Err(None),
        }
    }

    /// Takes over a value that another lease of the same thing held.
    pub fn adopt(self: &Arc<Self>, keeper: &Arc<Keeper<S>>, grant: Grant<S::Item>) {
        let due = keeper.renewal_due(&self.source, &grant.lifetime);
        let mut state = self.lock();
        state.held = Some(grant);
        state.scheduled = Some(due.boot);
        drop(state);
        keeper.queue_renewal(self, due);
    }

    /// What is held, good or not; for those who only look.
    pub fn held(&self) -> Option<Grant<S::Item>> {
        self.lock().held.clone()
    }

    /// The last failure, if nothing succeeded since.
    pub fn failure(&self) -> Option<Fault> {
        self.lock().failure.as_ref().map(|failure| failure.fault.clone())
    }

    /// The same for a caller: with the time for which it will be told.
    pub fn failure_to_tell(&self, now: Moment) -> Option<Fault> {
        let state = self.lock();
        match state.hushed(now) {
            Verdict::Refuse(fault) => Some(fault),
            _ => state.failure.as_ref().map(|failure| failure.fault.clone()),
        }
    }

    /// Another value in place of one that its consumer refused (a revoked token, say). Many refusals
    /// of one value cause one fetch. Until that lands, and if it fails, the refused value goes on being
    /// handed out: what one consumer was refused for may be its own fault. `None` if a refused value
    /// was replaced less than 30 seconds ago, so that a consumer who refuses everything is no loop at
    /// the issuer.
    pub async fn another(
        self: &Arc<Self>,
        keeper: &Arc<Keeper<S>>,
        policy: &Policy,
        refused: &Arc<S::Item>,
    ) -> Option<Answer<S::Item>> {
        match flight::in_place_of(self, keeper, policy, refused) {
            flight::Instead::Await(flight, how) => Some(flight.landing().await.map(|grant| (grant, how))),
            // Somebody else's refusal has already led to a newer one.
            flight::Instead::Newer => Some(self.ask(keeper, policy).await),
            flight::Instead::TooSoon => None,
        }
    }

    /// Starts a fetch now, as if somebody waited, unless one is in the air.
    pub fn fetch_now(self: &Arc<Self>, keeper: &Arc<Keeper<S>>) {
        flight::start(self, keeper, Urgency::Waited);
    }

    /// Starts a renewal now, unless one is in the air.
    pub fn renew_now(self: &Arc<Self>, keeper: &Arc<Keeper<S>>) {
        flight::start(self, keeper, Urgency::Ahead);
    }

    fn judge(&self, keeper: &Keeper<S>, policy: &Policy, now: Moment) -> Verdict<S::Item> {
        let mut state = self.lock();
        state.last_asked = Some(now);
        let Some(held) = &state.held else { return state.without().unwrap_or_else(|| state.hushed(now)) };
        let grant = held.clone();
        let alive = !grant.lifetime.remaining(now).is_zero();
        let young = state.landed.is_some_and(|landed| now.since(landed) < keeper.rhythm().floor);
        let best = alive && young && state.was_short_from_the_start(policy);
        match judge::judge(&grant.lifetime, policy, now) {
            Judgement::Fresh => Verdict::Serve(grant, How::Hit),
            Judgement::Ripe => {
                let overdue = !young && policy.renewal_overdue(&grant.lifetime, now);
                let renew = state.may_renew(now) && (overdue || state.scheduled.is_none());
                if renew { Verdict::ServeAndRenew(grant, How::Hit) } else { Verdict::Serve(grant, How::Hit) }
            }
            // The issuer gave us no better one a moment ago, so asking again would be a storm.
            Judgement::Stale | Judgement::Expired if best => Verdict::Serve(grant, How::Hit),
            Judgement::Stale if state.fails_and_spares() => {
                let renew = state.may_renew(now) && state.scheduled.is_none();
                if renew { Verdict::ServeAndRenew(grant, How::Stale) } else { Verdict::Serve(grant, How::Stale) }
            }
            Judgement::Stale | Judgement::Expired => state.without().unwrap_or_else(|| state.hushed(now)),
        }
    }

    fn in_spite_of(&self, fault: &Fault, policy: &Policy, now: Moment) -> Option<(Grant<S::Item>, How)> {
        let held = self.lock().held.clone()?;
        match judge::judge(&held.lifetime, policy, now) {
            Judgement::Fresh | Judgement::Ripe => Some((held, How::Hit)),
            Judgement::Stale if fault.spares_held_tokens() => Some((held, How::Stale)),
            Judgement::Stale | Judgement::Expired => None,
        }
    }

    /// A panic while the lock was held leaves a state that is still consistent: every change
    /// under it is a plain assignment.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Source> State<S> {
    /// Whether what is held did not meet the policy even when it landed, and the issuer has no better.
    fn was_short_from_the_start(&self, policy: &Policy) -> bool {
        let life = self.held.as_ref().map(|held| held.lifetime);
        life.zip(self.landed).is_some_and(|(life, landed)| {
            policy.is_too_much_for(life.ttl()) || (self.landed_best && life.remaining(landed) < policy.asked)
        })
    }

    /// The flight to wait for when there is nothing good to hand out.
    fn without(&self) -> Option<Verdict<S::Item>> {
        self.flight.clone().map(Verdict::Await)
    }

    /// Fetch, unless a failure is remembered.
    fn hushed(&self, now: Moment) -> Verdict<S::Item> {
        match &self.failure {
            Some(failure) if now.since(failure.at) < failure.remembered => {
                let rest = failure.remembered.saturating_sub(now.since(failure.at));
                Verdict::Refuse(failure.fault.clone().retry_after(rest))
            }
            _ => Verdict::Fetch,
        }
    }

    /// Whether no renewal is in the air, and none has just failed.
    fn may_renew(&self, now: Moment) -> bool {
        let quiet = |failure: &Failure| now.since(failure.at) < failure.quiet;
        self.flight.is_none() && !self.failure.as_deref().is_some_and(quiet)
    }

    fn fails_and_spares(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.fault.spares_held_tokens())
    }

    /// Notes a failure and says for how long the background keeps quiet about it.
    fn note_failure(&mut self, fault: &Fault, now: Moment, pace: Option<Duration>) -> Duration {
        let in_a_row = self.failure.as_ref().map_or(0, |failure| failure.in_a_row).saturating_add(1);
        let remembered = judge::remembered_for(fault, in_a_row);
        let quiet = pace.map_or(remembered, |pace| pace.max(remembered));
        self.failure = Some(Box::new(Failure { fault: fault.clone(), in_a_row, at: now, remembered, quiet }));
        quiet
    }
}

/// What waiters are told when a flight is lost: its task panicked, or the process is stopping.
fn lost() -> Fault {
    Fault::new(Code::Internal, "the work for this request was lost; see the log")
}
