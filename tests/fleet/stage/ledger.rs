//! The judge: when which load started, by one clock.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{ms, pulse, s};

/// So much earlier or later may a start be seen here than it was: this process and the sidecars share two cores with each
/// other, and more than a tenth of a second to hand something out is common where a machine does other work, too. A limit
/// that does not hold is over it by a share of it, a quarter at least, and for whole seconds; what a hair's breadth is, the
/// simulation in `src/limit/fleet/tests` judges, in virtual time.
pub const JITTER: Duration = ms(100);

/// For so long a scene waits for its limit to be made use of. Silent replicas are remembered for longer.
const LASTING: Duration = s(60);

/// One load.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// When its token arrived.
    pub at: Duration,
    /// When it was asked for.
    pub asked: Duration,
    /// Through which sidecar.
    pub sidecar: usize,
}

/// Everything that happened, by one clock.
pub struct Ledger {
    begin: Instant,
    starts: Mutex<Vec<Start>>,
    refused: Mutex<BTreeMap<String, usize>>,
    events: Mutex<Vec<(Duration, String)>>,
}

impl Ledger {
    /// Empty, and its clock runs.
    pub fn open() -> Ledger {
        pulse::begin();
        Ledger { begin: Instant::now(), starts: Mutex::default(), refused: Mutex::default(), events: Mutex::default() }
    }

    /// The time.
    pub fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    /// The same of a moment.
    pub fn time_of(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.begin)
    }

    /// A load that was asked for at `asked` has its token.
    pub fn start(&self, asked: Duration, at: Duration, sidecar: usize) {
        self.starts.lock().expect("no judge panics").push(Start { at, asked, sidecar });
    }

    /// A load was refused, or got no answer.
    pub fn refusal(&self, what: String) {
        *self.refused.lock().expect("no judge panics").entry(what).or_default() += 1;
    }

    /// Writes down what the test does. Gives the time.
    pub fn event(&self, what: &str) -> Duration {
        let now = self.now();
        self.events.lock().expect("no judge panics").push((now, what.to_owned()));
        now
    }

    /// Lets the scene go on for so long. Gives the time in which it did.
    pub fn run(&self, length: Duration) -> Range<Duration> {
        let begin = self.now();
        while self.now() < begin + length {
            std::thread::park_timeout((begin + length).saturating_sub(self.now()));
        }
        begin..self.now()
    }

    /// Lets the scene go on for so long at least, and until the limit was made use of for as long: whole seconds. Gives
    /// the last of it, in which it was. When that begins is the machine's luck: one that stands still for a moment
    /// makes an answer of the store late, and what follows takes seconds. That it never comes is the product's fault.
    #[track_caller]
    pub fn run_until_used(&self, limit: usize, length: Duration) -> Range<Duration> {
        self.used_within(LASTING, limit, length)
            .unwrap_or_else(|why| panic!("after {LASTING:?} it still is so: {why}\n{self}"))
    }

    /// The same, where it is tried in another way when it has not come so long after that. What is missing, then.
    pub fn used_within(&self, longest: Duration, limit: usize, length: Duration) -> Result<Range<Duration>, String> {
        let begin = self.run(length).end;
        loop {
            let time = self.now().saturating_sub(length)..self.now();
            match self.is_used(limit, &time) {
                Ok(()) => return Ok(time),
                Err(why) if self.now() - begin > longest => return Err(why),
                Err(_) => std::thread::park_timeout(ms(50)),
            }
        }
    }

    /// Plays a part of a scene again until nothing in it was late, or in vain. For what is promised in a short time: a
    /// busy machine can make it late as often as it likes, and never early.
    #[track_caller]
    pub fn at_last<T>(&self, mut play: impl FnMut() -> Result<T, String>) -> T {
        let begin = self.now();
        loop {
            match play() {
                Ok(played) => return played,
                Err(why) => assert!(self.now() - begin < LASTING, "after {LASTING:?} it still is so: {why}\n{self}"),
            }
        }
    }

    /// All starts in their order.
    pub fn starts(&self) -> Vec<Start> {
        let mut starts = self.starts.lock().expect("no judge panics").clone();
        starts.sort_by_key(|start| start.at);
        starts
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.starts.lock().expect("no judge panics").len()
    }

    fn times(&self) -> Vec<Duration> {
        self.starts().iter().map(|start| start.at).collect()
    }

    /// How many loads were refused so.
    pub fn refused(&self, what: &str) -> usize {
        self.refused.lock().expect("no judge panics").get(what).copied().unwrap_or_default()
    }

    /// The most starts in any half-open window of this length, and where it begins.
    pub fn most_in_any(&self, window: Duration) -> (usize, Duration) {
        most_in_any(&self.times(), window)
    }

    /// No second of this time holds more than this many starts.
    #[track_caller]
    pub fn holds_in(&self, limit: usize, time: &Range<Duration>) {
        let inside: Vec<Duration> = self.times().into_iter().filter(|at| time.contains(at)).collect();
        let (most, from) = most_in_each(&inside, |at| self.judged(at));
        assert!(most <= limit, "{most} starts from {from:?} on, {limit} may be\n{self}");
    }

    /// How much of the second from here on is judged: all but what may have been seen late.
    fn judged(&self, from: Duration) -> Duration {
        let at = self.begin + from;
        (s(1) - JITTER).saturating_sub(pulse::stood_still(&(at - s(1)..at + s(1))))
    }

    /// Starts for each second of this time. A full window starts at once, so what counts is how long so many whole
    /// windows of `limit` starts took, wherever in them the time begins.
    pub fn rate(&self, limit: usize, time: &Range<Duration>) -> f64 {
        let inside: Vec<Duration> = self.times().into_iter().filter(|at| time.contains(at)).collect();
        let whole = inside.len().saturating_sub(1) / limit * limit;
        match (inside.first(), inside.get(whole)) {
            (Some(first), Some(last)) if whole > 0 => whole as f64 / (*last - *first).as_secs_f64(),
            _ => inside.len() as f64 / (time.end - time.start).as_secs_f64(),
        }
    }

    /// The longest time in it without a start.
    pub fn longest_pause(&self, time: &Range<Duration>) -> Duration {
        let inside = self.times().into_iter().filter(|at| time.contains(at));
        let edges: Vec<Duration> = [time.start].into_iter().chain(inside).chain([time.end]).collect();
        edges.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// The shortest time in which one more than this many start, by the moments at which tokens arrive.
    pub fn shortest(&self, limit: usize) -> Option<Duration> {
        self.times().windows(limit + 1).map(|window| window[limit] - window[0]).min()
    }

    /// No second holds more than this many starts.
    #[track_caller]
    pub fn holds(&self, limit: usize) {
        let (most, from) = most_in_each(&self.times(), |at| self.judged(at));
        let (whole, _) = self.most_in_any(s(1));
        let shortest = self.shortest(limit);
        let said = format!("{whole} in a whole second, one too many in {shortest:?} at the shortest");
        assert!(most <= limit, "{most} starts from {from:?} on, {limit} may be ({said})\n{self}");
    }

    /// In this time that limit is made use of, but for what makes up for late hand-outs: a sidecar that found no core in
    /// time says so, and its starts count as so much longer. With these many processes on a machine it is up to a tenth
    /// and more; any share that is missing is a quarter at least. As many starts as there are, not a rate of whole
    /// windows: of three quarters that start in bursts, four make three windows in the time of three.
    fn is_used(&self, limit: usize, time: &Range<Duration>) -> Result<(), String> {
        let found = self.times().iter().filter(|at| time.contains(*at)).count() as f64;
        let (found, due) = (found / (time.end - time.start).as_secs_f64(), limit as f64 * 0.85);
        let pause = self.longest_pause(time);
        if found >= due && pause < ms(2500) {
            return Ok(());
        }
        Err(format!("{found:.1} starts a second in {time:?}, {due:.1} are due; none for {pause:?}"))
    }
}

/// Half-open windows: one that begins with a start has the most.
pub fn most_in_any(sorted: &[Duration], window: Duration) -> (usize, Duration) {
    most_in_each(sorted, |_| window)
}

/// The same, of windows that are as long as is said of where they begin.
fn most_in_each(sorted: &[Duration], window: impl Fn(Duration) -> Duration) -> (usize, Duration) {
    let held = |(from, at): (usize, &Duration)| {
        let rest = sorted.get(from..).unwrap_or_default();
        let end = *at + window(*at);
        (rest.partition_point(|other| *other < end), *at)
    };
    sorted.iter().enumerate().rev().map(held).max_by_key(|(count, _)| *count).unwrap_or_default()
}

/// The scene in steps of a quarter of a second, with what each sidecar started and what the test did.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const STEP: u128 = 250;
        let starts = self.starts();
        let sidecars = starts.iter().map(|start| start.sidecar + 1).max().unwrap_or_default();
        let mut rows: BTreeMap<u128, (Vec<usize>, Vec<String>)> = BTreeMap::new();
        let empty = || (vec![0; sidecars], Vec::new());
        for start in &starts {
            rows.entry(start.at.as_millis() / STEP).or_insert_with(empty).0[start.sidecar] += 1;
        }
        for (at, what) in self.events.lock().expect("no judge panics").iter() {
            let said = format!("{what} at {at:.3?}");
            rows.entry(at.as_millis() / STEP).or_insert_with(empty).1.push(said);
        }
        let refused = self.refused.lock().expect("no judge panics");
        writeln!(f, "{} starts; refused: {refused:?}; starts of each sidecar in 250 ms:", starts.len())?;
        for (step, (counts, events)) in rows {
            let time = Duration::from_millis(u64::try_from(step * STEP).unwrap_or_default());
            writeln!(f, "{:>7.2} {counts:>3?} {}", time.as_secs_f64(), events.join("; "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_half_open_and_slide() {
        let times: Vec<Duration> = [0, 900, 1000, 1100, 1899, 1900].into_iter().map(ms).collect();
        assert_eq!(most_in_any(&times, s(1)), (4, ms(900)));
        assert_eq!(most_in_any(&times[..2], s(1)).0, 2);
        assert_eq!(most_in_any(&times[..1], s(1)).0, 1);
        assert_eq!(most_in_any(&[], s(1)).0, 0);
    }
}
