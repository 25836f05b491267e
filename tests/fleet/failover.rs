//! A replica of the store takes over. It may not have heard the last words of the old one.

use std::net::SocketAddr;

use crate::stage::{Crowd, Fleet, Plan, Store, Wish, at_once, ms, s, until};

#[test]
fn a_replica_in_the_store_s_place() {
    at_once(&[
        ("a_replica_takes_over", a_replica_takes_over),
        ("a_replica_that_is_behind_takes_over", a_replica_that_is_behind_takes_over),
        ("a_replica_is_no_store", a_replica_is_no_store),
    ]);
}

/// A store that copies this one, as far as it has come.
fn replica_of(store: &Store) -> Store {
    let replica = Store::with(Wish::default());
    replica.command(&format!("REPLICAOF 127.0.0.1 {}", store.address().port()));
    until("the copy is complete", || replica.command("INFO replication").contains("master_link_status:up"));
    replica
}

fn lead(fleet: &Fleet, target: SocketAddr) {
    fleet.links.iter().for_each(|link| link.lead(target));
}

fn a_replica_takes_over() {
    let mut fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    for round in 0..3 {
        let replica = replica_of(&fleet.store);
        // Not always at the same place of a window.
        fleet.ledger.run(ms(500 + 370 * round));
        fleet.ledger.event("the store is killed, a replica takes over");
        fleet.store.kill();
        replica.command("REPLICAOF NO ONE");
        lead(&fleet, replica.address());
        fleet.store = replica;
        fleet.ledger.run(s(3));
    }
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}

/// The copy is some time behind when it is promoted: it has heard nothing for as long.
fn a_replica_that_is_behind_takes_over() {
    let mut fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    for behind in [ms(150), ms(900)] {
        let replica = replica_of(&fleet.store);
        replica.pause();
        fleet.ledger.run(behind);
        fleet.ledger.event(&format!("a replica takes over that is {behind:?} behind"));
        fleet.store.kill();
        replica.go_on();
        replica.command("REPLICAOF NO ONE");
        lead(&fleet, replica.address());
        fleet.store = replica;
        fleet.ledger.run(s(3));
    }
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}

/// What is led to a replica that is none any more reads and cannot write: that is no store.
fn a_replica_is_no_store() {
    let fleet = Fleet::start(Plan::of(2, 40));
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run(s(2));
    let replica = replica_of(&fleet.store);
    fleet.ledger.event("led to a replica");
    lead(&fleet, replica.address());
    fleet.all_go_alone();
    fleet.ledger.run_until_used(40, s(3));
    fleet.ledger.event("led back");
    lead(&fleet, fleet.store.address());
    fleet.all_are(true);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}
