//! Part of the fleet has the store, part has not.

use crate::stage::{Crowd, Fleet, Plan, Way, ms, s};

#[test]
fn one_two_and_three_of_four_are_cut_off() {
    let fleet = Fleet::start(Plan::of(4, 40));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    let mut times = vec![fleet.ledger.run(s(3))];
    for (number, way) in [(0, Way::Silent), (1, Way::Broken), (2, Way::Silent)] {
        fleet.links[number].set(way);
        fleet.ledger.event(&format!("link {number} {way:?}"));
        fleet.is(number, false);
        fleet.ledger.run(ms(1500));
        times.push(fleet.ledger.run(s(3)));
    }
    fleet.is(3, true);
    fleet.links(Way::Open);
    fleet.all_are(true, s(5));
    fleet.ledger.run(ms(1500));
    times.push(fleet.ledger.run(s(4)));
    crowd.stop();
    fleet.ledger.holds(40);
    for time in times {
        fleet.ledger.uses(40, &time);
    }
}

/// A sidecar that is cut off goes on with its share for as long as it lives, so the others leave it that for as long.
#[test]
fn cut_off_for_long() {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    fleet.links[0].set(Way::Silent);
    fleet.ledger.event("link 0 silent");
    fleet.is(0, false);
    fleet.ledger.run(s(24));
    fleet.links[0].set(Way::Open);
    fleet.all_are(true, s(5));
    fleet.ledger.run(s(2));
    crowd.stop();
    fleet.ledger.holds(40);
}

/// One that never had the store, beside one that has.
#[test]
fn one_starts_without_the_store() {
    let mut fleet = Fleet::start(Plan::of(2, 40));
    fleet.kill(0);
    fleet.links[0].set(Way::Broken);
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.plan.joins = false;
    fleet.restart(0);
    fleet.is(0, false);
    fleet.ledger.run(s(4));
    fleet.links(Way::Open);
    fleet.all_are(true, s(5));
    fleet.ledger.run(ms(1500));
    let together = fleet.ledger.run(s(4));
    crowd.stop();
    fleet.ledger.holds(40);
    fleet.ledger.uses(40, &together);
}
