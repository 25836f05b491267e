//! Rank 36: the store goes away in every way there is, and comes back.

use std::ops::Range;
use std::time::Duration;

use crate::stage::ledger::Start;
use crate::stage::{Crowd, Fleet, Plan, Probe, Store, Warned, Way, Wish, at_once, ms, s, until};

#[test]
fn rank_36_the_store_goes_and_comes_back() {
    at_once(&[
        ("killed", killed),
        ("stopped_in_its_tracks", stopped_in_its_tracks),
        ("behind_a_black_hole", behind_a_black_hole),
        ("answers_that_never_come", answers_that_never_come),
    ]);
}

#[test]
fn rank_36_the_store_answers_badly() {
    at_once(&[
        ("reset_in_the_middle_of_an_answer", reset_in_the_middle_of_an_answer),
        ("two_seconds_away", two_seconds_away),
        ("busy_with_a_script_of_somebody_else", busy_with_a_script_of_somebody_else),
        ("a_hiccup_is_a_pause", a_hiccup_is_a_pause),
    ]);
}

#[test]
fn rank_36_a_start_and_a_wait_without_the_store() {
    at_once(&[
        ("absent_at_start", absent_at_start),
        ("a_black_hole_at_start", a_black_hole_at_start),
        ("a_share_of_less_than_one", a_share_of_less_than_one),
        ("a_load_is_answered_within_its_wait", a_load_is_answered_within_its_wait),
    ]);
}

/// Under full load the store goes, and comes back.
fn outage(breaks: impl Fn(&Fleet), mends: impl Fn(&Fleet)) {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    let warned = fleet.ledger.at_last(|| {
        let before = fleet.warned();
        fleet.ledger.run_until_used(40, s(3));
        fleet.all_are(true);
        let warned = fleet.warned();
        if warned.counts == before.counts { Ok(warned) } else { Err("all is well, and one warns".to_owned()) }
    });
    let probes: Vec<Probe> = fleet.addresses.iter().map(|address| Probe::at(*address)).collect();
    fleet.ledger.event("the store goes");
    breaks(&fleet);
    fleet.all_go_alone();
    fleet.ledger.run_until_used(40, s(3));
    fleet.warned_once(&warned);
    fleet.ledger.event("the store comes back");
    mends(&fleet);
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    for probe in probes {
        probe.never_waited();
    }
    crowd.stop();
    fleet.ledger.holds(40);
}

fn killed() {
    outage(|fleet| fleet.store.kill(), |fleet| fleet.store.launch());
}

fn stopped_in_its_tracks() {
    outage(|fleet| fleet.store.pause(), |fleet| fleet.store.go_on());
}

fn behind_a_black_hole() {
    outage(|fleet| fleet.links(Way::Silent), |fleet| fleet.links(Way::Open));
}

/// The store books what nobody is told of.
fn answers_that_never_come() {
    outage(|fleet| fleet.links(Way::Mute), |fleet| fleet.links(Way::Open));
}

fn reset_in_the_middle_of_an_answer() {
    outage(|fleet| fleet.links(Way::Torn), |fleet| fleet.links(Way::Open));
}

/// Slower than it may be: 2 s.
fn two_seconds_away() {
    outage(|fleet| fleet.links(Way::Slow(s(1))), |fleet| fleet.links(Way::Open));
}

/// It answers, and says that it has no time.
fn busy_with_a_script_of_somebody_else() {
    let busy = |fleet: &Fleet| {
        fleet.store.command("CONFIG SET busy-reply-threshold 100");
        fleet.store.send("EVAL while(true)do\tend 0");
    };
    outage(busy, |fleet| drop(fleet.store.command("SCRIPT KILL")));
}

/// Shorter than what makes a sidecar go on alone: nothing but a pause.
fn a_hiccup_is_a_pause() {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.at_last(|| {
        let begin = fleet.ledger.run_until_used(40, s(3)).start;
        for _ in 0..3 {
            fleet.ledger.event("DEBUG SLEEP 0.3");
            fleet.store.send("DEBUG SLEEP 0.3");
            fleet.ledger.run(s(2));
        }
        let time = begin..fleet.ledger.now();
        let (rate, pause) = (fleet.ledger.rate(40, &time), fleet.ledger.longest_pause(&time));
        // Each of them costs a window at the most: both may have to join anew.
        let short = rate >= 20.0 && pause < ms(2500);
        if short { Ok(()) } else { Err(format!("{rate:.1} a second, {pause:?} without a start")) }
    });
    crowd.stop();
    fleet.ledger.holds(40);
}

/// The first load after the store went is answered in the time that it may wait.
fn a_load_is_answered_within_its_wait() {
    let plan = Plan { limit: "max_wait: 2s", ..Plan::of(2, 20) };
    let fleet = Fleet::start(plan);
    type Act = fn(&Fleet);
    let acts: [(&str, Act, Act); 4] = [
        ("killed", |fleet| fleet.store.kill(), |fleet| fleet.store.launch()),
        ("paused", |fleet| fleet.store.pause(), |fleet| fleet.store.go_on()),
        ("silent", |fleet| fleet.links(Way::Silent), |fleet| fleet.links(Way::Open)),
        ("broken", |fleet| fleet.links(Way::Broken), |fleet| fleet.links(Way::Open)),
    ];
    for (name, breaks, mends) in acts {
        fleet.ledger.at_last(|| {
            fleet.ledger.event(name);
            breaks(&fleet);
            let answers: Vec<_> = std::thread::scope(|scope| {
                let asks = [0, 1].map(|number| {
                    let fleet = &fleet;
                    scope.spawn(move || fleet.load(number, "v-0"))
                });
                asks.into_iter().map(|ask| ask.join().expect("no ask panics")).collect()
            });
            fleet.all_go_alone();
            mends(&fleet);
            fleet.all_are(true);
            fleet.ledger.run(ms(1500));
            let in_time = answers.iter().all(|(outcome, took)| outcome == "200" && *took <= ms(2100));
            if in_time { Ok(()) } else { Err(format!("{name}: {answers:?}")) }
        });
    }
    fleet.ledger.holds(20);
}

/// It is not there when the sidecars start, and comes later.
fn comes_later(breaks: impl Fn(&Fleet), mends: impl Fn(&Fleet)) {
    let plan = Plan { joins: false, ..Plan::of(2, 40) };
    let mut fleet = Fleet::with(plan, Store::absent(Wish::default()));
    (0..2).for_each(|number| fleet.kill(number));
    breaks(&fleet);
    for number in 0..2 {
        fleet.restart(number);
    }
    fleet.all_are(false);
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run_until_used(40, s(3));
    fleet.warned_once(&Warned::default());
    fleet.ledger.event("the store comes");
    mends(&fleet);
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}

fn absent_at_start() {
    comes_later(|_| (), |fleet| fleet.store.launch());
}

fn a_black_hole_at_start() {
    let silent = |fleet: &Fleet| {
        fleet.store.launch();
        fleet.links(Way::Silent);
    };
    comes_later(silent, |fleet| fleet.links(Way::Open));
}

/// With fewer starts than replicas each has its turn, by the clock that all have agreed on.
fn a_share_of_less_than_one() {
    let fleet = Fleet::start(Plan::of(4, 2));
    let crowd = Crowd::at(&fleet.addresses, 3, &fleet.ledger);
    fleet.ledger.run(s(3));
    fleet.store.kill();
    fleet.all_go_alone();
    fleet.ledger.run(s(1));
    let started = |number: usize, time: &Range<Duration>| {
        let started = |start: &&Start| start.sidecar == number && time.contains(&start.at);
        fleet.ledger.starts().iter().filter(started).count()
    };
    let alone = fleet.ledger.run(s(9));
    // Four turns, and those are missed that found no core in time.
    (0..4).for_each(|number| assert!(started(number, &alone) <= 6, "sidecar {number}\n{}", fleet.ledger));
    let begin = alone.start;
    until("each has had a turn", || (0..4).all(|number| started(number, &(begin..fleet.ledger.now())) > 0));
    fleet.store.launch();
    fleet.all_are(true);
    fleet.ledger.run(s(3));
    crowd.stop();
    fleet.ledger.holds(2);
}
