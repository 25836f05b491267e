//! Rank 36: the store goes away in every way there is, and comes back.

use crate::stage::ledger::Start;
use crate::stage::{Crowd, Fleet, Plan, Probe, Store, Way, Wish, at_once, ms, s};

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
    let together = fleet.ledger.run(s(3));
    (0..2).for_each(|number| assert_eq!(fleet.warnings(number), Vec::<String>::new()));
    let probes: Vec<Probe> = fleet.addresses.iter().map(|address| Probe::at(*address)).collect();
    fleet.ledger.event("the store goes");
    breaks(&fleet);
    fleet.all_are(false, s(3));
    let alone = fleet.ledger.run(s(3));
    fleet.warned_once();
    fleet.ledger.event("the store comes back");
    mends(&fleet);
    fleet.all_are(true, s(5));
    fleet.ledger.run(ms(1500));
    let again = fleet.ledger.run(s(3));
    probes.into_iter().for_each(Probe::never_waited);
    crowd.stop();
    fleet.ledger.holds(40);
    for time in [together, alone, again] {
        fleet.ledger.uses(40, &time);
    }
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
    let time = {
        let begin = fleet.ledger.run(s(3)).start;
        for _ in 0..3 {
            fleet.ledger.event("DEBUG SLEEP 0.3");
            fleet.store.send("DEBUG SLEEP 0.3");
            fleet.ledger.run(s(2));
        }
        begin..fleet.ledger.now()
    };
    crowd.stop();
    fleet.ledger.holds(40);
    let (rate, pause) = (fleet.ledger.rate(40, &time), fleet.ledger.longest_pause(&time));
    // Each of them costs a window at the most: both may have to join anew.
    assert!(rate >= 20.0 && pause < ms(2500), "{rate:.1} a second, {pause:?} without a start\n{}", fleet.ledger);
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
        fleet.ledger.event(name);
        breaks(&fleet);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let asks = [0, 1].map(|number| {
                let fleet = &fleet;
                scope.spawn(move || fleet.load(number, "v-0"))
            });
            asks.into_iter().map(|ask| ask.join().expect("no ask panics")).collect()
        });
        for (outcome, took) in answers {
            assert!(outcome == "200" && took <= ms(2100), "{name}: {outcome} after {took:?}\n{}", fleet.ledger);
        }
        fleet.all_are(false, s(3));
        mends(&fleet);
        fleet.all_are(true, s(5));
        fleet.ledger.run(ms(1500));
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
        let begin = fleet.ledger.now();
        fleet.restart(number);
        let took = fleet.ledger.now() - begin;
        assert!(took < s(4), "ready after {took:?}");
    }
    fleet.all_are(false, s(1));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    let alone = fleet.ledger.run(s(3));
    fleet.warned_once();
    fleet.ledger.event("the store comes");
    mends(&fleet);
    fleet.all_are(true, s(8));
    fleet.ledger.run(ms(1500));
    let together = fleet.ledger.run(s(3));
    crowd.stop();
    fleet.ledger.holds(40);
    fleet.ledger.uses(40, &alone);
    fleet.ledger.uses(40, &together);
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
    fleet.all_are(false, s(3));
    fleet.ledger.run(s(1));
    let alone = fleet.ledger.run(s(9));
    fleet.store.launch();
    fleet.all_are(true, s(5));
    fleet.ledger.run(s(3));
    crowd.stop();
    fleet.ledger.holds(2);
    for number in 0..4 {
        let started = |start: &&Start| start.sidecar == number && alone.contains(&start.at);
        let started = fleet.ledger.starts().iter().filter(started).count();
        // Four turns, and those are missed that found no core in time.
        assert!((1..=6).contains(&started), "sidecar {number} started {started} in {alone:?}\n{}", fleet.ledger);
    }
}
