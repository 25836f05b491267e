//! One fetch in the air, shared by all who wait. It is a task of its own: whoever hangs up, the
//! first asker included, neither cancels it nor fails the others.
//!
//! moka's `try_get_with` was tried and refused: when its first caller is dropped, the work starts
//! anew in a follower (two mints for 51 callers), and when the work panics, every waiter runs it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Grant, How, Keeper, Lease, Policy, Source, State, Verdict, Want, judge, lost};
use crate::model::{Code, Fault, Lifetime, Moment, Urgency};

type Landing<T> = Option<Result<Grant<T>, Fault>>;

/// A seat in a flight.
pub struct Flight<T>(watch::Receiver<Landing<T>>);

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Flight(self.0.clone())
    }
}

impl<T> Flight<T> {
    /// Waits for the landing.
    ///
    /// # Errors
    /// What the flight failed with.
    pub(super) async fn landing(mut self) -> Result<Grant<T>, Fault> {
        match self.0.wait_for(Option::is_some).await {
            Ok(landing) => landing.clone().unwrap_or_else(|| Err(lost())),
            // The sender is gone without a word: the task panicked.
            Err(_) => Err(lost()),
        }
    }
}

/// A seat in the flight in the air, or in a new one.
pub(super) fn join_or_start<S: Source>(
    lease: &Arc<Lease<S>>,
    keeper: &Arc<Keeper<S>>,
    policy: &Policy,
) -> (Flight<S::Item>, How) {
    let mut state = lease.lock();
    if let Some(flight) = &state.flight {
        return (flight.clone(), How::Coalesced);
    }
    let (sender, receiver) = watch::channel(None);
    state.flight = Some(Flight(receiver.clone()));
    // An issuer whose things die within the floor is still asked once per floor only.
    let landed = state.landed.filter(|_| state.was_short_from_the_start(policy));
    let not_before = landed.map(|landed| landed.after(keeper.rhythm().floor));
    let want = want(policy, &state);
    drop(state);
    launch(lease, keeper, sender, want, not_before);
    (Flight(receiver), How::Miss)
}

/// What there is in place of a refused value.
pub(super) enum Instead<T> {
    /// What this flight brings.
    Await(Flight<T>, How),
    /// Another value, already.
    Newer,
    /// Nothing: one was replaced a moment ago.
    TooSoon,
}

/// Not twice within this time.
const REPLACED_EVERY: Duration = Duration::from_secs(30);

/// Sees to another value than the refused one, without regard to the floor between two fetches.
pub(super) fn in_place_of<S: Source>(
    lease: &Arc<Lease<S>>,
    keeper: &Arc<Keeper<S>>,
    policy: &Policy,
    refused: &Arc<S::Item>,
) -> Instead<S::Item> {
    let now = keeper.clock().now();
    let mut state = lease.lock();
    if !state.held.as_ref().is_some_and(|held| Arc::ptr_eq(&held.item, refused)) {
        return Instead::Newer;
    }
    if let Some(flight) = &state.flight {
        return Instead::Await(flight.clone(), How::Coalesced);
    }
    let recently = state.replaced.is_some_and(|then| now.since(then) < REPLACED_EVERY);
    if recently || matches!(state.hushed(now), Verdict::Refuse(_)) {
        return Instead::TooSoon;
    }
    state.replaced = Some(now);
    let (sender, receiver) = watch::channel(None);
    state.flight = Some(Flight(receiver.clone()));
    let want = want(policy, &state);
    drop(state);
    launch(lease, keeper, sender, want, None);
    Instead::Await(Flight(receiver), How::Miss)
}

fn want<S: Source>(policy: &Policy, state: &State<S>) -> Want {
    let held = state.held.as_ref().map(|held| held.lifetime);
    Want { urgency: Urgency::Waited, life: policy.min_ttl.max(policy.asked), held }
}

/// Starts a flight unless one is in the air.
pub(super) fn start<S: Source>(lease: &Arc<Lease<S>>, keeper: &Arc<Keeper<S>>, urgency: Urgency) {
    let mut state = lease.lock();
    if state.flight.is_some() {
        return;
    }
    let (sender, receiver) = watch::channel(None);
    state.flight = Some(Flight(receiver));
    let want = Want { urgency, ..want(&lease.source.policy(), &state) };
    drop(state);
    launch(lease, keeper, sender, want, None);
}

fn launch<S: Source>(
    lease: &Arc<Lease<S>>,
    keeper: &Arc<Keeper<S>>,
    sender: watch::Sender<Landing<S::Item>>,
    want: Want,
    not_before: Option<Moment>,
) {
    let crew = Crew { lease: Arc::clone(lease), keeper: Arc::clone(keeper), sender: Some(sender), want };
    // Not work that a drain waits for: those who wait for a flight are, and some flights have nobody.
    keeper.tasks().background(async move {
        if let Some(wait) = not_before.map(|then| then.since(crew.keeper.clock().now())) {
            tokio::time::sleep(wait).await;
        }
        // What nobody waits for may queue for long behind others of its kind.
        let patience = if want.urgency == Urgency::Waited { 1 } else { 10 };
        let deadline = crew.keeper.rhythm().deadline * patience;
        let fetch = crew.lease.source.fetch(want);
        let result = match tokio::time::timeout(deadline, fetch).await {
            Ok(result) => result,
            Err(_) => Err(Fault::new(Code::Timeout, "gave up waiting for the vendor")),
        };
        crew.land(result);
    });
}

/// Sees a flight to its end on every path: landed, failed, or lost in a panic.
struct Crew<S: Source> {
    lease: Arc<Lease<S>>,
    keeper: Arc<Keeper<S>>,
    sender: Option<watch::Sender<Landing<S::Item>>>,
    want: Want,
}

impl<S: Source> Crew<S> {
    fn land(mut self, result: Result<(S::Item, Lifetime), Fault>) {
        let landing = match result {
            Ok((item, lifetime)) => Ok(self.arrived(Grant { item: Arc::new(item), lifetime })),
            Err(fault) => Err(self.failed(fault)),
        };
        S::landed(&self.lease, landing.as_ref().map(|_| ()));
        if let Some(sender) = self.sender.take() {
            sender.send_replace(Some(landing));
        }
    }

    fn arrived(&self, grant: Grant<S::Item>) -> Grant<S::Item> {
        let now = self.keeper.clock().now();
        let due = self.keeper.renewal_due(&self.lease.source, &grant.lifetime);
        let mut state = self.lease.lock();
        let old = state.held.replace(grant.clone());
        state.landed = Some(now);
        let short = grant.lifetime.remaining(now) < self.want.life;
        state.landed_best = short || !self.lease.source.ends_with_another();
        state.failure = None;
        state.flight = None;
        state.scheduled = Some(due.boot);
        drop(state);
        self.lease.source.arrived(old.as_ref().map(|old| &*old.item), &grant.item);
        self.keeper.queue_renewal(&self.lease, due);
        grant
    }

    fn failed(&self, fault: Fault) -> Fault {
        let now = self.keeper.clock().now();
        let policy = self.lease.source.policy();
        let mut state = self.lease.lock();
        state.flight = None;
        // What failed replaced nothing; its memory has a pace of its own.
        state.replaced = None;
        let held = state.held.as_ref().map(|held| held.lifetime);
        let serves = held.filter(|life| judge::judge(life, &policy, now) != judge::Judgement::Expired);
        // Somebody who waited is told at once; only the pace of the background is slow.
        let pace = serves
            .map(|life| judge::background_pace(life.remaining(now), &policy, self.keeper.chance()))
            .filter(|_| self.want.urgency == Urgency::Ahead || fault.spares_held_tokens());
        let quiet = state.note_failure(&fault, now, pace);
        let retry = self.keeper.retry_due(quiet, serves.is_some());
        state.scheduled = retry.map(|due| due.boot);
        drop(state);
        match (retry, held) {
            (Some(due), _) => self.keeper.queue_renewal(&self.lease, due),
            (None, Some(life)) => self.keeper.queue_burial(&self.lease, now.after(life.remaining(now))),
            (None, None) => {}
        }
        fault
    }
}

impl<S: Source> Drop for Crew<S> {
    fn drop(&mut self) {
        if self.sender.is_some() {
            if std::thread::panicking() {
                tracing::error!("a fetch panicked; all who waited were told, the next one may try again");
            }
            let fault = self.failed(lost());
            S::landed(&self.lease, Err(&fault));
        }
    }
}
