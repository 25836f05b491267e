//! Starts that this replica was promised: it has them alone, and each only for a moment.

use std::collections::VecDeque;

use super::clock::ServerClock;
use super::script::Micros;
use super::{LATE, LATENESS};

/// Starts in order, and how late they are used.
#[derive(Debug, Default)]
pub(super) struct Promises {
    starts: VecDeque<Promise>,
    /// How much later than allowed they came of late.
    tardy: Micros,
}

#[derive(Clone, Copy, Debug)]
struct Promise {
    /// By the server's clock.
    start: Micros,
    /// By ours, as it was when this was promised: a step of the server's changes nothing.
    at: Micros,
    /// Later than that is too late.
    until: Micros,
}

impl Promises {
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn clear(&mut self) {
        self.starts.clear();
    }

    /// More of them, by the server's clock. The script was told how tardy we are.
    pub(super) fn add(&mut self, starts: &[Micros], server: &ServerClock, tardy: Micros) {
        // Half of it is forgotten in a quarter of a minute: a start that is missed costs more than a longer span.
        self.tardy = self.tardy * 255 / 256;
        self.starts.extend(starts.iter().map(|start| {
            let at = server.when(*start);
            Promise { start: *start, at, until: at + LATENESS + tardy }
        }));
    }

    /// Only what is not later than that, by the server's clock, is still good.
    pub(super) fn keep_until(&mut self, last: Micros) {
        self.starts.retain(|promise| promise.start <= last);
    }

    /// How much later than allowed the next ones may be used.
    pub(super) fn tardy(&self) -> Micros {
        self.tardy
    }

    /// When the next one is. What was missed is gone.
    pub(super) fn next(&mut self, now: Micros) -> Option<Micros> {
        while let Some(missed) = self.starts.front().copied().filter(|promise| promise.until < now) {
            self.note(now - missed.at);
            self.starts.pop_front();
        }
        self.starts.front().map(|promise| promise.at)
    }

    /// Uses the next one. It has to come to it by then.
    pub(super) fn take(&mut self, now: Micros) -> Option<Micros> {
        let promise = self.starts.pop_front()?;
        self.note(now - promise.at);
        Some(promise.until)
    }

    /// One came so late. The next ones may, too.
    pub(super) fn note(&mut self, late: Micros) {
        self.tardy = self.tardy.max(late - LATENESS).min(LATE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_lost_and_the_next_ones_may_be_as_late() {
        let clock = ServerClock::new(0, 0, 0);
        let mut promises = Promises::default();
        promises.add(&[1_000_000, 1_000_000, 1_100_000], &clock, promises.tardy());
        assert_eq!(promises.next(0), Some(1_000_000));
        assert_eq!(promises.next(1_000_000 + LATENESS), Some(1_000_000), "late, and allowed for");
        assert_eq!(promises.take(1_000_000 + LATENESS), Some(1_000_000 + LATENESS));
        assert_eq!((promises.len(), promises.tardy()), (2, 0));
        assert_eq!(promises.next(1_060_000), Some(1_100_000), "the other one was missed");
        assert_eq!(promises.tardy(), 40_000);
        promises.add(&[2_000_000], &clock, promises.tardy());
        assert_eq!(promises.next(2_055_000), Some(2_000_000), "the script knows");
    }

    #[test]
    fn what_is_void_is_gone() {
        let mut promises = Promises::default();
        promises.add(&[5, 6, 7], &ServerClock::new(0, 0, 0), 0);
        promises.keep_until(6);
        assert_eq!(promises.len(), 2);
        promises.keep_until(Micros::MIN);
        assert_eq!(promises.len(), 0);
    }
}
