//! Strict in every window, fair, bounded; on a paused clock.

use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::*;
use crate::telemetry::Metrics;

fn limiter(per_second: u32, max_wait: u64, max_waiting: usize) -> (Arc<Limiter>, LoadMetrics) {
    let start = Instant::now();
    let clock = Clock::driven_by(move || start.elapsed());
    let limit = LoadLimit {
        per_second,
        window: Duration::from_secs(1),
        max_wait: Duration::from_secs(max_wait),
        max_waiting,
        per_viewer_per_second: 1000,
    };
    let metrics = Metrics::new().unwrap().upstream("acme").loads.clone();
    (Arc::new(Limiter::new(limit, clock, Tasks::new())), metrics)
}

/// Begins, and waits if need be.
async fn start(limiter: &Limiter, viewer: &str, metrics: &LoadMetrics) -> Result<Duration, Fault> {
    match limiter.begin(viewer, metrics)? {
        None => Ok(Duration::ZERO),
        Some(turn) => limiter.wait(turn, metrics).await,
    }
}

/// The most that fall into any half-open second.
fn most_in_a_second(mut starts: Vec<Duration>) -> usize {
    starts.sort();
    let within =
        |from: &Duration| starts.iter().filter(|s| **s >= *from && **s - *from < Duration::from_secs(1)).count();
    starts.iter().map(within).max().unwrap_or(0)
}

async fn storm(
    limiter: &Arc<Limiter>,
    metrics: &LoadMetrics,
    viewers: impl Iterator<Item = String>,
) -> Vec<Result<Duration, Fault>> {
    let begin = Instant::now();
    let loads = viewers.map(|viewer| {
        let (limiter, metrics) = (Arc::clone(limiter), metrics.clone());
        async move { start(&limiter, &viewer, &metrics).await.map(|_| begin.elapsed()) }
    });
    futures_util::future::join_all(loads).await
}

#[tokio::test(start_paused = true)]
async fn rank_5_a_thousand_cold_viewers_start_at_twenty_a_second() {
    let (limiter, metrics) = limiter(20, 100, 2000);
    let starts = storm(&limiter, &metrics, (0..1000).map(|n| n.to_string())).await;
    let starts: Vec<Duration> = starts.into_iter().map(|start| start.unwrap()).collect();
    assert_eq!(most_in_a_second(starts.clone()), 20);
    assert_eq!(starts.iter().filter(|start| start.is_zero()).count(), 20, "an idle limiter lets 20 through at once");
    let last = starts.iter().max().unwrap();
    assert!(*last <= Duration::from_millis(49_100), "sustained at the limit: {last:?}");
    assert!(starts.is_sorted(), "first come first served");
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_told_at_once_and_truthfully() {
    let (limiter, metrics) = limiter(20, 2, 200);
    let begin = Instant::now();
    let results = storm(&limiter, &metrics, (0..1000).map(|n| n.to_string())).await;
    let served = results.iter().filter(|result| result.is_ok()).count();
    assert!((40..=60).contains(&served), "{served}: 20 at once, 20 after one second, up to 20 on the very edge");
    for fault in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(fault.code(), Code::LoadLimited);
        assert!(fault.retry_hint().unwrap() >= Duration::from_secs(1));
    }
    assert!(begin.elapsed() <= Duration::from_millis(2100));
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_viewer_does_not_starve_another() {
    let (limiter, metrics) = limiter(20, 10, 5000);
    let flood = {
        let (l, m) = (Arc::clone(&limiter), metrics.clone());
        async move { storm(&l, &m, std::iter::repeat_n("a".to_owned(), 150)).await }
    };
    let late = async {
        sleep(Duration::from_millis(100)).await;
        storm(&limiter, &metrics, std::iter::repeat_n("b".to_owned(), 5)).await
    };
    let (_, b) = tokio::join!(flood, late);
    let slowest = b.into_iter().map(|start| start.unwrap()).max().unwrap();
    assert!(slowest <= Duration::from_secs(1), "b waited {slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_costs_no_start_and_leaves_no_trace() {
    let (limiter, metrics) = limiter(1, 5, 100);
    assert!(start(&limiter, "first", &metrics).await.is_ok());
    let gone = tokio::time::timeout(Duration::from_millis(10), start(&limiter, "gone", &metrics)).await;
    assert!(gone.is_err());
    let begin = Instant::now();
    assert!(start(&limiter, "next", &metrics).await.is_ok());
    assert!(begin.elapsed() < Duration::from_secs(1), "the second start went to the next, not to the one who left");
    assert_eq!(limiter.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_viewer_has_a_limit_of_its_own() {
    let (limiter, metrics) = limiter(1000, 5, 100);
    let strict =
        Limiter::new(LoadLimit { per_viewer_per_second: 5, ..limiter.limit().clone() }, Clock::system(), Tasks::new());
    for _ in 0..5 {
        assert!(start(&strict, "v", &metrics).await.is_ok());
    }
    let fault = start(&strict, "v", &metrics).await.unwrap_err();
    assert_eq!(fault.code(), Code::ViewerLimited);
    assert!(start(&strict, "w", &metrics).await.is_ok());
}

proptest! {
    /// Whatever the arrivals: never more than the limit in any half-open window.
    #[test]
    fn the_window_is_strict(limit in 1u32..30, gaps in proptest::collection::vec(0i64..400, 1..200)) {
        let mut window = window::Window::new(limit, 1_000);
        let (mut elapsed, mut starts) = (0, Vec::new());
        for gap in gaps {
            elapsed += gap;
            let now = Duration::from_millis(elapsed.unsigned_abs());
            let in_window = starts.iter().filter(|start| now - **start < Duration::from_secs(1)).count();
            match window.start(elapsed) {
                Ok(()) => starts.push(now),
                // ... and never fewer than it allows.
                Err(_) => prop_assert_eq!(in_window, limit as usize),
            }
        }
        prop_assert!(most_in_a_second(starts) <= limit as usize);
    }
}
