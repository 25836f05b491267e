//! Every task of the process is spawned here, so that a drain can wait for all of them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The signal to stop, in two strengths.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Stop {
    /// Stop accepting, finish what is in flight.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Give up what is still in flight.
    pub fn force(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Whether a stop has begun.
    pub fn has_begun(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Waits for the beginning of a stop.
    pub async fn begun(&self) {
        self.soft.cancelled().await;
    }

    /// Waits until what is in flight is given up.
    pub async fn forced(&self) {
        self.hard.cancelled().await;
    }
}

/// The tasks of the process. Work that answers somebody is waited for at a drain; chores, such as
/// renewing ahead of time, just end.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    work: TaskTracker,
    stop: Stop,
    /// How many came since a stop began.
    late: Arc<AtomicU64>,
}

impl Tasks {
    /// None yet, nothing stopped.
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// The stop signal that these tasks obey.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Runs something that a drain waits for.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn work(&self, future: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.work.track_future(future));
    }

    /// Runs something that ends when a stop begins.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn chore(&self, future: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = future => {}
                () = stop.begun() => {}
            }
        });
    }

    /// Runs something that goes on through a drain and that nobody waits for.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn background(&self, future: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(future);
    }

    /// Counts somebody who came since a stop began, and is told so.
    pub fn came_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until nobody has come for so long, at most `longest` or until a stop is forced. Who was answered a moment ago
    /// asks once more before it can know, and what arrives while a listener closes is lost.
    pub async fn calm(&self, calm: Duration, longest: Duration) {
        let settled = async {
            let mut before = self.late.load(Ordering::Relaxed);
            loop {
                tokio::time::sleep(calm).await;
                let now = self.late.load(Ordering::Relaxed);
                if now == before {
                    return;
                }
                before = now;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(longest, settled) => {}
            () = self.stop.forced() => {}
        }
    }

    /// Waits for the work in flight, at most `deadline` or until a stop is forced. Returns whether
    /// all of it finished.
    pub async fn drained(&self, deadline: Duration) -> bool {
        self.work.close();
        tokio::select! {
            () = self.work.wait() => true,
            () = tokio::time::sleep(deadline) => false,
            () = self.stop.forced() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_calm_when_nobody_has_come_for_long_enough() {
        let (calm, longest) = (Duration::from_millis(200), Duration::from_secs(1));
        let took = async |tasks: &Tasks| {
            let begin = tokio::time::Instant::now();
            tasks.calm(calm, longest).await;
            begin.elapsed()
        };
        let quiet = Tasks::new();
        assert_eq!(took(&quiet).await, calm);
        let come = |count: u64| {
            let (tasks, guests) = (Tasks::new(), Tasks::new());
            let late = tasks.clone();
            guests.background(async move {
                for _ in 0..count {
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    late.came_late();
                }
            });
            tasks
        };
        assert_eq!(took(&come(2)).await, calm * 3, "the last one came in the second span");
        assert_eq!(took(&come(100)).await, longest, "who does not listen holds nothing up");
        let forced = come(100);
        forced.stop().force();
        assert_eq!(took(&forced).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_work_and_not_for_chores() {
        let tasks = Tasks::new();
        tasks.chore(std::future::pending());
        tasks.work(tokio::time::sleep(Duration::from_secs(3)));
        tasks.stop().begin();
        let begin = tokio::time::Instant::now();
        assert!(tasks.drained(Duration::from_secs(10)).await);
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn row_38_a_second_signal_ends_the_wait() {
        let tasks = Tasks::new();
        tasks.work(std::future::pending());
        tasks.stop().begin();
        let stop = tasks.stop().clone();
        tasks.chore(async move { stop.force() });
        tasks.stop().force();
        assert!(!tasks.drained(Duration::from_secs(3600)).await);
    }
}
