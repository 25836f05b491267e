//! People who open dashboards without a pause, and one who only looks whether open pages are kept alive.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::fleet::viewer;
use super::ledger::Ledger;
use super::line::Line;
use super::{ms, s};

/// Some who go on until they are told to stop.
pub struct Crowd {
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
    /// What they wait on.
    open: Mutex<Vec<Option<TcpStream>>>,
}

impl Stop {
    /// Passes so much time, unless it is over. Whether it is.
    fn pause(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        *self.changed.wait_timeout_while(stopped, time, |stopped| !*stopped).unwrap_or_else(PoisonError::into_inner).0
    }

    fn holds(&self, seat: usize, line: Option<&Line>) {
        let handle = line.and_then(|line| line.handle().ok());
        self.open.lock().unwrap_or_else(PoisonError::into_inner)[seat] = handle;
    }
}

/// What somebody of a crowd does.
#[derive(Clone)]
struct Part {
    seat: usize,
    sidecar: usize,
    address: SocketAddr,
    viewer: String,
    /// The longest time between two loads.
    rest: Duration,
    /// The vendor and the dashboard, where it is loaded, too.
    shows: Option<(SocketAddr, String)>,
}

impl Crowd {
    /// So many at each of these sidecars.
    pub fn at(sidecars: &[SocketAddr], each: usize, ledger: &Arc<Ledger>) -> Crowd {
        Crowd::showing(sidecars, each, ledger, None)
    }

    /// The same, and each loads the dashboard at the vendor as soon as it may.
    pub fn showing(
        sidecars: &[SocketAddr],
        each: usize,
        ledger: &Arc<Ledger>,
        shows: Option<(SocketAddr, String)>,
    ) -> Crowd {
        let parts = sidecars
            .iter()
            .enumerate()
            .flat_map(|(sidecar, address)| (0..each).map(move |number| (sidecar, *address, viewer(number))));
        let parts: Vec<Part> = parts
            .enumerate()
            .map(|(seat, (sidecar, address, viewer))| {
                let (rest, shows) = (Duration::ZERO, shows.clone());
                Part { seat, sidecar, address, viewer, rest, shows }
            })
            .collect();
        Crowd::of(parts, ledger)
    }

    /// Those who take their time, each up to a second between two loads: less than a limit of 20 for each eleven of
    /// them. A crowd that presses starts in bursts, one a window; these fill windows at any place.
    pub fn strolling(sidecars: &[SocketAddr], each: usize, ledger: &Arc<Ledger>) -> Crowd {
        let parts = sidecars
            .iter()
            .enumerate()
            .flat_map(|(sidecar, address)| (0..each).map(move |number| (sidecar, *address, viewer(number))));
        let part =
            |(seat, (sidecar, address, viewer))| Part { seat, sidecar, address, viewer, rest: s(1), shows: None };
        Crowd::of(parts.enumerate().map(part).collect(), ledger)
    }

    /// So many who all are one viewer, at one sidecar.
    pub fn one_viewer(sidecar: usize, address: SocketAddr, viewer: &str, count: usize, ledger: &Arc<Ledger>) -> Crowd {
        let viewer = viewer.to_owned();
        let part = |seat| Part { seat, sidecar, address, viewer: viewer.clone(), rest: Duration::ZERO, shows: None };
        Crowd::of((0..count).map(part).collect(), ledger)
    }

    fn of(parts: Vec<Part>, ledger: &Arc<Ledger>) -> Crowd {
        let stop = Arc::new(Stop::default());
        stop.open.lock().expect("nobody has begun").resize_with(parts.len(), || None);
        let start = |part: Part| {
            let (stop, ledger) = (Arc::clone(&stop), Arc::clone(ledger));
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn(move || go_on(&part, &stop, &ledger)).expect("a thread starts")
        };
        let threads = parts.into_iter().map(start).collect();
        Crowd { stop, threads }
    }

    /// Until all have stopped. Who waits hangs up.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        *self.stop.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        for open in self.stop.open.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten() {
            let _ = open.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "one of the crowd has failed");
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.end();
    }
}

/// A load after the other. A refusal is followed by a pause, shorter than the one it asks for: this is a crowd.
fn go_on(part: &Part, stop: &Stop, ledger: &Ledger) {
    let (mut line, mut vendor) = (None, None);
    while !stop.pause(Duration::ZERO) {
        if line.is_none() {
            line = Line::to(part.address).ok();
            stop.holds(part.seat, line.as_ref());
        }
        let asked = ledger.now();
        let answer = line.as_mut().map(|line| line.ask(&part.viewer, "load"));
        match answer {
            Some(Ok(answer)) if answer.status == 200 => {
                ledger.start(asked, ledger.time_of(answer.at), part.sidecar);
                stop.pause(part.rest.mul_f64(fastrand::f64()));
                let Some((address, dashboard)) = &part.shows else { continue };
                if vendor.is_none() {
                    vendor = Line::to(*address).ok();
                }
                let shown = vendor.as_mut().map(|vendor| vendor.load(dashboard, &answer.body));
                if !matches!(&shown, Some(Ok(answer)) if answer.status == 200) {
                    ledger.refusal(format!("by the vendor: {:?}", shown.map(|shown| shown.map(|one| one.status))));
                }
            }
            Some(Ok(answer)) => {
                ledger.refusal(answer.outcome());
                stop.pause(ms(250));
            }
            _ if stop.pause(Duration::ZERO) => {}
            _ => {
                ledger.refusal("no answer".to_owned());
                line = None;
                stop.pause(ms(100));
            }
        }
    }
}

/// Somebody who asks for the renewal of a token that the sidecar has, again and again.
pub struct Probe {
    stop: Arc<Stop>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Probe {
    /// At this sidecar.
    pub fn at(address: SocketAddr) -> Probe {
        let stop = Arc::new(Stop::default());
        let shared = Arc::clone(&stop);
        let look = move || {
            let mut line = Line::to(address).expect("the sidecar listens");
            let mut times = Vec::new();
            while !shared.pause(ms(20)) {
                let begin = Instant::now();
                let answer = line.ask(&viewer(0), "renew").expect("a renewal is answered");
                assert_eq!(answer.outcome(), "200", "a renewal never waits for a limit");
                times.push(answer.at.duration_since(begin));
            }
            times
        };
        Probe { stop, thread: std::thread::spawn(look) }
    }

    /// Renewals never waited: neither for an answer of the store nor for the end of a time given to it, which is 100 ms
    /// or more for each of them. When the machine stands still, it is for one of them. Gives how many there were.
    #[track_caller]
    pub fn never_waited(self) -> usize {
        *self.stop.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        let mut times = self.thread.join().expect("every renewal is answered");
        times.sort_unstable();
        let (median, longest) = (times.get(times.len() / 2), times.last());
        let slow = times.iter().filter(|time| **time >= ms(80)).count();
        let said = format!("{} renewals, half of them in {median:?}, the slowest in {longest:?}", times.len());
        assert!(slow <= 1 + times.len() / 50 && times.len() > 1, "{said}, {slow} as if they waited");
        times.len()
    }
}
