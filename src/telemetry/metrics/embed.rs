//! What is counted for each embed.

use std::time::Duration;

use prometheus::{Error, HistogramVec, IntCounterVec};

use super::Maker;
use super::label::{Counters, Histograms, Outcome, Warning};

/// From a hit in memory to a slow mint.
const BUCKETS: &[f64] =
    &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone)]
pub(super) struct Families {
    requests: IntCounterVec,
    duration: HistogramVec,
    warnings: IntCounterVec,
}

impl Families {
    pub(super) fn register(make: &Maker<'_>) -> Result<Families, Error> {
        let labels = &["embed", "outcome"];
        Ok(Families {
            requests: make.counter("embed_requests_total", "Requests for viewer tokens.", labels)?,
            duration: make.histogram(
                "embed_request_duration_seconds",
                "Time to answer requests for viewer tokens, limiter wait included.",
                labels,
                BUCKETS,
            )?,
            warnings: make.counter(
                "viewer_token_warnings_total",
                "Viewer tokens with something suspicious about them.",
                &["embed", "reason"],
            )?,
        })
    }

    pub(super) fn resolve(&self, name: &str) -> EmbedMetrics {
        EmbedMetrics {
            requests: Counters::resolve::<Outcome>(&self.requests, &[name]),
            duration: Histograms::resolve::<Outcome>(&self.duration, name),
            warnings: Counters::resolve::<Warning>(&self.warnings, &[name]),
        }
    }
}

/// Of one embed.
pub struct EmbedMetrics {
    requests: Counters,
    duration: Histograms,
    warnings: Counters,
}

impl EmbedMetrics {
    /// Counts and times one request.
    pub fn answered(&self, outcome: Outcome, elapsed: Duration) {
        self.requests.inc(outcome);
        self.duration.observe(outcome, elapsed);
    }

    /// Counts something suspicious.
    pub fn warned(&self, warning: Warning) {
        self.warnings.inc(warning);
    }
}
