//! Links that are neither good nor gone.

use crate::stage::{Crowd, Fleet, Plan, Way, at_once, ms, s};

#[test]
fn links_that_flap() {
    at_once(&[
        ("all_flap", all_flap),
        ("one_flaps", one_flaps),
        ("two_flap_without_a_word", two_flap_without_a_word),
        ("answers_flap", answers_flap),
    ]);
}

#[test]
fn links_that_are_slow_or_change() {
    at_once(&[
        ("all_flap_while_people_stroll", all_flap_while_people_stroll),
        ("a_slow_flap_in_turn", a_slow_flap_in_turn),
        ("too_slow_by_a_hair_is_never_over", too_slow_by_a_hair_is_never_over),
    ]);
}

/// One second on, one second off. `which` of the links do.
fn flapping(which: &[usize], off: Way) {
    let fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run(s(2));
    for _ in 0..4 {
        for way in [off, Way::Open] {
            which.iter().for_each(|number| fleet.links[*number].set(way));
            fleet.ledger.event(&format!("{way:?}"));
            fleet.ledger.run(s(1));
        }
    }
    fleet.all_are(true);
    fleet.ledger.run_until_used(30, s(3));
    crowd.stop();
    fleet.ledger.holds(30);
}

fn all_flap() {
    flapping(&[0, 1, 2], Way::Broken);
}

fn one_flaps() {
    flapping(&[1], Way::Broken);
}

fn two_flap_without_a_word() {
    flapping(&[0, 1], Way::Silent);
}

fn answers_flap() {
    flapping(&[0, 2], Way::Mute);
}

/// Loads at any place of a window, so that none is empty when a link changes.
fn all_flap_while_people_stroll() {
    let fleet = Fleet::start(Plan::of(3, 60));
    let crowd = Crowd::strolling(&fleet.addresses, 11, &fleet.ledger);
    fleet.ledger.run(s(2));
    for (off, time) in [(Way::Broken, 1000), (Way::Silent, 1300), (Way::Mute, 2100), (Way::Torn, 1600)] {
        fleet.links(off);
        fleet.ledger.run(ms(time));
        fleet.links(Way::Open);
        fleet.ledger.run(ms(time));
    }
    crowd.stop();
    fleet.ledger.holds(60);
}

/// Off for longer than it takes to go on alone, on for long enough to come back.
fn a_slow_flap_in_turn() {
    let fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run(s(2));
    for number in [0, 1, 2, 0] {
        fleet.links[number].set(Way::Silent);
        fleet.ledger.event(&format!("link {number} silent"));
        fleet.ledger.run(ms(2300));
        fleet.links[number].set(Way::Open);
        fleet.ledger.event(&format!("link {number} open"));
        fleet.ledger.run(ms(700));
    }
    crowd.stop();
    fleet.ledger.holds(30);
}

/// A store in the next region: all is as near by, only later. By itself: on the far side there are 20 ms left until an
/// answer is too late.
#[test]
fn a_far_store_is_a_store() {
    let fleet = Fleet::start(Plan::of(2, 40));
    fleet.links[0].set(Way::Slow(ms(20)));
    fleet.links[1].set(Way::Slow(ms(40)));
    // More than may start while one waits, so all of the limit is asked for, and few are refused again and again.
    let crowd = Crowd::at(&fleet.addresses, 35, &fleet.ledger);
    fleet.ledger.run_until_used(40, s(5));
    fleet.all_are(true);
    crowd.stop();
    fleet.ledger.holds(40);
}

/// At the edge of what the store may take, where some answers are in time and some are not.
fn too_slow_by_a_hair_is_never_over() {
    let fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    for delay in [60, 110, 160, 220, 300, 0] {
        let way = if delay == 0 { Way::Open } else { Way::Slow(ms(delay)) };
        fleet.links[0].set(way);
        fleet.links[1].set(way);
        fleet.ledger.event(&format!("{way:?}"));
        fleet.ledger.run(s(2));
    }
    crowd.stop();
    fleet.ledger.holds(30);
}
