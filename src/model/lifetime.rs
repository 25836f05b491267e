//! How long a thing lives.

use std::time::Duration;

use super::Moment;

/// No token is believed to live longer than this, whatever a vendor says: a wrong `expires_in`
/// must not turn into a token that is kept for ever.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A span of life that began when the request for the thing was *sent*: the vendor started to
/// count at some later instant, so we can only err on the safe side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    start: Moment,
    ttl: Duration,
    /// When the issuer wants to see us again, in seconds from the start; 0 if it did not say.
    refresh_after: u32,
}

impl Lifetime {
    /// `ttl` from `start`, at most [`LONGEST`].
    pub fn new(start: Moment, ttl: Duration) -> Lifetime {
        Lifetime { start, ttl: ttl.min(LONGEST), refresh_after: 0 }
    }

    /// A thing that is only ever replaced, such as the content of a secret file.
    pub fn unbounded(start: Moment) -> Lifetime {
        Lifetime { start, ttl: Duration::MAX, refresh_after: 0 }
    }

    /// The smaller of two claims on one life: the relative `expires_in` and, where the token says
    /// it itself, the absolute `exp` (RFC 7519 section 4.1.4, in Unix seconds).
    pub fn smaller_of(start: Moment, expires_in: Option<Duration>, exp: Option<i64>) -> Option<Lifetime> {
        let by_exp = exp.map(|exp| {
            let nanos = i128::from(exp) * 1_000_000_000 - i128::from(start.wall);
            Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
        });
        let ttl = match (expires_in, by_exp) {
            (Some(a), Some(b)) => a.min(b),
            (Some(ttl), None) | (None, Some(ttl)) => ttl,
            (None, None) => return None,
        };
        Some(Lifetime::new(start, ttl))
    }

    /// The same, with the time after which the issuer wants it renewed (`refresh_in` of Microsoft
    /// Entra). It says nothing about how long the thing is good.
    pub fn to_be_renewed_after(self, after: Duration) -> Lifetime {
        Lifetime { refresh_after: u32::try_from(after.as_secs()).unwrap_or(0), ..self }
    }

    /// When the issuer wants it renewed, from the start.
    pub fn refresh_after(&self) -> Option<Duration> {
        (self.refresh_after > 0).then(|| Duration::from_secs(u64::from(self.refresh_after)))
    }

    /// The whole span.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// When it began.
    pub fn start(&self) -> Moment {
        self.start
    }

    /// What is left, judged by the clock that gives less.
    pub fn remaining(&self, now: Moment) -> Duration {
        let by_wall = Duration::from_nanos(u64::try_from(now.wall.saturating_sub(self.start.wall)).unwrap_or(0));
        self.ttl.saturating_sub(now.since(self.start).max(by_wall))
    }

    /// The end on the wall clock, in Unix seconds, rounded down.
    pub fn expires_at(&self) -> i64 {
        self.start.after(self.ttl).unix_seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Moment = Moment { wall: 1_000_000_000_000_000_000, boot: 5_000_000_000 };

    #[test]
    fn row_26_the_smaller_of_expires_in_and_exp_wins() {
        let life = Lifetime::smaller_of(NOON, Some(Duration::from_secs(3600)), Some(1_000_000_600));
        assert_eq!(life.map(|l| l.ttl()), Some(Duration::from_secs(600)));
        let life = Lifetime::smaller_of(NOON, Some(Duration::from_secs(60)), Some(1_000_000_600));
        assert_eq!(life.map(|l| l.ttl()), Some(Duration::from_secs(60)));
        assert_eq!(Lifetime::smaller_of(NOON, None, None), None);
        let past = Lifetime::smaller_of(NOON, None, Some(5));
        assert_eq!(past.map(|l| l.ttl()), Some(Duration::ZERO));
        let absurd = Lifetime::smaller_of(NOON, None, Some(i64::MAX));
        assert_eq!(absurd.map(|l| l.ttl()), Some(LONGEST));
    }

    #[test]
    fn either_clock_ends_a_life() {
        let life = Lifetime::new(NOON, Duration::from_secs(100));
        let wall_jumped = Moment { wall: NOON.wall + 99_000_000_000, boot: NOON.boot };
        assert_eq!(life.remaining(wall_jumped), Duration::from_secs(1));
        let wall_stepped_back = Moment { wall: 0, boot: NOON.boot + 60_000_000_000 };
        assert_eq!(life.remaining(wall_stepped_back), Duration::from_secs(40));
        assert_eq!(life.remaining(NOON.after(Duration::from_secs(101))), Duration::ZERO);
    }
}
