//! Sidecars come and go.

use crate::stage::{Crowd, Fleet, Plan, ms, s};

/// One that is killed may as well be cut off: its share stays its own. When it is back, all is as before.
#[test]
fn killed_and_started_again() {
    let mut fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    let before = fleet.ledger.run(s(3));
    fleet.kill(1);
    fleet.ledger.run(ms(1500));
    let without = fleet.ledger.run(s(4));
    fleet.restart(1);
    fleet.ledger.run(ms(1500));
    let after = fleet.ledger.run(s(4));
    crowd.stop();
    fleet.ledger.holds(30);
    fleet.ledger.uses(30, &before);
    fleet.ledger.uses(20, &without);
    fleet.ledger.uses(30, &after);
}

/// One that is told to stop takes nothing with it.
#[test]
fn told_to_stop_it_leaves_at_once() {
    let mut fleet = Fleet::start(Plan::of(3, 30));
    let rest = [fleet.addresses[0], fleet.addresses[1]];
    let crowd = Crowd::at(&rest, 40, &fleet.ledger);
    fleet.ledger.run(s(2));
    let ended = fleet.stop(2);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let without = fleet.ledger.run(s(5));
    fleet.restart(2);
    let with = fleet.ledger.run(s(4));
    crowd.stop();
    fleet.ledger.holds(30);
    fleet.ledger.uses(30, &without);
    fleet.ledger.uses(30, &with);
}

/// A rollout: each in its turn, with loads in the air.
#[test]
fn a_rollout_in_turn() {
    let mut fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    let begin = fleet.ledger.run(s(2)).start;
    for number in 0..3 {
        let ended = fleet.stop(number);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        fleet.restart(number);
        fleet.ledger.run(s(1));
    }
    let during = begin..fleet.ledger.now();
    let after = fleet.ledger.run(s(4));
    crowd.stop();
    fleet.ledger.holds(30);
    let rate = fleet.ledger.rate(30, &during);
    assert!(rate >= 24.0, "{rate:.1} starts a second\n{}", fleet.ledger);
    fleet.ledger.uses(30, &after);
}

/// All crash at once, and are back before the store has missed them.
#[test]
fn all_killed_and_started_again() {
    let mut fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run(s(2));
    (0..3).for_each(|number| fleet.kill(number));
    (0..3).for_each(|number| fleet.restart(number));
    fleet.ledger.run(ms(1500));
    let after = fleet.ledger.run(s(4));
    crowd.stop();
    fleet.ledger.holds(30);
    fleet.ledger.uses(30, &after);
}

/// More replicas than the config knows of.
#[test]
fn one_more_than_there_should_be() {
    let fleet = Fleet::start(Plan { replicas: 2, ..Plan::of(3, 30) });
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    let time = fleet.ledger.run(s(5));
    crowd.stop();
    fleet.ledger.holds(30);
    fleet.ledger.uses(30, &time);
}
