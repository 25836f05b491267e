//! One limit for the whole fleet: real sidecars, a real Redis, and links between them that break in every way that
//! links break in. A binary of its own, so that it runs alone: when a load starts is what is tested, and a hundred other
//! processes on the same cores would be what is measured.
//!
//! The judge (`stage/ledger.rs`) sees what a page sees: when its token arrived.

#[path = "../binary/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the black-box tests use the rest of it")]
mod support;

mod stage;
// Not in there: tests/monitoring has the stage, too.
#[path = "stage/tests.rs"]
mod stage_holds;

mod clocks;
mod cut_off;
mod doors;
mod failover;
mod fairness;
mod limit;
mod links;
mod losses;
mod members;
mod outages;
mod proof;
