//! The store's clock is set.

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
    let before = fleet.store.command("TIME");
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    let begin = fleet.ledger.now();
    for seconds in seconds {
        fleet.ledger.event(&format!("clock {seconds:+} s"));
        fleet.store.set_clock(*seconds);
        fleet.ledger.run(ms(3500));
    }
    let time = begin..fleet.ledger.now();
    let after = fleet.ledger.run(s(3));
    crowd.stop();
    let second = |time: &str| time.lines().next().and_then(|second| second.parse::<i64>().ok()).expect("a time");
    let shown = second(&fleet.store.command("TIME")) - second(&before);
    let wanted = seconds.last().copied().unwrap_or_default();
    assert!((shown - wanted - 20).abs() <= 40, "the clock has gone {shown} s on: it was not set");
    fleet.ledger.holds(40);
    let pause = fleet.ledger.longest_pause(&time);
    assert!(pause <= ms(3000), "{pause:?} without a start\n{}", fleet.ledger);
    fleet.ledger.uses(40, &after);
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
    let after = fleet.ledger.run(s(4));
    crowd.stop();
    fleet.ledger.holds(40);
    fleet.ledger.uses(40, &after);
}
