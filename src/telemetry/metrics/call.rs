//! What is counted for calls to one vendor, or to the issuer of the viewers' tokens.

use std::time::Duration;

use prometheus::{Error, HistogramVec, IntCounterVec};

use super::Maker;
use super::label::{CallOutcome, Counters, Histograms, Label, Operation};
use super::upstream::BUCKETS;

#[derive(Clone)]
pub(super) struct Families {
    calls: IntCounterVec,
    durations: HistogramVec,
}

impl Families {
    pub(super) fn register(make: &Maker<'_>) -> Result<Families, Error> {
        Ok(Families {
            calls: make.counter(
                "upstream_requests_total",
                "Calls to vendors, each attempt.",
                &["upstream", "operation", "outcome"],
            )?,
            durations: make.histogram(
                "upstream_request_duration_seconds",
                "Time of calls to vendors, each attempt.",
                &["upstream", "operation"],
                BUCKETS,
            )?,
        })
    }

    pub(super) fn resolve(&self, name: &str, operations: &[Operation]) -> CallMetrics {
        let counters = |operation: &Operation| {
            (*operation, Counters::resolve::<CallOutcome>(&self.calls, &[name, operation.as_str()]))
        };
        CallMetrics {
            calls: operations.iter().map(counters).collect(),
            durations: Histograms::resolve::<Operation>(&self.durations, name),
        }
    }
}

/// Of the calls to one host or several of one name.
pub struct CallMetrics {
    calls: Vec<(Operation, Counters)>,
    durations: Histograms,
}

impl CallMetrics {
    /// Counts and times one attempt.
    pub fn called(&self, operation: Operation, outcome: CallOutcome, elapsed: Duration) {
        if let Some((_, counters)) = self.calls.iter().find(|(known, _)| *known == operation) {
            counters.inc(outcome);
        }
        self.durations.observe(operation, elapsed);
    }
}
