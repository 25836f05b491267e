//! Who floods waits for himself.

use std::net::SocketAddr;
use std::time::Duration;

use crate::stage::ledger::Start;
use crate::stage::line::Line;
use crate::stage::{Crowd, Fleet, Plan, at_once, s};

#[test]
fn floods_hold_nobody_up() {
    at_once(&[
        ("a_replica_that_floods_holds_no_other_replica_up", a_replica_that_floods_holds_no_other_replica_up),
        ("a_viewer_who_floods_holds_no_other_viewer_up", a_viewer_who_floods_holds_no_other_viewer_up),
        ("four_replicas_that_flood_get_alike", four_replicas_that_flood_get_alike),
    ]);
}

/// Nobody waits for longer than a load may wait, whoever floods.
const LONGEST: Duration = Duration::from_millis(2100);

/// Single loads, one after the other, through this sidecar, as a page makes them: who is refused comes again when told
/// to. Five in a row do not have to.
#[track_caller]
fn single_loads(fleet: &Fleet, sidecar: usize, viewer: &str) {
    let mut line = Line::to(fleet.addresses[sidecar]).expect("it listens");
    let mut load = || {
        let begin = fleet.ledger.now();
        for asked in 1..20 {
            let answer = line.ask(viewer, "load").expect("an answer");
            if answer.status == 200 {
                fleet.ledger.start(begin, fleet.ledger.time_of(answer.at), sidecar);
                return (asked, fleet.ledger.now() - begin);
            }
            fleet.ledger.run(s(answer.retry_after.expect("a refusal says when to come again")));
        }
        (20, fleet.ledger.now() - begin)
    };
    let mut loads: Vec<(u32, Duration)> = Vec::new();
    fleet.ledger.at_last(|| {
        loads.push(load());
        let fair = loads.iter().rev().take_while(|(asked, took)| *asked == 1 && *took < LONGEST).count();
        let said = || format!("sidecar {sidecar}, {viewer}: times asked, and how long it took: {loads:?}");
        if fair >= 5 { Ok(()) } else { Err(said()) }
    });
    println!("sidecar {sidecar}, {viewer}: times asked, and how long it took: {loads:?}");
}

fn a_replica_that_floods_holds_no_other_replica_up() {
    let fleet = Fleet::start(Plan::of(3, 20));
    let flood: Vec<SocketAddr> = vec![fleet.addresses[0]];
    let crowd = Crowd::at(&flood, 160, &fleet.ledger);
    fleet.ledger.run(s(2));
    fleet.ledger.event("single loads");
    std::thread::scope(|scope| {
        for sidecar in [1, 2] {
            let fleet = &fleet;
            scope.spawn(move || single_loads(fleet, sidecar, "v-0"));
        }
    });
    crowd.stop();
    fleet.ledger.holds(20);
}

fn a_viewer_who_floods_holds_no_other_viewer_up() {
    let fleet = Fleet::start(Plan::of(2, 20));
    let crowd = Crowd::one_viewer(0, fleet.addresses[0], "v-0", 160, &fleet.ledger);
    fleet.ledger.run(s(2));
    fleet.ledger.event("single loads");
    single_loads(&fleet, 0, "v-1");
    single_loads(&fleet, 1, "v-2");
    crowd.stop();
    fleet.ledger.holds(20);
}

/// All flood: each replica has its part.
fn four_replicas_that_flood_get_alike() {
    let fleet = Fleet::start(Plan::of(4, 40));
    let crowd = Crowd::at(&fleet.addresses, 30, &fleet.ledger);
    // Who has just joined waits for a span, and they did so one after the other.
    fleet.ledger.run(s(3));
    let time = fleet.ledger.run_until_used(40, s(6));
    crowd.stop();
    fleet.ledger.holds(40);
    let starts: Vec<Start> = fleet.ledger.starts().into_iter().filter(|start| time.contains(&start.at)).collect();
    for number in 0..4 {
        let started = starts.iter().filter(|start| start.sidecar == number).count();
        let part = started as f64 / starts.len() as f64;
        assert!((0.12..0.45).contains(&part), "sidecar {number} started {part:.2} of all\n{}", fleet.ledger);
    }
}
