//! What is counted for each route.

use std::time::Duration;

use prometheus::{Error, HistogramVec, IntCounterVec};

use super::Maker;
use super::label::{Counters, Histograms, StatusClass};

/// From a small answer next door to a model that thinks.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

#[derive(Clone)]
pub(super) struct Families {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl Families {
    pub(super) fn register(make: &Maker<'_>) -> Result<Families, Error> {
        let labels = &["route", "code"];
        Ok(Families {
            requests: make.counter(
                "proxy_requests_total",
                "Requests through routes, refused ones included.",
                labels,
            )?,
            duration: make.histogram(
                "proxy_request_duration_seconds",
                "Time from the head of a request through a route to the head of its response.",
                labels,
                BUCKETS,
            )?,
        })
    }

    pub(super) fn resolve(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            requests: Counters::resolve::<StatusClass>(&self.requests, &[name]),
            duration: Histograms::resolve::<StatusClass>(&self.duration, name),
        }
    }
}

/// Of one route.
pub struct RouteMetrics {
    requests: Counters,
    duration: Histograms,
}

impl RouteMetrics {
    /// Counts and times one request by the status of its response.
    pub fn answered(&self, status: u16, elapsed: Duration) {
        let class = match status {
            0..200 => StatusClass::Informational,
            200..300 => StatusClass::Success,
            300..400 => StatusClass::Redirection,
            400..500 => StatusClass::ClientError,
            _ => StatusClass::ServerError,
        };
        self.requests.inc(class);
        self.duration.observe(class, elapsed);
    }
}
