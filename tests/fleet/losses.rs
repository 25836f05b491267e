//! The store forgets.

use std::time::Duration;

use crate::stage::{Crowd, Fleet, Plan, Way, at_once, ms, s};

#[test]
fn the_store_forgets() {
    at_once(&[
        ("everything_is_flushed", everything_is_flushed),
        ("the_keys_are_deleted", the_keys_are_deleted),
        ("scripts_are_flushed", scripts_are_flushed),
        ("connections_are_closed", connections_are_closed),
    ]);
}

#[test]
fn the_store_forgets_worse() {
    at_once(&[
        ("it_restarts_empty", it_restarts_empty),
        ("keys_are_thrown_out_for_want_of_memory", keys_are_thrown_out_for_want_of_memory),
        ("somebody_else_writes_there", somebody_else_writes_there),
        ("it_is_flushed_behind_a_broken_link", it_is_flushed_behind_a_broken_link),
    ]);
}

/// Under full load something is said to the store again and again, three times at least. Nothing but a short pause comes of
/// it: no longer than this for one of them, as a busy machine makes it longer and never shorter.
fn forgetting(what: &str, longest: Duration, forget: impl Fn(&Fleet)) {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    let mut pauses = Vec::new();
    fleet.ledger.at_last(|| {
        let begin = fleet.ledger.event(what);
        forget(&fleet);
        // Long enough to see one that is too long.
        fleet.ledger.run(longest.max(s(2)) + s(1));
        pauses.push(fleet.ledger.longest_pause(&(begin..fleet.ledger.now())));
        let short = pauses.len() >= 3 && pauses.iter().any(|pause| *pause <= longest);
        if short { Ok(()) } else { Err(format!("{pauses:?} without a start")) }
    });
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}

fn everything_is_flushed() {
    forgetting("FLUSHALL", ms(2500), |fleet| drop(fleet.store.command("FLUSHALL")));
}

fn the_keys_are_deleted() {
    forgetting("DEL", ms(2500), |fleet| {
        let keys = fleet.store.keys();
        assert!(keys.iter().all(|key| key.starts_with("sidemint:loads:")) && !keys.is_empty(), "{keys:?}");
        fleet.store.command(&format!("DEL {}", keys.join(" ")));
    });
}

fn scripts_are_flushed() {
    forgetting("SCRIPT FLUSH", ms(1300), |fleet| drop(fleet.store.command("SCRIPT FLUSH")));
}

fn connections_are_closed() {
    forgetting("CLIENT KILL", ms(2500), |fleet| drop(fleet.store.try_command("CLIENT KILL TYPE normal")));
}

/// A store that is up again before anybody has missed it.
fn it_restarts_empty() {
    forgetting("restart", ms(3000), |fleet| {
        fleet.store.kill();
        fleet.store.launch();
    });
}

/// Memory is short, and any key may be the one that is thrown out.
fn keys_are_thrown_out_for_want_of_memory() {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    for (round, policy) in ["allkeys-random", "allkeys-lru"].into_iter().enumerate() {
        fleet.ledger.event(policy);
        fleet.store.command(&format!("CONFIG SET maxmemory-policy {policy}"));
        fleet.store.command("CONFIG SET maxmemory 3mb");
        for batch in 0..10 {
            // Refused where nothing can be thrown out, and that is as well.
            let _ = fleet.store.try_command(&format!("DEBUG POPULATE 3000 filler-{round}-{batch} 200"));
            let _ = fleet.store.try_command("SET one more");
            fleet.ledger.run(ms(300));
        }
    }
    fleet.ledger.event("CONFIG SET maxmemory 1");
    fleet.store.command("CONFIG SET maxmemory 1");
    fleet.ledger.run(s(3));
    fleet.ledger.event("CONFIG SET maxmemory 0");
    fleet.store.command("CONFIG SET maxmemory 0");
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
    let evicted = fleet.store.command("INFO stats");
    let evicted = evicted.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap_or_default();
    assert!(evicted.trim().parse::<u64>().is_ok_and(|count| count > 0), "{evicted} keys were thrown out");
}

/// It forgets while nobody can see it.
fn it_is_flushed_behind_a_broken_link() {
    forgetting("FLUSHALL behind a broken link", ms(3000), |fleet| {
        fleet.links(Way::Broken);
        fleet.store.command("FLUSHALL");
        fleet.ledger.run(ms(100));
        fleet.links(Way::Open);
    });
}

/// Somebody writes where the limit is kept: what is no limit, and what looks like one.
fn somebody_else_writes_there() {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    for key in fleet.store.keys() {
        let fields = fleet.store.command(&format!("HKEYS {key}"));
        let is_start = |field: &str| field.strip_prefix('s').is_some_and(|rest| rest.parse::<u64>().is_ok());
        let fields = fields.lines().filter(|field| !is_start(field)).chain(["s1"]);
        let values = ["-1", "nan", "99999999999999999999", "\u{1F9C2}"];
        for (number, field) in fields.enumerate() {
            let value = values[number % values.len()];
            fleet.ledger.event(&format!("{field} is {value}"));
            fleet.store.command(&format!("HSET {key} {field} {value}"));
            fleet.ledger.run(ms(400));
        }
    }
    fleet.ledger.run(s(1));
    for key in fleet.store.keys() {
        fleet.ledger.event("it is a text");
        fleet.store.command(&format!("SET {key} text"));
    }
    fleet.all_go_alone();
    fleet.ledger.run(s(3));
    fleet.ledger.event("FLUSHALL");
    fleet.store.command("FLUSHALL");
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}
