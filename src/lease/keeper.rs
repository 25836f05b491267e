//! Renewal ahead of time: one task and one queue per kind of thing, however many things there are
//! (24 bytes each; a timer task for each of 100,000 tokens would cost more than the tokens).

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Lease, Source, State, flight};
use crate::lifecycle::Tasks;
use crate::model::{Clock, Lifetime, Moment, Urgency};

/// The tempo of one kind of lease.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Least time between two successful fetches of one lease.
    pub floor: Duration,
    /// Not renewed any more when nobody asked for so long; `None` renews for ever.
    pub idle: Option<Duration>,
    /// Fetched anew at this interval instead of by the policy: for things without an end.
    pub every: Option<Duration>,
    /// The longest that a flight may take.
    pub deadline: Duration,
}

/// Keeps the leases of one kind fresh.
pub struct Keeper<S: Source> {
    clock: Clock,
    tasks: Tasks,
    rhythm: Rhythm,
    queue: Mutex<BinaryHeap<Due<S>>>,
    /// Rung when something is due earlier than what was first so far.
    bell: Arc<Notify>,
}

/// Woken up at the latest after so long: timers stand still while the machine sleeps, due times do not.
const LONGEST_NAP: Duration = Duration::from_secs(30);

impl<S: Source> Keeper<S> {
    /// A keeper with an empty queue, already at work.
    pub fn start(clock: Clock, tasks: Tasks, rhythm: Rhythm) -> Arc<Keeper<S>> {
        let keeper = Arc::new(Keeper {
            clock,
            tasks: tasks.clone(),
            rhythm,
            queue: Mutex::new(BinaryHeap::new()),
            bell: Arc::default(),
        });
        // It ends with the last one who has the keeper: a reload may make another.
        let (worker, bell) = (Arc::downgrade(&keeper), Arc::clone(&keeper.bell));
        tasks.chore(async move { run(&worker, &bell).await });
        keeper
    }

    /// The clock by which everything is judged.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The tempo.
    pub fn rhythm(&self) -> &Rhythm {
        &self.rhythm
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// A number between 0 and 1, for jitter.
    #[expect(clippy::unused_self, reason = "the keeper is where a seeded generator would sit")]
    pub(super) fn chance(&self) -> f64 {
        fastrand::f64()
    }

    /// When a thing with this life is to be renewed.
    pub(super) fn renewal_due(&self, source: &S, life: &Lifetime) -> Moment {
        let now = self.clock.now();
        if let Some(every) = self.rhythm.every {
            return now.after(every);
        }
        let due = source.policy().renewal_due(life, self.chance());
        // A thing that is born ripe is renewed no faster than the floor allows.
        let floor = now.after(self.rhythm.floor);
        if due.boot < floor.boot { floor } else { due }
    }

    /// When to try again after a failure, if at all: without a value in hand, only things that
    /// nobody needs to ask for are tried again.
    pub(super) fn retry_due(&self, quiet: Duration, serves: bool) -> Option<Moment> {
        let after = quiet.max(Duration::from_secs(1)).min(self.rhythm.every.unwrap_or(Duration::MAX));
        (serves || self.rhythm.idle.is_none()).then(|| self.clock.now().after(after))
    }

    /// Puts a renewal into the queue; the lease's `scheduled` says the same time.
    pub(super) fn queue_renewal(&self, lease: &Arc<Lease<S>>, due: Moment) {
        self.push(Due { at: due.boot, errand: Errand::Renew, lease: Arc::downgrade(lease) });
    }

    /// Looks after a lease once more when its value has expired, to free it.
    pub(super) fn queue_burial(&self, lease: &Arc<Lease<S>>, at: Moment) {
        self.push(Due { at: at.boot, errand: Errand::Bury, lease: Arc::downgrade(lease) });
    }

    fn push(&self, due: Due<S>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let first = queue.peek().is_none_or(|first| due.at < first.at);
        queue.push(due);
        drop(queue);
        if first {
            self.bell.notify_one();
        }
    }

    /// Renews what is due and says how long there is nothing to do.
    fn work_off(self: &Arc<Self>) -> Duration {
        loop {
            let now = self.clock.now();
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            match queue.peek() {
                None => return LONGEST_NAP,
                Some(first) if first.at > now.boot => {
                    return Duration::from_nanos(first.at - now.boot).min(LONGEST_NAP);
                }
                Some(_) => {}
            }
            let due = queue.pop();
            drop(queue);
            let Some(due) = due else { continue };
            let Some(lease) = due.lease.upgrade() else {
                continue;
            };
            match due.errand {
                Errand::Renew => self.renew(&lease, due.at, now),
                Errand::Bury => bury(&lease, now),
            }
        }
    }

    fn renew(self: &Arc<Self>, lease: &Arc<Lease<S>>, due: u64, now: Moment) {
        let mut state = lease.lock();
        if state.scheduled != Some(due) {
            return; // A later landing has set another time.
        }
        state.scheduled = None;
        let in_the_air = state.flight.is_some();
        let life = state.held.as_ref().map(|held| held.lifetime);
        let forgotten = self.is_forgotten(lease.source(), &state, now);
        drop(state);
        let left = life.map(|life| life.remaining(now)).unwrap_or_default();
        if in_the_air {
            // The landing will set the next time.
        } else if forgotten || lease.source().is_retired() {
            self.queue_burial(lease, now.after(left));
        } else {
            // With nothing left in hand, somebody may well be waiting by the time it lands.
            let urgency = if left.is_zero() { Urgency::Waited } else { Urgency::Ahead };
            flight::start(lease, self, urgency);
        }
    }

    /// Whether nobody asks for it any more. What lives hardly longer than promised would be renewed
    /// all the time, and so is renewed only as often as somebody asks.
    fn is_forgotten(&self, source: &S, state: &State<S>, now: Moment) -> bool {
        let idle = self.rhythm.idle.is_some_and(|idle| state.last_asked.is_none_or(|asked| now.since(asked) >= idle));
        let usable = state.held.as_ref().map(|held| held.lifetime.ttl().saturating_sub(source.policy().min_ttl));
        let brief = self.rhythm.every.is_none() && usable.is_some_and(|usable| usable < self.rhythm.floor * 2);
        let unasked = state.landed.is_some_and(|landed| state.last_asked.is_none_or(|asked| landed.boot > asked.boot));
        idle || (brief && unasked)
    }
}

impl<S: Source> Drop for Keeper<S> {
    fn drop(&mut self) {
        self.bell.notify_one();
    }
}

async fn run<S: Source>(keeper: &Weak<Keeper<S>>, bell: &Notify) {
    while let Some(nap) = keeper.upgrade().map(|keeper| keeper.work_off()) {
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            () = bell.notified() => {}
        }
    }
}

/// Frees what has expired and was not renewed, since nobody asked for it.
fn bury<S: Source>(lease: &Arc<Lease<S>>, now: Moment) {
    let state = lease.lock();
    let alive = state.held.as_ref().is_some_and(|held| !held.lifetime.remaining(now).is_zero());
    let busy = state.flight.is_some() || state.scheduled.is_some();
    drop(state);
    if !alive && !busy {
        lease.source().lapsed();
    }
}

#[derive(Clone, Copy)]
enum Errand {
    Renew,
    Bury,
}

struct Due<S: Source> {
    /// Nanoseconds since boot.
    at: u64,
    errand: Errand,
    lease: Weak<Lease<S>>,
}

impl<S: Source> PartialEq for Due<S> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<S: Source> Eq for Due<S> {}

impl<S: Source> PartialOrd for Due<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<S: Source> Ord for Due<S> {
    /// Reversed: the heap gives the greatest, and we want the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}
