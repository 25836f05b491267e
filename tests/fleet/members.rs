//! Sidecars come and go.

use std::sync::Arc;

use rustix::process::Signal;

use crate::stage::{Crowd, Fleet, Plan, at_once, ms, s};

#[test]
fn sidecars_go_and_come_back() {
    at_once(&[
        ("killed_and_started_again", killed_and_started_again),
        ("told_to_stop_it_leaves_at_once", told_to_stop_it_leaves_at_once),
        ("a_rollout_in_turn", a_rollout_in_turn),
        ("all_killed_and_started_again", all_killed_and_started_again),
    ]);
}

#[test]
fn sidecars_change() {
    at_once(&[
        ("stopped_in_its_tracks", stopped_in_its_tracks),
        ("another_limit_by_reload", another_limit_by_reload),
        ("one_more_than_there_should_be", one_more_than_there_should_be),
    ]);
}

/// One that is killed may as well be cut off: its share stays its own. When it is back, all is as before.
fn killed_and_started_again() {
    let mut fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run_until_used(30, s(3));
    fleet.kill(1);
    fleet.ledger.run(ms(1500));
    fleet.ledger.run_until_used(20, s(3));
    fleet.restart(1);
    fleet.ledger.run_until_used(30, s(3));
    crowd.stop();
    fleet.ledger.holds(30);
}

/// One that is told to stop takes nothing with it. Its leave is said once: where the answer is late it is as if it was
/// killed, so when the machine stood still just then, it is started and told again.
fn told_to_stop_it_leaves_at_once() {
    let mut fleet = Fleet::start(Plan::of(3, 30));
    let rest = [fleet.addresses[0], fleet.addresses[1]];
    let crowd = Crowd::at(&rest, 40, &fleet.ledger);
    fleet.ledger.run(s(2));
    let ledger = Arc::clone(&fleet.ledger);
    ledger.at_last(|| {
        let ended = fleet.stop(2);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let without = ledger.used_within(s(10), 30, s(5));
        fleet.restart(2);
        without
    });
    fleet.ledger.run_until_used(30, s(3));
    crowd.stop();
    fleet.ledger.holds(30);
}

/// A rollout: each in its turn, with loads in the air.
fn a_rollout_in_turn() {
    let mut fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run(s(2));
    let ledger = Arc::clone(&fleet.ledger);
    ledger.at_last(|| {
        let begin = ledger.now();
        for number in 0..3 {
            let ended = fleet.stop(number);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            fleet.restart(number);
            ledger.run(s(1));
        }
        let rate = ledger.rate(30, &(begin..ledger.now()));
        if rate >= 24.0 { Ok(()) } else { Err(format!("{rate:.1} starts a second in a rollout")) }
    });
    fleet.ledger.run_until_used(30, s(3));
    crowd.stop();
    fleet.ledger.holds(30);
}

/// A machine that stands still, as virtual ones do when they are moved: what was granted before is too late after.
fn stopped_in_its_tracks() {
    let fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run(s(2));
    for (round, still) in [60, 150, 300, 450, 700, 1000, 1500, 2500].into_iter().enumerate() {
        let process = &fleet.sidecar(round % 3).process;
        process.signal(Signal::STOP);
        fleet.ledger.event(&format!("sidecar {} stands still for {still} ms", round % 3));
        fleet.ledger.run(ms(still));
        process.signal(Signal::CONT);
        fleet.ledger.run(ms(930));
    }
    fleet.all_are(true);
    fleet.ledger.run_until_used(30, s(3));
    crowd.stop();
    fleet.ledger.holds(30);
}

/// All are told of another limit, one after the other: of a lower one, and of the old one again. None is less ready for
/// it, or less of a member.
fn another_limit_by_reload() {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    let tell = |old: &str, new: &str| {
        for number in 0..2 {
            let sidecar = fleet.sidecar(number);
            let text = std::fs::read_to_string(sidecar.files.config()).expect("there is a config");
            assert!(text.contains(old), "no {old} in {text}");
            sidecar.files.write("config.yaml", &text.replace(old, new));
            sidecar.process.signal(Signal::HUP);
            fleet.ledger.event(&format!("sidecar {number} is told of {new}"));
            fleet.ledger.run(ms(500));
        }
    };
    let there_and_back = || {
        tell("{per_second: 40", "{per_second: 20");
        fleet.ledger.run(s(2));
        let begin = fleet.ledger.now();
        let lower = begin..fleet.ledger.run_until_used(20, s(3)).end;
        tell("{per_second: 20", "{per_second: 40");
        fleet.ledger.run_until_used(40, s(3));
        fleet.ledger.holds_in(20, &lower);
    };
    // Who is no member because the machine stood still is one again when it is told the next time.
    fleet.ledger.at_last(|| {
        std::thread::scope(|scope| {
            let told = scope.spawn(there_and_back);
            let mut members = true;
            while !told.is_finished() {
                for number in 0..2 {
                    assert_eq!(fleet.sidecar(number).look("/readyz").status, 200, "{}", fleet.ledger);
                    members &= fleet.sidecar(number).look("/metrics").text().contains("\nsidemint_fleet_up 1\n");
                }
                fleet.ledger.run(ms(20));
            }
            told.join().expect("both limits hold, and are made use of");
            if members { Ok(()) } else { Err("one was no member".to_owned()) }
        })
    });
    crowd.stop();
    fleet.ledger.holds(40);
}

/// All crash at once, and are back before the store has missed them.
fn all_killed_and_started_again() {
    let mut fleet = Fleet::start(Plan::of(3, 30));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run(s(2));
    (0..3).for_each(|number| fleet.kill(number));
    (0..3).for_each(|number| fleet.restart(number));
    fleet.ledger.run_until_used(30, s(3));
    crowd.stop();
    fleet.ledger.holds(30);
}

/// More replicas than the config knows of.
fn one_more_than_there_should_be() {
    let fleet = Fleet::start(Plan { replicas: 2, ..Plan::of(3, 30) });
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    fleet.ledger.run_until_used(30, s(5));
    crowd.stop();
    fleet.ledger.holds(30);
}
