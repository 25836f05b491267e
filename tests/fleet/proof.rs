//! The whole of it in one scene: loads without a pause, while sidecars and the store are killed, stopped, emptied and
//! started again. `SIDEMINT_TEST_LONG=1` makes it ten thousand loads; `--nocapture` shows the figures.

use std::ops::Range;
use std::time::Duration;

use crate::stage::ledger::JITTER;
use crate::stage::{Crowd, Fleet, Plan, Way, long, ms, s};

const SIDECARS: usize = 4;

/// Everything was up for all of this time, and had been for a while: until the limit was made use of, all that it took.
struct Settled(Vec<Range<Duration>>);

impl Settled {
    fn add(&mut self, fleet: &Fleet, length: Duration) {
        fleet.all_are(true);
        let begin = fleet.ledger.run(ms(1500)).end;
        let limit = usize::try_from(fleet.plan.per_second).expect("a small number");
        self.0.push(begin..fleet.ledger.run_until_used(limit, length).end);
    }
}

/// One round of mishaps.
fn round(fleet: &mut Fleet, number: usize, settled: &mut Settled, length: Duration) {
    let victim = number % SIDECARS;
    fleet.kill(victim);
    fleet.ledger.run(ms(400));
    fleet.restart(victim);
    fleet.ledger.event("FLUSHALL");
    fleet.store.command("FLUSHALL");
    fleet.ledger.run(ms(700));
    fleet.ledger.event("the store is killed");
    fleet.store.kill();
    fleet.ledger.run(ms(1200));
    fleet.kill((victim + 1) % SIDECARS);
    fleet.store.launch();
    fleet.ledger.event("the store is up");
    fleet.restart((victim + 1) % SIDECARS);
    settled.add(fleet, length);
    fleet.ledger.event("the store is stopped in its tracks");
    fleet.store.pause();
    fleet.ledger.run(ms(1100 + 300 * u64::try_from(number % 4).unwrap_or_default()));
    fleet.store.go_on();
    fleet.ledger.event("the store goes on");
    fleet.links[victim].set(Way::Silent);
    fleet.ledger.run(ms(900));
    fleet.links[victim].set(Way::Open);
    fleet.stop((victim + 2) % SIDECARS);
    fleet.restart((victim + 2) % SIDECARS);
    settled.add(fleet, length);
}

#[test]
fn rank_36_the_limit_holds_whatever_happens() {
    let long = long();
    let (per_second, rounds, length) = if long { (100, 6, s(7)) } else { (60, 1, s(3)) };
    let limit = usize::try_from(per_second).expect("a small number");
    let mut fleet = Fleet::start(Plan::of(SIDECARS, per_second));
    let crowd = Crowd::at(&fleet.addresses, limit / 2, &fleet.ledger);
    let mut settled = Settled(Vec::new());
    settled.add(&fleet, length);
    for number in 0..rounds {
        round(&mut fleet, number, &mut settled, length);
    }
    while long && fleet.ledger.count() < 10_000 {
        settled.add(&fleet, length);
    }
    crowd.stop();
    let ledger = &fleet.ledger;
    println!("{} loads in {:.1} s by {SIDECARS} sidecars", ledger.count(), ledger.now().as_secs_f64());
    for window in [s(1), s(1) - JITTER] {
        println!("most in any {window:?}: {} of {per_second}", ledger.most_in_any(window).0);
    }
    println!("one more than that: in {:?} at the shortest", ledger.shortest(limit));
    for time in &settled.0 {
        println!("settled {time:.1?}: {:.1} a second", ledger.rate(limit, time));
    }
    ledger.holds(limit);
}
