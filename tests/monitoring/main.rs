//! Alerts and dashboard: that they are well formed, that every expression answers in a real Prometheus which scrapes real
//! sidecars under load, and that what goes wrong at a vendor, a secret, a limit or Redis raises the right alert there.
//! A binary of its own: its windows are three seconds long, and a hundred other processes would be what is measured.

#[path = "../binary/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the black-box tests use the rest of it")]
mod support;

#[path = "../fleet/stage/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the scenes of the fleet use the rest of it")]
mod stage;

mod cast;
mod dashboard;
mod families;
mod files;
mod load;
mod prometheus;
mod promql;
mod rules;
mod scenes;
