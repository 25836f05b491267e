//! The rules of a lease as pure functions of (lifetime, policy, now).

use std::time::Duration;

use crate::model::{Fault, Lifetime, Moment};

/// How much life must be left for which use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Not handed out with less left, as long as the issuer can be reached.
    pub min_ttl: Duration,
    /// Raised by one asker for this one ask; never lower than `min_ttl`.
    pub asked: Duration,
    /// Handed out down to this while the issuer cannot be reached.
    pub stale_until: Duration,
}

/// What a held thing is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Hand it out.
    Fresh,
    /// Hand it out, and see to a new one.
    Ripe,
    /// Only good enough while no new one can be had.
    Stale,
    /// Not to be handed out.
    Expired,
}

/// Judges a thing with this life, under this policy, now.
pub fn judge(life: &Lifetime, policy: &Policy, now: Moment) -> Judgement {
    let policy = policy.scaled_to(life.ttl());
    let left = life.remaining(now);
    if left < policy.stale_until || left.is_zero() {
        Judgement::Expired
    } else if left < policy.min_ttl.max(policy.asked) {
        Judgement::Stale
    } else if left <= ripe_below(life, policy.min_ttl) {
        Judgement::Ripe
    } else {
        Judgement::Fresh
    }
}

impl Policy {
    /// The plain policy: hand out down to `min_ttl`, in an outage down to `stale_until`.
    pub fn new(min_ttl: Duration, stale_until: Duration) -> Policy {
        Policy { min_ttl, asked: min_ttl, stale_until }
    }

    /// The same with a higher `min_ttl` for one ask.
    pub fn raised_to(self, asked: Duration) -> Policy {
        Policy { asked: asked.max(self.min_ttl), ..self }
    }

    /// Whether a thing that lives so long is short of the promise from its first second.
    pub fn is_too_much_for(&self, ttl: Duration) -> bool {
        ttl < self.min_ttl
    }

    /// A vendor may issue tokens that are short of `min_ttl` from the first second. Refusing them
    /// would be an error loop and minting at each ask a storm, so they are used down to half of
    /// their life, and the reply tells the truth.
    fn scaled_to(self, ttl: Duration) -> Policy {
        if !self.is_too_much_for(ttl) {
            return self;
        }
        let asked = if self.asked > self.min_ttl { self.asked } else { ttl / 2 };
        Policy { min_ttl: ttl / 2, asked, stale_until: self.stale_until.min(ttl / 6) }
    }

    /// When a thing with this life is to be renewed if nobody asks: some time after it turns ripe,
    /// spread by `jitter` (0 to 1) so that tokens minted in one rush do not renew in one.
    pub fn renewal_due(self, life: &Lifetime, jitter: f64) -> Moment {
        let (threshold, spread) = self.renewal_window(life);
        life.start().after(life.ttl() - threshold + spread.mul_f64(jitter.clamp(0.0, 1.0)))
    }

    /// Whether the time in which a renewal falls due is over. The queue of renewals goes by the clock
    /// that never steps; a life may be over sooner by the other one.
    pub fn renewal_overdue(self, life: &Lifetime, now: Moment) -> bool {
        let (threshold, spread) = self.renewal_window(life);
        life.remaining(now) < threshold - spread
    }

    /// What is left of a life when it turns ripe, and how long after that renewals are spread.
    fn renewal_window(self, life: &Lifetime) -> (Duration, Duration) {
        let policy = self.scaled_to(life.ttl());
        let threshold = ripe_below(life, policy.min_ttl);
        let room = threshold.saturating_sub(policy.min_ttl) / 2;
        // Who names a time wants to be believed about it.
        let patience = life.refresh_after().map_or(threshold / 5, |after| after / 10);
        (threshold, room.min(patience).min(threshold / 5))
    }
}

/// Ripe is the last third of a life; or, where `min_ttl` takes more than that, the last fifth of
/// the time in which the thing may be handed out at all; or, sooner, what the issuer says.
fn ripe_below(life: &Lifetime, min_ttl: Duration) -> Duration {
    let ttl = life.ttl();
    let usable = ttl.saturating_sub(min_ttl);
    let wish = life.refresh_after().map_or(Duration::ZERO, |after| ttl.saturating_sub(after));
    (ttl / 3).max(min_ttl + usable / 5).max(wish).min(ttl)
}

/// For how long a fault is remembered, so that a loop at the caller is none at the vendor.
/// `failures` counts the ones in a row, this one included.
pub fn remembered_for(fault: &Fault, failures: u32) -> Duration {
    let by_kind = match failures {
        _ if !fault.is_transient() => Duration::from_secs(5),
        // After a first failure the next caller may try at once; then 1, 2, 4, 8 s.
        0 | 1 => Duration::ZERO,
        more => Duration::from_secs(1 << (more - 2).min(3)),
    };
    by_kind.max(fault.retry_hint().unwrap_or_default())
}

/// How long to wait between attempts in the background while a thing in hand still serves: a
/// minute, less when there is less time to lose; with a quarter of jitter.
pub fn background_pace(left: Duration, policy: &Policy, jitter: f64) -> Duration {
    let usable = left.saturating_sub(policy.stale_until);
    let pace = (usable / 4).clamp(Duration::from_secs(1), Duration::from_secs(60));
    pace.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Code;

    const START: Moment = Moment { wall: 1_700_000_000_000_000_000, boot: 77_000_000_000 };
    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }
    fn at(age: u64, ttl: u64, policy: Policy) -> Judgement {
        judge(&Lifetime::new(START, secs(ttl)), &policy, START.after(secs(age)))
    }

    #[test]
    fn an_hour_with_ten_minutes_of_margin() {
        let policy = Policy::new(secs(600), secs(310));
        assert_eq!(at(0, 3600, policy), Judgement::Fresh);
        assert_eq!(at(2399, 3600, policy), Judgement::Fresh);
        assert_eq!(at(2400, 3600, policy), Judgement::Ripe);
        assert_eq!(at(3000, 3600, policy), Judgement::Ripe);
        assert_eq!(at(3001, 3600, policy), Judgement::Stale);
        assert_eq!(at(3290, 3600, policy), Judgement::Stale);
        assert_eq!(at(3291, 3600, policy), Judgement::Expired);
    }

    #[test]
    fn a_raised_min_ttl_makes_a_young_token_stale_for_that_ask_only() {
        let policy = Policy::new(secs(600), secs(310));
        assert_eq!(at(1200, 3600, policy.raised_to(secs(3000))), Judgement::Stale);
        assert_eq!(at(1200, 3600, policy), Judgement::Fresh);
        assert_eq!(policy.raised_to(secs(1)), policy);
    }

    #[test]
    fn row_27_short_tokens_are_used_down_to_half() {
        let policy = Policy::new(secs(600), secs(310));
        assert_eq!(at(0, 200, policy), Judgement::Fresh);
        assert_eq!(at(99, 200, policy), Judgement::Ripe);
        assert_eq!(at(101, 200, policy), Judgement::Stale);
        assert_eq!(at(170, 200, policy), Judgement::Expired);
    }

    #[test]
    fn row_h11_the_issuer_may_want_an_earlier_renewal() {
        let policy = Policy::new(secs(120), secs(40));
        let life = Lifetime::new(START, secs(7200)).to_be_renewed_after(secs(1800));
        let at = |age| judge(&life, &policy, START.after(secs(age)));
        assert_eq!((at(1799), at(1800), at(7000)), (Judgement::Fresh, Judgement::Ripe, Judgement::Ripe));
        let due = |jitter| policy.renewal_due(&life, jitter).since(START);
        assert_eq!((due(0.0), due(1.0)), (secs(1800), secs(1980)));
        // Nobody may want a thing renewed after its end.
        let late = Lifetime::new(START, secs(600)).to_be_renewed_after(secs(7200));
        assert_eq!(late.refresh_after(), Some(secs(7200)));
        assert_eq!(judge(&late, &policy, START.after(secs(479))), Judgement::Ripe);
    }

    #[test]
    fn faults_are_remembered_by_kind() {
        let denied = Fault::new(Code::Denied, "");
        assert_eq!(remembered_for(&denied, 1), secs(5));
        let down = Fault::new(Code::Unavailable, "");
        let spans: Vec<u64> = (1..8).map(|n| remembered_for(&down, n).as_secs()).collect();
        assert_eq!(spans, [0, 1, 2, 4, 8, 8, 8]);
        assert_eq!(remembered_for(&down.retry_after(secs(33)), 1), secs(33));
    }

    proptest! {
        /// Nothing is ever handed out as good with less than the promise left, nor dead.
        #[test]
        fn judgement_keeps_the_promises(
            ttl in 0u64..86_400, age in 0u64..90_000, min in 0u64..5_000, asked in 0u64..8_000, stale in 0u64..5_000,
        ) {
            let policy = Policy::new(secs(min.max(stale)), secs(stale)).raised_to(secs(asked));
            let left = ttl.saturating_sub(age);
            let judgement = at(age, ttl, policy);
            if left == 0 {
                prop_assert_eq!(judgement, Judgement::Expired);
            }
            if ttl >= policy.min_ttl.as_secs() {
                match judgement {
                    Judgement::Fresh | Judgement::Ripe => prop_assert!(secs(left) >= policy.asked),
                    Judgement::Stale => prop_assert!(left >= stale && secs(left) < policy.asked),
                    Judgement::Expired => prop_assert!(left < stale || left == 0),
                }
            }
        }

        /// A thing only gets worse with time.
        #[test]
        fn judgement_is_monotonic(ttl in 1u64..10_000, a in 0u64..11_000, b in 0u64..11_000, min in 0u64..3_000) {
            let policy = Policy::new(secs(min), secs(min / 2));
            let rank = |j| match j { Judgement::Fresh => 0, Judgement::Ripe => 1, Judgement::Stale => 2, Judgement::Expired => 3 };
            prop_assert!(rank(at(a.min(b), ttl, policy)) <= rank(at(a.max(b), ttl, policy)));
        }

        /// A renewal that nobody asks for falls into the time in which the thing is ripe.
        #[test]
        fn renewals_fall_due_while_ripe(ttl in 10u64..86_400, min in 0u64..3_000, jitter in 0.0f64..1.0) {
            let policy = Policy::new(secs(min), secs(min / 2));
            let life = Lifetime::new(START, secs(ttl));
            let due = policy.renewal_due(&life, jitter);
            prop_assert_eq!(judge(&life, &policy, due.after(Duration::from_nanos(1))), Judgement::Ripe);
        }
    }
}
