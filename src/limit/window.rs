//! At most n starts in *any* half-open window.
//!
//! A plain governor quota of 20 per second admits 39 in one second (a full bucket and what refills
//! meanwhile). n single-cell limiters of one window each, used in turn, are exactly a sliding log:
//! the cell for start n+1 is the one that start 1 took, and it frees one window later.

use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::model::Clock;

/// Our clock as governor wants it, so that tests move both.
#[derive(Clone)]
pub(super) struct Ticks(pub(super) Clock);

impl GovernorClock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.boot().into()
    }
}

type Cell = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Nanos>>;

/// The cells, used in turn.
pub(super) struct Window {
    cells: Vec<Cell>,
    next: usize,
    ticks: Ticks,
}

impl Window {
    pub(super) fn new(starts: u32, span: Duration, clock: Clock) -> Window {
        let ticks = Ticks(clock);
        // A span of zero is ruled out by the config; a second is the vendor's.
        let quota = Quota::with_period(span).unwrap_or_else(|| Quota::per_second(std::num::NonZeroU32::MIN));
        let cells = (0..starts).map(|_| RateLimiter::direct_with_clock(quota, ticks.clone())).collect();
        Window { cells, next: 0, ticks }
    }

    /// Takes every start of the present window.
    pub(super) fn exhaust(&mut self) {
        while self.start().is_ok() {}
    }

    /// Starts one, or says how long until the next may start.
    pub(super) fn start(&mut self) -> Result<(), Duration> {
        let Some(cell) = self.cells.get(self.next) else { return Ok(()) };
        match cell.check() {
            Ok(()) => {
                self.next = (self.next + 1) % self.cells.len();
                Ok(())
            }
            Err(full) => Err(full.wait_time_from(self.ticks.now()).max(Duration::from_nanos(1))),
        }
    }
}
