//! Whether the machine went on all the time: a thread that wants to run every few milliseconds, and writes down when it
//! could not. What a sidecar hands out before such a moment arrives after it, and what it hands out later does not wait.

use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::ms;

const BEAT: Duration = ms(5);
/// What is later than this is more than the usual.
const LATE: Duration = ms(10);

static STOPS: Mutex<Vec<Range<Instant>>> = Mutex::new(Vec::new());

/// Begins to look, once for all scenes.
pub fn begin() {
    static LOOKS: OnceLock<()> = OnceLock::new();
    LOOKS.get_or_init(|| {
        std::thread::spawn(|| {
            loop {
                let due = Instant::now() + BEAT;
                std::thread::park_timeout(BEAT);
                if due.elapsed() > LATE {
                    STOPS.lock().unwrap_or_else(PoisonError::into_inner).push(due..Instant::now());
                }
            }
        });
    });
}

/// How long it stood still in this time.
pub fn stood_still(time: &Range<Instant>) -> Duration {
    overlap(&STOPS.lock().unwrap_or_else(PoisonError::into_inner), time)
}

fn overlap(stops: &[Range<Instant>], time: &Range<Instant>) -> Duration {
    let inside = |stop: &Range<Instant>| stop.end.min(time.end).saturating_duration_since(stop.start.max(time.start));
    stops.iter().map(inside).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_still_counts_as_far_as_it_is_in_the_time() {
        let zero = Instant::now();
        let at = |from: u64, to: u64| zero + ms(from)..zero + ms(to);
        let stops = [at(100, 150), at(400, 900)];
        for (time, is) in [(at(0, 1000), 550), (at(120, 500), 130), (at(150, 400), 0), (at(450, 460), 10)] {
            assert_eq!(overlap(&stops, &time), ms(is), "{time:?}");
        }
    }
}
