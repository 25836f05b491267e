//! This process as one of its fleet: keeps the calls and the times of each of its limits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::fleet::{Ask, Member, Redis, Reply, Standing, Terms};
use super::queue::{Chores, Gate, Queue, boot_micros};
use crate::config::{Fleet, LoadLimit};
use crate::lifecycle::Tasks;
use crate::model::Clock;
use crate::model::secret::{ShortHex, sha256};
use crate::telemetry::metrics::FleetMetrics;

/// At the end, for the last words.
const FAREWELL: Duration = Duration::from_millis(200);
/// An empty round of the one who serves a limit, at the latest.
const ROUND: Duration = Duration::from_secs(1);

/// This process, as the others know it.
pub struct Replica {
    redis: Arc<Redis>,
    /// The same after a restart, so that a process takes the place of the one before it.
    id: Arc<str>,
    /// Its number among them until they say it.
    turn: i64,
    replicas: u32,
    clock: Clock,
    metrics: FleetMetrics,
    /// Limits that are not those of the whole fleet at the moment.
    apart: Arc<AtomicI64>,
    /// Those who serve the limits. They go on through a drain, and end with a word to the others.
    tasks: Tasks,
}

impl Replica {
    /// The replica that is called so. Two at once that are called the same are counted as one.
    pub fn new(fleet: &Fleet, called: &str, redis: Redis, metrics: FleetMetrics, clock: Clock) -> Replica {
        let digest = sha256(called.as_bytes());
        let turn = i64::from(u16::from_le_bytes([digest[8], digest[9]]));
        // As long as there are no limits, none is a share.
        metrics.up(true);
        Replica {
            redis: Arc::new(redis),
            turn: turn % i64::from(fleet.replicas.max(1)),
            id: ShortHex::of(&digest).as_str().into(),
            replicas: fleet.replicas,
            clock,
            metrics,
            apart: Arc::default(),
            tasks: Tasks::new(),
        }
    }

    /// A gate that has to be [served](Replica::serve).
    pub(super) fn gate(&self, limit: &LoadLimit) -> Gate {
        Gate::Fleet(Box::new(Member::new(Terms::new(limit, self.replicas), self.turn, boot_micros(&self.clock))))
    }

    /// Serves a limit until this process ends.
    pub(super) fn serve(&self, workspace: &str, queue: &Arc<Queue>) {
        self.apart.fetch_add(1, Ordering::Relaxed);
        self.metrics.up(false);
        let service = Service {
            redis: Arc::clone(&self.redis),
            id: Arc::clone(&self.id),
            workspace: workspace.to_owned(),
            key: format!("sidemint:loads:{workspace}"),
            queue: Arc::clone(queue),
            metrics: self.metrics.clone(),
            apart: Arc::clone(&self.apart),
            joined: false,
            said: false,
        };
        let stop = self.tasks.stop().clone();
        self.tasks.work(async move {
            let mut service = service;
            tokio::select! {
                () = service.run() => {}
                () = stop.begun() => {}
            }
            service.leave().await;
        });
    }

    /// Tells the others that this one is going.
    pub(super) async fn leave(&self) {
        self.tasks.stop().begin();
        self.tasks.drained(FAREWELL).await;
        self.tasks.stop().force();
    }
}

/// The one who serves one limit.
struct Service {
    redis: Arc<Redis>,
    id: Arc<str>,
    workspace: String,
    key: String,
    queue: Arc<Queue>,
    metrics: FleetMetrics,
    apart: Arc<AtomicI64>,
    joined: bool,
    /// Whether it was said that it is apart.
    said: bool,
}

type Calling = Pin<Box<dyn Future<Output = (Ask, Option<Reply>)> + Send>>;

impl Service {
    async fn run(&mut self) {
        let mut calling: Option<Calling> = None;
        while let Some(Chores { ask, pause, standing }) = self.queue.work() {
            self.tell(standing);
            if let Some((ask, terms)) = ask {
                calling = Some(self.call(ask, terms));
            }
            let answer = async {
                match &mut calling {
                    Some(call) => call.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                (ask, reply) = answer => {
                    calling = None;
                    self.queue.heard(&ask, reply);
                }
                () = tokio::time::sleep(pause.min(ROUND)) => {}
                () = self.queue.bell().notified() => {}
            }
        }
    }

    fn call(&self, ask: Ask, terms: Terms) -> Calling {
        let (redis, id, key) = (Arc::clone(&self.redis), Arc::clone(&self.id), self.key.clone());
        Box::pin(async move {
            let answer = redis.call(&key, &ask.args(&id, &terms)).await;
            (ask, answer.ok().and_then(|words| Reply::read(&words)))
        })
    }

    /// Says whether the limit is that of the fleet, when that has changed.
    fn tell(&mut self, standing: Standing) {
        let (joined, alone) = (standing == Standing::Fleet, standing == Standing::Share);
        if joined != self.joined {
            self.joined = joined;
            let change = if joined { -1 } else { 1 };
            let apart = self.apart.fetch_add(change, Ordering::Relaxed) + change;
            self.metrics.up(apart == 0);
        }
        let workspace = &self.workspace;
        if alone && !self.said {
            tracing::warn!(
                workspace,
                share = self.queue.share(),
                "the fleet's Redis cannot be used: this replica keeps to its share of the load limit"
            );
            self.said = true;
        }
        if joined && self.said {
            tracing::info!(workspace, "the load limit is that of the whole fleet again");
            self.said = false;
        }
    }

    async fn leave(&self) {
        if let Some((ask, terms)) = self.queue.farewell() {
            self.call(ask, terms).await;
        }
    }
}
