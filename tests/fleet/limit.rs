//! What the fleet promises while all is well.

use std::time::Duration;

use crate::stage::ledger::Start;
use crate::stage::{Crowd, Fleet, Plan, Probe, at_once, ms, s, until};

#[test]
fn a_full_house() {
    at_once(&[
        ("two_sidecars_keep_one_limit_and_make_use_of_it", two_sidecars_keep_one_limit_and_make_use_of_it),
        ("renewals_never_touch_the_store", renewals_never_touch_the_store),
    ]);
}

#[test]
fn one_by_one_and_all_at_once() {
    at_once(&[
        ("an_idle_fleet_lets_a_whole_window_through_at_once", an_idle_fleet_lets_a_whole_window_through_at_once),
        ("the_order_of_asking_is_the_order_of_starting", the_order_of_asking_is_the_order_of_starting),
        ("beyond_the_longest_wait_it_is_429_with_a_true_time", beyond_the_longest_wait_it_is_429_with_a_true_time),
    ]);
}

/// Nobody is refused.
const PATIENT: &str = "max_wait: 10s, max_waiting: 1000";

/// So many at once through each sidecar, each by a viewer of its own. Outcomes and times, in no order.
fn volley(fleet: &Fleet, counts: &[usize]) -> Vec<(String, Duration)> {
    std::thread::scope(|scope| {
        let seats = counts.iter().enumerate().flat_map(|(sidecar, count)| vec![sidecar; *count]);
        let asks: Vec<_> = seats
            .enumerate()
            .map(|(seat, sidecar)| scope.spawn(move || fleet.load(sidecar, &crate::stage::fleet::viewer(seat))))
            .collect();
        asks.into_iter().map(|ask| ask.join().expect("no ask panics")).collect()
    })
}

fn two_sidecars_keep_one_limit_and_make_use_of_it() {
    let fleet = Fleet::start(Plan { limit: PATIENT, ..Plan::of(2, 40) });
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    let time = fleet.ledger.at_last(|| {
        let time = fleet.ledger.run_until_used(40, s(7));
        let rate = fleet.ledger.rate(40, &time);
        if rate >= 38.0 { Ok(time) } else { Err(format!("{rate:.1} a second, and little else to do here")) }
    });
    crowd.stop();
    fleet.ledger.holds(40);
    assert_eq!(fleet.ledger.refused("429 load_limited"), 0, "{}", fleet.ledger);
    for number in 0..2 {
        let starts: Vec<Start> = fleet.ledger.starts();
        let within: Vec<&Start> = starts.iter().filter(|start| time.contains(&start.at)).collect();
        let share = within.iter().filter(|start| start.sidecar == number).count() as f64 / within.len() as f64;
        let started = starts.iter().filter(|start| start.sidecar == number).count();
        assert!(
            (0.3..0.7).contains(&share),
            "sidecar {number} started {share:.2} of all in {time:?}\n{}",
            fleet.ledger
        );
        let said = fleet.sidecar(number).metric(r#"sidemint_loads_started_total{upstream="acme"}"#);
        assert!(said >= started as f64, "{said} by the metric, {started} here");
    }
}

fn an_idle_fleet_lets_a_whole_window_through_at_once() {
    let fleet = Fleet::start(Plan { limit: PATIENT, ..Plan::of(2, 40) });
    for counts in [[20, 20], [40, 0], [3, 37]] {
        fleet.ledger.at_last(|| {
            fleet.idle();
            let begin = fleet.ledger.event(&format!("volley of {counts:?} and one"));
            let answers = volley(&fleet, &counts);
            answers.iter().for_each(|(outcome, _)| assert_eq!(outcome, "200"));
            let slowest = answers.iter().map(|(_, took)| *took).max().unwrap_or_default();
            // That was all.
            let (outcome, _) = fleet.load(1, "v-0");
            let after = fleet.ledger.now() - begin;
            assert_eq!(outcome, "200");
            assert!(after >= ms(950), "{after:?}\n{}", fleet.ledger);
            let at_once = slowest < ms(500) && after < ms(2000);
            if at_once { Ok(()) } else { Err(format!("{counts:?} in {slowest:?}, one more in {after:?}")) }
        });
    }
    fleet.ledger.holds(40);
}

/// Who asks first is served first, through whichever sidecar.
fn the_order_of_asking_is_the_order_of_starting() {
    const PACE: Duration = ms(40);
    let fleet = Fleet::start(Plan { limit: PATIENT, ..Plan::of(2, 8) });
    fleet.ledger.at_last(|| {
        fleet.idle();
        volley(&fleet, &[4, 4]);
        let begin = fleet.ledger.now();
        std::thread::scope(|scope| {
            for number in 0..32 {
                let due = begin + PACE * u32::try_from(number).expect("a small number");
                fleet.ledger.run(due.saturating_sub(fleet.ledger.now()));
                let fleet = &fleet;
                scope.spawn(move || assert_eq!(fleet.load(number % 2, "v-0").0, "200"));
            }
        });
        let starts = fleet.ledger.starts();
        let mut starts: Vec<&Start> = starts.iter().filter(|start| start.asked >= begin).collect();
        starts.sort_by_key(|start| start.asked);
        assert_eq!(starts.len(), 32);
        // Two of one window start together, in any order.
        let mut pairs =
            starts.iter().enumerate().flat_map(|(at, first)| starts[at..].iter().map(move |later| (first, later)));
        match pairs.find(|(first, later)| first.at > later.at + ms(100)) {
            Some((first, later)) => Err(format!("{first:?} after {later:?}")),
            None => Ok(()),
        }
    });
    fleet.ledger.holds(8);
}

fn beyond_the_longest_wait_it_is_429_with_a_true_time() {
    let fleet = Fleet::start(Plan { limit: "max_wait: 1200ms, max_waiting: 1000", ..Plan::of(2, 5) });
    fleet.ledger.at_last(|| {
        fleet.idle();
        let answers = volley(&fleet, &[20, 20]);
        let granted = answers.iter().filter(|(outcome, _)| outcome == "200").count();
        let known = |outcome: &str| outcome == "200" || outcome == "429 load_limited";
        answers.iter().for_each(|(outcome, _)| assert!(known(outcome), "{outcome}"));
        let slowest = answers.iter().map(|(_, took)| *took).max().unwrap_or_default();
        let in_time = (5..=12).contains(&granted) && slowest < ms(1600);
        if in_time { Ok(()) } else { Err(format!("{granted} started, the last answer after {slowest:?}")) }
    });
    let mut lines = crate::stage::line::Line::to(fleet.addresses[0]).expect("it listens");
    let mut refused = Vec::new();
    for _ in 0..40 {
        let answer = lines.ask("v-0", "load").expect("an answer");
        if answer.status == 429 {
            refused.push(answer.retry_after.expect("a refusal says when to come again"));
            break;
        }
        fleet.ledger.start(fleet.ledger.now(), fleet.ledger.time_of(answer.at), 0);
    }
    for wait in refused {
        assert!((1..=5).contains(&wait), "{wait}");
        fleet.ledger.at_last(|| {
            fleet.ledger.run(s(wait));
            let (outcome, _) = fleet.load(1, "v-0");
            if outcome == "200" { Ok(()) } else { Err(format!("{outcome} after the {wait} s that it asked for")) }
        });
    }
    fleet.ledger.holds(5);
}

/// The emulator counts what the vendor counts: loads, at its own door. By itself, as the way there counts, too.
#[test]
fn rank_36_the_vendor_refuses_nobody() {
    // A hand-out, the way to the page, the way to the vendor: that is what a longer window is for.
    let fleet = Fleet::start(Plan { limit: "window: 1250ms, max_wait: 10s, max_waiting: 1000", ..Plan::of(3, 20) });
    let shows = Some((fleet.vendor.addr(), fleet.vendor.dashboard().to_owned()));
    let crowd = Crowd::showing(&fleet.addresses, 15, &fleet.ledger, shows);
    fleet.ledger.run(s(6));
    until("many have loaded", || fleet.vendor.loads().started >= 80);
    crowd.stop();
    let loads = fleet.vendor.loads();
    assert_eq!(loads.refused, 0, "{loads:?}\n{}", fleet.ledger);
    assert!(loads.peak_per_second <= 20, "{loads:?}\n{}", fleet.ledger);
}

/// What costs the store: to be a member, and to load. A renewal is neither.
fn renewals_never_touch_the_store() {
    let fleet = Fleet::start(Plan::of(2, 40));
    let commands = || {
        let stats = fleet.store.command("INFO stats");
        let count = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        count.and_then(|count| count.trim().parse::<u64>().ok()).expect("it counts")
    };
    let count = |time| {
        let before = commands();
        fleet.ledger.run(time);
        commands() - before
    };
    let idle = count(s(3));
    let probes: Vec<Probe> = fleet.addresses.iter().flat_map(|address| [0; 4].map(|_| Probe::at(*address))).collect();
    let renewing = count(s(3));
    let renewals: usize = probes.into_iter().map(Probe::never_waited).sum();
    // Calls of a script count with the commands in it. One in four would be enough to tell: who joins anew in between
    // says some more.
    let most = idle + idle / 4 + 10 + u64::try_from(renewals / 4).unwrap_or_default();
    assert!(renewing <= most, "{idle} commands in 3 s without renewals, {renewing} with {renewals}");
    assert!(idle <= 3 * 2 * 6 * 16, "{idle} commands in 3 s of two idle sidecars");
}
