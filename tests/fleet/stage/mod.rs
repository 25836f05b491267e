//! What the scenes of a fleet need: a store and the links to it, sidecars, people who load, and a judge.

pub mod crowd;
pub mod fleet;
pub mod ledger;
pub mod line;
pub mod link;
pub mod pulse;
pub mod resp;
pub mod store;

pub use crowd::{Crowd, Probe};
pub use fleet::{Fleet, Plan, Warned};
pub use link::Way;
pub use store::{Kind, Store, Wish};

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;

/// Milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Seconds.
pub const fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Whether scenes that can be longer are to be.
pub fn long() -> bool {
    std::env::var_os("SIDEMINT_TEST_LONG").is_some()
}

/// Looks again and again until something is so. Gives the time that it took.
#[track_caller]
pub fn until(what: &str, is: impl FnMut() -> bool) -> Duration {
    within(PATIENCE, what, is)
}

/// The same, where it may take another time before a test gives it up.
#[track_caller]
pub fn within(longest: Duration, what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < longest, "not within {longest:?}: {what}");
        std::thread::park_timeout(ms(10));
    }
    begin.elapsed()
}

/// A port that nobody listens on, and that the system gives to no outgoing connection: what listens there can be
/// killed and started again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1000).expect("less than a thousand") * 10;
    (0..10_000)
        .map(|_| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port is free")
}

/// Plays scenes at the same time: each waits most of its time, and has processes, ports and a judge of its own. All are
/// played to their end, and those that failed are named.
pub fn at_once(scenes: &[(&'static str, fn())]) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let play = |(name, scene): &(&'static str, fn())| {
            let thread = std::thread::Builder::new().name((*name).to_owned());
            (*name, thread.spawn_scoped(scope, *scene).expect("a thread starts"))
        };
        let playing: Vec<_> = scenes.iter().map(play).collect();
        playing.into_iter().filter_map(|(name, thread)| thread.join().is_err().then_some(name)).collect()
    });
    assert!(failed.is_empty(), "failed, with their words above: {failed:?}");
}
