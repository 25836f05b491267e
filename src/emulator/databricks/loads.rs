//! The vendor's limit: at most so many dashboards start to load in any one second, per workspace
//! (the vendor's page on external embedding, "Rate limits and performance considerations").

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

const SECOND: Duration = Duration::from_secs(1);

/// Loads so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoadCounts {
    /// Loads that were let through.
    pub started: u64,
    /// Loads that were answered 429.
    pub refused: u64,
    /// The most loads that were asked for within any one second, refused ones included.
    pub peak_per_second: usize,
    /// The limit.
    pub limit_per_second: usize,
}

/// A log of the last second. Strict: no half-open second, wherever it begins, holds more starts than the limit.
/// A bucket that refills would let twice as many through around its edge.
#[derive(Debug)]
pub(super) struct LoadLog {
    started: VecDeque<Instant>,
    asked: VecDeque<Instant>,
    counts: LoadCounts,
}

impl LoadLog {
    pub fn new(limit: usize) -> Self {
        let counts = LoadCounts { limit_per_second: limit, ..LoadCounts::default() };
        Self { started: VecDeque::new(), asked: VecDeque::new(), counts }
    }

    /// Whether a load may start now. `now` does not go back between calls.
    pub fn admit(&mut self, now: Instant) -> bool {
        forget(&mut self.started, now);
        forget(&mut self.asked, now);
        self.asked.push_back(now);
        self.counts.peak_per_second = self.counts.peak_per_second.max(self.asked.len());
        if self.started.len() >= self.counts.limit_per_second {
            self.counts.refused += 1;
            return false;
        }
        self.started.push_back(now);
        self.counts.started += 1;
        true
    }

    pub fn counts(&self) -> LoadCounts {
        self.counts
    }
}

fn forget(log: &mut VecDeque<Instant>, now: Instant) {
    while log.front().is_some_and(|then| now.duration_since(*then) >= SECOND) {
        log.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_twenty_first_in_a_second_is_refused_and_a_full_second_later_is_not() {
        let start = Instant::now();
        let mut log = LoadLog::new(20);
        assert!((0..20).all(|_| log.admit(start)));
        assert!(!log.admit(start + Duration::from_nanos(999_999_999)));
        assert!(log.admit(start + SECOND));
        let counts = log.counts();
        assert_eq!((counts.started, counts.refused, counts.peak_per_second), (21, 1, 21));
    }

    proptest! {
        #[test]
        fn no_second_holds_more_than_the_limit(gaps in prop::collection::vec(0_u64..400, 1..200), limit in 1_usize..30) {
            let mut now = Instant::now();
            let mut log = LoadLog::new(limit);
            let mut started = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                let full = started.iter().filter(|then| now.duration_since(**then) < SECOND).count() == limit;
                let admitted = log.admit(now);
                // Strict, and no stricter than that.
                prop_assert_eq!(admitted, !full);
                if admitted {
                    started.push(now);
                }
            }
            for first in &started {
                let held = started.iter().filter(|then| **then >= *first && **then < *first + SECOND).count();
                prop_assert!(held <= limit);
            }
        }
    }
}
