//! The only place that asks what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One instant, read on two clocks.
///
/// Neither clock alone is enough to say whether a token still lives: the wall clock is stepped by
/// people and NTP, and the monotonic clock of `std::time::Instant` stands still while a laptop or
/// a virtual machine sleeps. A lifetime is over as soon as either of the two says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since the Unix epoch.
    pub wall: i64,
    /// Nanoseconds since boot, suspend included.
    pub boot: u64,
}

impl Moment {
    /// How long ago `earlier` was, by the clock that never steps back.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.boot.saturating_sub(earlier.boot))
    }

    /// The moment `by` later.
    pub fn after(self, by: Duration) -> Moment {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Moment { wall: self.wall.saturating_add_unsigned(nanos), boot: self.boot.saturating_add(nanos) }
    }

    /// Whole seconds since the Unix epoch.
    pub fn unix_seconds(self) -> i64 {
        self.wall.div_euclid(1_000_000_000)
    }
}

/// Where moments come from: the system, or a test.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Driven>>);

impl Clock {
    /// The clocks of the machine.
    pub fn system() -> Clock {
        Clock(None)
    }

    /// A clock that moves with `elapsed` (in tests: tokio's paused time) and can be stepped by hand.
    pub fn driven_by(elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Clock {
        Clock(Some(Arc::new(Driven {
            elapsed: Box::new(elapsed),
            wall: AtomicI64::new(1_795_284_000_000_000_000),
            boot: AtomicU64::new(1_000_000_000_000),
        })))
    }

    /// Now.
    pub fn now(&self) -> Moment {
        match &self.0 {
            None => system_now(),
            Some(driven) => driven.now(),
        }
    }

    /// Only the clock that never steps back, in nanoseconds since boot.
    pub fn boot(&self) -> u64 {
        match &self.0 {
            None => boot_nanos(),
            Some(driven) => driven.now().boot,
        }
    }

    /// Steps the wall clock alone, as NTP or a person would. Only a driven clock can be stepped.
    pub fn step_wall(&self, seconds: i64) {
        if let Some(driven) = &self.0 {
            driven.wall.fetch_add(seconds.saturating_mul(1_000_000_000), Ordering::Relaxed);
        }
    }

    /// Lets the machine sleep: wall and boot time go on, timers do not.
    pub fn suspend(&self, asleep: Duration) {
        if let Some(driven) = &self.0 {
            let nanos = u64::try_from(asleep.as_nanos()).unwrap_or(0);
            driven.boot.fetch_add(nanos, Ordering::Relaxed);
            self.step_wall(i64::try_from(asleep.as_secs()).unwrap_or(0));
        }
    }
}

struct Driven {
    elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
    wall: AtomicI64,
    boot: AtomicU64,
}

impl std::fmt::Debug for Driven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Driven")
    }
}

impl Driven {
    fn now(&self) -> Moment {
        Moment { wall: self.wall.load(Ordering::Relaxed), boot: self.boot.load(Ordering::Relaxed) }
            .after((self.elapsed)())
    }
}

fn system_now() -> Moment {
    Moment { wall: nanos(ClockId::Realtime), boot: boot_nanos() }
}

fn boot_nanos() -> u64 {
    // Elsewhere than on Linux the monotonic clock is the nearest thing.
    #[cfg(target_os = "linux")]
    let id = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let id = ClockId::Monotonic;
    u64::try_from(nanos(id)).unwrap_or(0)
}

/// Straight from the system: `SystemTime` and its arithmetic cost three times as much.
fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// An RFC 3339 timestamp in UTC with whole seconds, such as `2026-11-21T17:00:00Z`.
pub fn rfc3339(unix_seconds: i64) -> String {
    jiff::Timestamp::from_second(unix_seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}
