//! How fast dashboards may start to load: the vendor's "20 per second" belongs to a workspace, so
//! all upstreams of one host share one [`Limiter`].
//!
//! [`window`] is the strict gate of one process and [`fleet`] that of all replicas, [`lanes`] the fair order of those
//! who wait, [`queue`] where both meet.

pub mod fleet;
mod lanes;
mod queue;
mod replica;
mod window;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::LoadLimit;
use crate::lifecycle::Tasks;
use crate::model::{Clock, Code, Fault};
use crate::telemetry::metrics::{LoadMetrics, LoadRejection};
pub use fleet::Standing;
use fleet::micros;
use queue::{Gate, Queue};
pub use replica::Replica;
use window::Window;

/// One limit. Only loads come here; renewals never wait.
pub struct Limiter {
    limit: LoadLimit,
    queue: Arc<Queue>,
    /// Whether the queue has yet to learn of our limit: with the first load, as a reload may still fail.
    changes: AtomicBool,
    per_viewer: RateLimiter<u64, HashMapStateStore<u64>, Ticks, NoOpMiddleware<Nanos>>,
    hasher: std::hash::RandomState,
    /// Loads whose tokens are being minted.
    coming: AtomicUsize,
    /// The second in which quiet viewers were last forgotten.
    swept: AtomicU64,
    clock: Clock,
}

/// Our clock as governor wants it, so that tests move both.
#[derive(Clone)]
struct Ticks(Clock);

impl GovernorClock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.boot().into()
    }
}

/// Beyond so many viewers, those that have been quiet are forgotten.
const MANY_VIEWERS: usize = 10_000;

impl Limiter {
    /// An idle limiter of this process alone.
    pub fn new(limit: LoadLimit, clock: Clock, tasks: Tasks) -> Limiter {
        let gate = Gate::Own(Window::new(limit.per_second, micros(limit.window)));
        Limiter::with(gate, limit, clock, tasks)
    }

    fn with(gate: Gate, limit: LoadLimit, clock: Clock, tasks: Tasks) -> Limiter {
        let queue = Queue::new(&limit, gate, clock.clone(), tasks);
        Limiter::before(queue, limit, clock)
    }

    fn before(queue: Arc<Queue>, limit: LoadLimit, clock: Clock) -> Limiter {
        let per_viewer = Quota::per_second(NonZeroU32::new(limit.per_viewer_per_second).unwrap_or(NonZeroU32::MIN));
        Limiter {
            queue,
            changes: AtomicBool::new(false),
            per_viewer: RateLimiter::new(per_viewer, HashMapStateStore::default(), Ticks(clock.clone())),
            limit,
            hasher: std::hash::RandomState::new(),
            coming: AtomicUsize::new(0),
            swept: AtomicU64::new(0),
            clock,
        }
    }

    /// What it was made from.
    pub fn limit(&self) -> &LoadLimit {
        &self.limit
    }

    /// Whether loads could ever start: not before it is known whether the rest of the fleet can be reached.
    pub fn is_settled(&self) -> bool {
        self.queue.is_settled()
    }

    /// Whose limit it is.
    pub fn standing(&self) -> Standing {
        self.queue.standing()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Announces a load whose token has yet to be minted. What could not even queue up is refused
    /// now, before a mint is spent on it.
    ///
    /// # Errors
    /// [`Code::LoadLimited`].
    pub fn announce(&self, viewer: &str, metrics: &LoadMetrics) -> Result<Coming<'_>, Fault> {
        self.change();
        let coming = self.coming.fetch_add(1, Ordering::Relaxed);
        let coming_one = Coming(&self.coming);
        match self.queue.room(self.hasher.hash_one(viewer), coming) {
            Ok(()) => Ok(coming_one),
            Err(after) => {
                metrics.rejected(LoadRejection::Limited);
                Err(limited(after))
            }
        }
    }

    /// Starts a load of this viewer at once, or gives it a turn to wait for.
    ///
    /// # Errors
    /// [`Code::ViewerLimited`], with the time after which it makes sense to ask again.
    pub fn begin(&self, viewer: &str, metrics: &LoadMetrics) -> Result<Option<Turn>, Fault> {
        let viewer = self.hasher.hash_one(viewer);
        self.change();
        self.forget_quiet_viewers();
        if self.per_viewer.check_key(&viewer).is_err() {
            metrics.rejected(LoadRejection::ViewerLimited);
            let detail = "this viewer has started as many dashboards in this second as the config allows";
            return Err(Fault::new(Code::ViewerLimited, detail).retry_after(Duration::from_secs(1)));
        }
        if self.queue.try_start() {
            metrics.started(Duration::ZERO);
            return Ok(None);
        }
        Ok(Some(Turn(viewer)))
    }

    /// Waits for a turn. Returns how long that took.
    ///
    /// # Errors
    /// [`Code::LoadLimited`], with the time after which it makes sense to ask again.
    pub async fn wait(&self, turn: Turn, metrics: &LoadMetrics) -> Result<Duration, Fault> {
        match self.queue.wait(turn.0, metrics).await {
            Ok(waited) => {
                metrics.started(waited);
                Ok(waited)
            }
            Err(after) => {
                metrics.rejected(LoadRejection::Limited);
                Err(limited(after))
            }
        }
    }
}

/// The right to queue up for the start of a load.
pub struct Turn(u64);

impl Limiter {
    fn change(&self) {
        if self.changes.load(Ordering::Relaxed) && self.changes.swap(false, Ordering::Relaxed) {
            self.queue.change(&self.limit);
        }
    }

    /// At most once a second: it looks at every viewer.
    fn forget_quiet_viewers(&self) {
        let second = self.clock.now().boot / 1_000_000_000;
        if self.per_viewer.len() > MANY_VIEWERS && self.swept.swap(second, Ordering::Relaxed) != second {
            self.per_viewer.retain_recent();
        }
    }
}

/// A load whose token is being minted.
pub struct Coming<'a>(&'a AtomicUsize);

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn limited(after: Duration) -> Fault {
    let detail = "more dashboards want to start than the workspace takes; the page should ask again, not show an error";
    Fault::new(Code::LoadLimited, detail).retry_after(after)
}

/// The limiters of all workspaces; they outlive a reload of the config that does not touch them.
pub struct Limiters {
    clock: Clock,
    tasks: Tasks,
    replica: Option<Arc<Replica>>,
    by_host: Mutex<HashMap<String, Arc<Limiter>>>,
}

impl Limiters {
    /// None yet. With a replica, all of them are those of its fleet.
    pub fn new(clock: Clock, tasks: Tasks, replica: Option<Arc<Replica>>) -> Limiters {
        Limiters { clock, tasks, replica, by_host: Mutex::default() }
    }

    /// Tells the fleet that this replica is going, so that the others need not find out.
    pub async fn leave(&self) {
        if let Some(replica) = &self.replica {
            replica.leave().await;
        }
    }

    /// The limiter of a host; a new one if the limit has changed.
    pub fn of(&self, host: &str, limit: &LoadLimit) -> Arc<Limiter> {
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(limiter) = by_host.get(host).filter(|limiter| limiter.limit == *limit) {
            return Arc::clone(limiter);
        }
        let (clock, tasks, limit) = (self.clock.clone(), self.tasks.clone(), limit.clone());
        let limiter = Arc::new(match (&self.replica, by_host.get(host)) {
            (None, None) => Limiter::new(limit, clock, tasks),
            (None, Some(_)) => {
                let limiter = Limiter::new(limit, clock, tasks);
                // What the old one let through in this window counts at the vendor all the same.
                limiter.queue.exhaust();
                limiter
            }
            (Some(replica), None) => {
                let limiter = Limiter::with(replica.gate(&limit), limit, clock, tasks);
                replica.serve(host, &limiter.queue);
                limiter
            }
            // One replica is one member, whatever its limit.
            (Some(_), Some(old)) => {
                let limiter = Limiter::before(Arc::clone(&old.queue), limit, clock);
                limiter.changes.store(true, Ordering::Relaxed);
                limiter
            }
        });
        by_host.insert(host.to_owned(), Arc::clone(&limiter));
        limiter
    }
}

#[cfg(test)]
mod tests;
