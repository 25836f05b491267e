//! What the server's clock shows, from what its answers say.

use super::script::Micros;

/// Both clocks may run that much faster or slower than they should, in parts of a million (NTP slews by 500).
const DRIFT: i64 = 1000;
/// What is no step yet: both clocks are read in whole microseconds.
const TOLERANCE: Micros = 300;

/// Between which bounds the server's clock is ahead of ours. An answer was given after its question was sent and before
/// it was read, so each one narrows the bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerClock {
    least: Micros,
    most: Micros,
    at: Micros,
    /// What an answer takes when it is quick.
    quick: Micros,
}

impl ServerClock {
    pub(super) fn new(shown: Micros, sent: Micros, read: Micros) -> ServerClock {
        ServerClock { least: shown - read, most: shown - sent, at: read, quick: read - sent }
    }

    /// Takes in one more answer. False if it cannot be that of a clock that just goes on: then the bounds are anew.
    pub(super) fn heard(&mut self, shown: Micros, sent: Micros, read: Micros) -> bool {
        let new = ServerClock::new(shown, sent, read);
        let drift = (read - self.at).max(0) * DRIFT / 1_000_000;
        let (least, most) = (self.least - drift, self.most + drift);
        if new.least > most + TOLERANCE || new.most < least - TOLERANCE {
            *self = new;
            return false;
        }
        let (least, most) = (least.max(new.least), most.min(new.most));
        let quick = new.quick.min(self.quick + self.quick / 16 + 10);
        *self = ServerClock { least: least.min(most), most: least.max(most), at: read, quick };
        true
    }

    /// What it shows at least.
    pub(super) fn shows(&self, at: Micros) -> Micros {
        at + self.least
    }

    /// By how much what is taken for the server's clock may be wrong: a step that is smaller than an answer is long hides
    /// in it, however near the bounds are.
    pub(super) fn uncertainty(&self) -> Micros {
        self.quick.max(self.most - self.least)
    }

    /// When it is sure to show this.
    pub(super) fn when(&self, shown: Micros) -> Micros {
        shown - self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_narrow_the_bounds_and_the_quickest_one_counts() {
        let mut clock = ServerClock::new(1_000_050, 0, 90);
        assert!(clock.heard(1_001_010, 1_000, 1_020));
        assert_eq!(clock.shows(2_000), 2_000 + 999_990, "never more than the server's own");
        assert!(clock.heard(1_100_000, 50_000, 150_000), "a slow answer is no step");
        assert!(clock.shows(200_000) > 1_199_800, "and spoils nothing");
        assert_eq!(clock.shows(clock.when(7)), 7);
    }

    #[test]
    fn a_step_of_either_kind_is_seen() {
        for step in [3_600_000_000, 1_000, -1_000, -3_600_000_000] {
            let mut clock = ServerClock::new(1_000_050, 0, 100);
            assert!(!clock.heard(1_010_050 + step, 10_000, 10_100), "{step}");
            assert_eq!(clock.shows(20_000), 1_019_950 + step, "what counts is what it shows now");
        }
    }

    #[test]
    fn drift_is_no_step() {
        let mut clock = ServerClock::new(0, 0, 100);
        for second in 1..1_000 {
            let at = second * 1_000_000;
            assert!(clock.heard(at + second * 900, at, at + 100), "{second}");
        }
    }
}
