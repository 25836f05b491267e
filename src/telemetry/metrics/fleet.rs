//! What is counted for the Redis of a fleet. Without a fleet none of it is there: `sidemint_fleet_up == 0` is an alarm.

use std::time::Duration;

use prometheus::{Error, Histogram, IntGauge};

use super::Maker;
use super::label::{Counters, FleetOutcome};

/// Within one data centre, up to the deadline.
const BUCKETS: &[f64] = &[0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];

/// Of the Redis of the fleet.
#[derive(Clone)]
pub struct FleetMetrics {
    up: IntGauge,
    calls: Counters,
    duration: Histogram,
}

impl FleetMetrics {
    pub(super) fn register(make: &Maker<'_>) -> Result<FleetMetrics, Error> {
        let calls = make.counter("fleet_calls_total", "Calls to the Redis of the fleet.", &["outcome"])?;
        let help = "Time of calls to the Redis of the fleet.";
        Ok(FleetMetrics {
            up: make
                .gauge(
                    "fleet_up",
                    "Whether all load limits are those of the whole fleet (0: this replica keeps to its share).",
                    &[],
                )?
                .with_label_values::<&str>(&[]),
            calls: Counters::resolve::<FleetOutcome>(&calls, &[]),
            duration: make.histogram("fleet_call_duration_seconds", help, &[], BUCKETS)?.with_label_values::<&str>(&[]),
        })
    }

    /// Whether the load limits are those of the fleet now.
    pub fn up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// Counts one call, and times it if it went out at all.
    pub fn called(&self, outcome: FleetOutcome, elapsed: Duration) {
        self.calls.inc(outcome);
        if outcome != FleetOutcome::Connect {
            self.duration.observe(elapsed.as_secs_f64());
        }
    }
}
