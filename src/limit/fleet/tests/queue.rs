//! Queues of several replicas before one limit, on a paused clock: who starts, who waits, who is sent away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::super::Micros;
use super::super::member::Member;
use super::super::script::{Ask, Mode, Terms};
use super::model::Server;
use crate::config::LoadLimit;
use crate::lifecycle::Tasks;
use crate::limit::queue::{Gate, Queue, boot_micros};
use crate::model::Clock;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::LoadMetrics;

const ROUND_TRIP: Duration = Duration::from_millis(1);

struct Fleet {
    server: Arc<Mutex<Server>>,
    clock: Clock,
    tasks: Tasks,
    /// Those who serve replicas that crash.
    crash: Tasks,
    limit: LoadLimit,
    metrics: LoadMetrics,
}

impl Fleet {
    fn new(per_second: u32, max_wait: u64) -> Fleet {
        let begin = Instant::now();
        let limit = LoadLimit {
            per_second,
            window: Duration::from_secs(1),
            max_wait: Duration::from_secs(max_wait),
            max_waiting: 10_000,
            per_viewer_per_second: 1000,
        };
        Fleet {
            server: Arc::default(),
            clock: Clock::driven_by(move || begin.elapsed()),
            tasks: Tasks::new(),
            crash: Tasks::new(),
            limit,
            metrics: Metrics::new().unwrap().upstream("acme").loads.clone(),
        }
    }

    /// A replica that has joined and may start loads.
    async fn replica(&self, id: u32) -> Arc<Queue> {
        self.served_by(&self.tasks, id).await
    }

    async fn replica_that_will_crash(&self, id: u32) -> Arc<Queue> {
        self.served_by(&self.crash, id).await
    }

    async fn served_by(&self, tasks: &Tasks, id: u32) -> Arc<Queue> {
        let terms = Terms::new(&self.limit, 2);
        let member = Member::new(terms, 0, boot_micros(&self.clock));
        let queue = Queue::new(&self.limit, Gate::Fleet(Box::new(member)), self.clock.clone(), self.tasks.clone());
        tasks.chore(serve(Arc::clone(&queue), Arc::clone(&self.server), self.clock.clone(), id));
        while !queue.is_settled() {
            sleep(ROUND_TRIP).await;
        }
        queue
    }
}

/// What `Service` does, with the model in place of Redis.
async fn serve(queue: Arc<Queue>, server: Arc<Mutex<Server>>, clock: Clock, id: u32) {
    while let Some(chores) = queue.work() {
        if let Some((ask, terms)) = chores.ask {
            sleep(ROUND_TRIP / 2).await;
            let now = 1_800_000_000_000_000 + boot_micros(&clock);
            let reply = server.lock().unwrap().answer(now, id, &ask, &terms);
            sleep(ROUND_TRIP / 2).await;
            queue.heard(&ask, Some(reply));
            continue;
        }
        tokio::select! {
            () = sleep(chores.pause.min(Duration::from_secs(1))) => {}
            () = queue.bell().notified() => {}
        }
    }
}

/// Asks for so many loads of this viewer at once; how long each waited, or when to ask again.
async fn ask(queue: &Arc<Queue>, viewer: u64, loads: usize, metrics: &LoadMetrics) -> Vec<Result<Duration, Duration>> {
    let loads = (0..loads)
        .map(|_| async { if queue.try_start() { Ok(Duration::ZERO) } else { queue.wait(viewer, metrics).await } });
    join_all(loads).await
}

/// Of them, those that did not have to wait.
fn at_once(answers: &[Result<Duration, Duration>]) -> usize {
    answers.iter().flatten().filter(|wait| **wait < Duration::from_millis(10)).count()
}

fn served(answers: &[Result<Duration, Duration>]) -> usize {
    answers.iter().filter(|answer| answer.is_ok()).count()
}

#[tokio::test(start_paused = true)]
async fn an_idle_fleet_lets_the_limit_through_at_once_and_the_rest_in_turn() {
    let fleet = Fleet::new(20, 10);
    let (a, b) = (fleet.replica(1).await, fleet.replica(2).await);
    let begin = fleet.clock.now();
    let (of_a, of_b) = tokio::join!(ask(&a, 1, 30, &fleet.metrics), ask(&b, 2, 30, &fleet.metrics));
    assert_eq!((served(&of_a), served(&of_b)), (30, 30));
    assert_eq!(at_once(&of_a) + at_once(&of_b), 20);
    assert!(fleet.clock.now().since(begin) < Duration::from_millis(2_100), "60 loads are three bursts");
    assert_eq!((a.waiting(), b.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_floods_leaves_room_for_another() {
    let fleet = Fleet::new(20, 2);
    let (flooded, calm) = (fleet.replica(1).await, fleet.replica(2).await);
    let flood = async {
        let mut sum = 0;
        for _ in 0..200 {
            let Ok(answers) = timeout(Duration::from_millis(50), ask(&flooded, 1, 50, &fleet.metrics)).await else {
                continue;
            };
            sum += served(&answers);
        }
        sum
    };
    let singles = async {
        let mut waits = Vec::new();
        for _ in 0..20 {
            sleep(Duration::from_millis(450)).await;
            waits.extend(ask(&calm, 2, 1, &fleet.metrics).await);
        }
        waits
    };
    let (_, waits) = tokio::join!(flood, singles);
    assert_eq!(served(&waits), 20, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_who_floods_is_sent_away_before_one_who_does_not() {
    let fleet = Fleet::new(20, 2);
    let queue = fleet.replica(1).await;
    let flood = ask(&queue, 1, 500, &fleet.metrics);
    let single = async {
        sleep(Duration::from_millis(100)).await;
        ask(&queue, 2, 3, &fleet.metrics).await
    };
    let (flood, single) = tokio::join!(flood, single);
    assert_eq!(served(&single), 3, "{single:?}");
    let longest = single.iter().flatten().max().unwrap();
    assert!(*longest < Duration::from_millis(1_100), "next in turn, not last: {longest:?}");
    assert_eq!(served(&flood), 37, "two bursts of 20 are what fits into the wait");
    for after in flood.iter().filter_map(|answer| answer.err()) {
        assert!(after >= Duration::from_secs(1), "{after:?}");
    }
    assert_eq!(queue.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_somebody_waited_for_in_vain_is_the_next_ones() {
    let fleet = Fleet::new(1, 5);
    let queue = fleet.replica(1).await;
    assert_eq!(served(&ask(&queue, 1, 1, &fleet.metrics).await), 1);
    let gone = timeout(Duration::from_millis(100), ask(&queue, 2, 1, &fleet.metrics)).await;
    assert!(gone.is_err());
    let waits = ask(&queue, 3, 1, &fleet.metrics).await;
    assert!(waits[0].unwrap() < Duration::from_millis(1_000), "{waits:?}");
    let log = fleet.server.lock().unwrap().promised();
    assert_eq!(log, 2, "nothing was promised twice");
}

#[tokio::test(start_paused = true)]
async fn another_limit_counts_what_was_started_under_the_one_before() {
    let fleet = Fleet::new(20, 2);
    let queue = fleet.replica(1).await;
    assert_eq!(served(&ask(&queue, 1, 20, &fleet.metrics).await), 20);
    queue.change(&LoadLimit { per_second: 30, ..fleet.limit.clone() });
    assert!(queue.is_settled(), "a reload makes nobody unready");
    assert_eq!(at_once(&ask(&queue, 1, 30, &fleet.metrics).await), 10);
}

/// Half of the fleet goes silent: the other half has its own half at once, and the whole when it is forgotten.
#[tokio::test(start_paused = true)]
async fn who_is_silent_costs_its_share_until_it_is_forgotten() {
    let fleet = Fleet::new(20, 2);
    let (a, b) = (fleet.replica(1).await, fleet.replica_that_will_crash(2).await);
    drop(b);
    fleet.crash.stop().begin();
    sleep(Duration::from_millis(700)).await;
    assert_eq!(at_once(&ask(&a, 1, 25, &fleet.metrics).await), 10);
    sleep(Duration::from_micros(u64::try_from(super::super::FORGET + 1_000_000 as Micros).unwrap())).await;
    assert_eq!(at_once(&ask(&a, 1, 25, &fleet.metrics).await), 20);
}

/// Who was on its own has starts behind it, also when it leaves.
#[test]
fn who_leaves_after_it_was_on_its_own_costs_its_share_for_one_span() {
    const SPAN: Micros = 1_025_000;
    let terms = Terms { starts: 20, span: SPAN, horizon: 1_950_000, replicas: 2 };
    for (silent, at_once) in [(2_000_000, 10), (0, 20)] {
        let (mut server, mut now) = (Server::default(), 1_800_000_000_000_000);
        let mut say = |id: u32, mode: Mode, want: u32, later: Micros| {
            now += later;
            let reply = server.answer(now, id, &Ask { mode, sent: now, rank: -1, want, ..Ask::default() }, &terms);
            let starts = reply.taken.map(|taken| taken.starts).unwrap_or_default();
            starts.iter().filter(|start| **start == now).count()
        };
        say(1, Mode::Join, 0, 0);
        say(2, Mode::Join, 0, 0);
        for _ in 0..50 {
            say(1, Mode::Take, 0, 50_000);
            say(2, Mode::Take, 0, 0);
        }
        for _ in 0..silent / 50_000 {
            say(1, Mode::Take, 0, 50_000);
        }
        say(2, Mode::Leave, 0, 0);
        assert_eq!(say(1, Mode::Take, 25, 1_000), at_once, "silent for {silent}");
        for _ in 0..SPAN / 50_000 + 3 {
            say(1, Mode::Take, 0, 50_000);
        }
        assert_eq!(say(1, Mode::Take, 5, SPAN), 5);
    }
}
