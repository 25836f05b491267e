//! The store's clock is set.

use std::time::{Duration, Instant};

use crate::stage::{Crowd, Fleet, Kind, Plan, Store, Wish, at_once, ms, s};

#[test]
fn the_clock_is_set() {
    at_once(&[
        ("five_seconds_to_and_fro", five_seconds_to_and_fro),
        ("an_hour_to_and_fro", an_hour_to_and_fro),
        ("less_than_a_window_to_and_fro", less_than_a_window_to_and_fro),
    ]);
}

fn steps(seconds: &[i64]) {
    let store = Store::with(Wish { kind: Kind::Valkey, clock: true, ..Wish::default() });
    let fleet = Fleet::with(Plan::of(2, 40), store);
    let (begin, before) = (Instant::now(), fleet.store.command("TIME"));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    // A busy machine makes a pause longer, and never shorter.
    fleet.ledger.at_last(|| {
        let pause = |seconds: &i64| {
            let begin = fleet.ledger.event(&format!("clock {seconds:+} s"));
            fleet.store.set_clock(*seconds);
            fleet.ledger.run(ms(3500));
            fleet.ledger.longest_pause(&(begin..fleet.ledger.now()))
        };
        let pauses: Vec<Duration> = seconds.iter().map(pause).collect();
        let short = pauses.iter().any(|pause| *pause <= s(3));
        if short { Ok(()) } else { Err(format!("{pauses:?} without a start")) }
    });
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    let second = |time: &str| time.lines().next().and_then(|second| second.parse::<i64>().ok()).expect("a time");
    let shown = second(&fleet.store.command("TIME")) - second(&before);
    let wanted = seconds.last().copied().unwrap_or_default();
    let passed = i64::try_from(begin.elapsed().as_secs()).expect("a short time");
    assert!((shown - wanted - passed).abs() <= 3, "the clock has gone {shown} s on in {passed} s: it was not set");
    fleet.ledger.holds(40);
}

fn five_seconds_to_and_fro() {
    steps(&[5, -5, 0]);
}

fn an_hour_to_and_fro() {
    steps(&[3600, 0, -3600]);
}

/// Steps too small to be taken for one.
fn less_than_a_window_to_and_fro() {
    let store = Store::with(Wish { kind: Kind::Valkey, clock: true, ..Wish::default() });
    let fleet = Fleet::with(Plan::of(2, 40), store);
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    for seconds in [1, 2, 1, 0, -1, 0] {
        fleet.ledger.event(&format!("clock {seconds:+} s"));
        fleet.store.set_clock(seconds);
        fleet.ledger.run(ms(1700));
    }
    fleet.ledger.run_until_used(40, s(4));
    crowd.stop();
    fleet.ledger.holds(40);
}
