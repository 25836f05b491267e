//! Part of the fleet has the store, part has not.

use crate::stage::{Crowd, Fleet, Plan, Way, at_once, long, ms, s};

#[test]
fn part_of_the_fleet_is_cut_off() {
    at_once(&[
        ("one_two_and_three_of_four_are_cut_off", one_two_and_three_of_four_are_cut_off),
        ("cut_off_for_long", cut_off_for_long),
        ("who_was_killed_is_replaced", who_was_killed_is_replaced),
        ("one_starts_without_the_store", one_starts_without_the_store),
    ]);
}

fn one_two_and_three_of_four_are_cut_off() {
    let fleet = Fleet::start(Plan::of(4, 40));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run_until_used(40, s(3));
    for (number, way) in [(0, Way::Silent), (1, Way::Broken), (2, Way::Silent)] {
        fleet.links[number].set(way);
        fleet.ledger.event(&format!("link {number} {way:?}"));
        fleet.is(number, false);
        fleet.ledger.run_until_used(40, s(3));
    }
    fleet.is(3, true);
    fleet.links(Way::Open);
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}

/// Whether one is cut off or was killed for good cannot be told from here: the others leave it its share for as long as
/// it may live on it.
fn cut_off_for_long() {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    fleet.links[0].set(Way::Silent);
    fleet.ledger.event("link 0 silent");
    fleet.is(0, false);
    fleet.ledger.run_until_used(40, if long() { s(60) } else { s(10) });
    fleet.links[0].set(Way::Open);
    fleet.ledger.event("link 0 open");
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}

/// Killed for good: its share is away. Another one that listens somewhere else takes its place, and all is as before.
fn who_was_killed_is_replaced() {
    let mut fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses[..1], 60, &fleet.ledger);
    fleet.ledger.run(s(1));
    fleet.kill(1);
    fleet.ledger.run(ms(1500));
    let begin = fleet.ledger.now();
    let without = begin..fleet.ledger.run_until_used(20, s(6)).end;
    fleet.replace(1);
    let other = Crowd::at(&fleet.addresses[1..], 60, &fleet.ledger);
    fleet.ledger.run_until_used(40, s(4));
    crowd.stop();
    other.stop();
    fleet.ledger.holds(40);
    fleet.ledger.holds_in(20, &without);
}

/// One that never had the store, beside one that has.
fn one_starts_without_the_store() {
    let mut fleet = Fleet::start(Plan::of(2, 40));
    fleet.kill(0);
    fleet.links[0].set(Way::Broken);
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.plan.joins = false;
    fleet.restart(0);
    fleet.is(0, false);
    fleet.ledger.run(s(3));
    fleet.links(Way::Open);
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}
