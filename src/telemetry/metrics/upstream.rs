//! What is counted for each upstream besides its calls: the service token, viewer tokens, loads.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Error, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::label::{CallOutcome, Counters, LoadRejection};
use super::{CallMetrics, Maker};

/// Of calls to a vendor, and of waits.
pub(super) const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[derive(Clone)]
pub(super) struct Families {
    expiry: IntGaugeVec,
    last_success: IntGaugeVec,
    refreshes: IntCounterVec,
    viewer_tokens: IntGaugeVec,
    viewer_token_bytes: IntGaugeVec,
    loads: LoadFamilies,
}

impl Families {
    pub(super) fn register(make: &Maker<'_>) -> Result<Families, Error> {
        let name = &["upstream"];
        Ok(Families {
            expiry: make.gauge(
                "service_token_expiry_timestamp_seconds",
                "When the held service token expires.",
                name,
            )?,
            last_success: make.gauge(
                "service_token_last_success_timestamp_seconds",
                "When a service token was last got.",
                name,
            )?,
            refreshes: make.counter(
                "service_token_refreshes_total",
                "Flights for service tokens.",
                &["upstream", "outcome"],
            )?,
            viewer_tokens: make.gauge("viewer_tokens", "Viewer tokens in memory.", name)?,
            viewer_token_bytes: make.gauge("viewer_token_bytes", "Estimated memory of viewer tokens.", name)?,
            loads: LoadFamilies::register(make)?,
        })
    }

    pub(super) fn resolve(&self, name: &str, calls: CallMetrics) -> UpstreamMetrics {
        UpstreamMetrics {
            calls: Arc::new(calls),
            name: name.to_owned(),
            expiry: self.expiry.clone(),
            last_success: self.last_success.clone(),
            refreshes: Counters::resolve::<CallOutcome>(&self.refreshes, &[name]),
            viewer_tokens: self.viewer_tokens.with_label_values(&[name]),
            viewer_token_bytes: self.viewer_token_bytes.with_label_values(&[name]),
            loads: self.loads.resolve(name),
        }
    }
}

#[derive(Clone)]
struct LoadFamilies {
    started: IntCounterVec,
    rejected: IntCounterVec,
    waiting: IntGaugeVec,
    wait: HistogramVec,
}

impl LoadFamilies {
    fn register(make: &Maker<'_>) -> Result<LoadFamilies, Error> {
        let name = &["upstream"];
        Ok(LoadFamilies {
            started: make.counter("loads_started_total", "Dashboard loads that started.", name)?,
            rejected: make.counter(
                "loads_rejected_total",
                "Dashboard loads that were rejected.",
                &["upstream", "reason"],
            )?,
            waiting: make.gauge("loads_waiting", "Dashboard loads that wait for a start.", name)?,
            wait: make.histogram(
                "load_wait_seconds",
                "Time that dashboard loads waited for a start.",
                name,
                BUCKETS,
            )?,
        })
    }

    fn resolve(&self, name: &str) -> LoadMetrics {
        LoadMetrics {
            started: self.started.with_label_values(&[name]),
            rejected: Counters::resolve::<LoadRejection>(&self.rejected, &[name]),
            waiting: self.waiting.with_label_values(&[name]),
            wait: self.wait.with_label_values(&[name]),
        }
    }
}

/// Of one upstream.
pub struct UpstreamMetrics {
    /// Of its calls.
    pub calls: Arc<CallMetrics>,
    name: String,
    // Made with the first success: an expiry of 1970 would set off every alert.
    expiry: IntGaugeVec,
    last_success: IntGaugeVec,
    refreshes: Counters,
    viewer_tokens: IntGauge,
    viewer_token_bytes: IntGauge,
    /// Of its load limit.
    pub loads: LoadMetrics,
}

impl UpstreamMetrics {
    /// A service token was got.
    pub fn service_token_got(&self, expires_at: i64, now: i64) {
        self.expiry.with_label_values(&[&self.name]).set(expires_at);
        self.last_success.with_label_values(&[&self.name]).set(now);
        self.refreshes.inc(CallOutcome::Ok);
    }

    /// The config has this upstream no more.
    pub fn gone(&self) {
        // An error says that there never was a success.
        let _ = self.expiry.remove_label_values(&[&self.name]);
        let _ = self.last_success.remove_label_values(&[&self.name]);
    }

    /// A service token was not got.
    pub fn service_token_failed(&self, outcome: CallOutcome) {
        self.refreshes.inc(outcome);
    }

    /// A viewer token came into memory.
    pub fn viewer_token_in(&self, bytes: u32) {
        self.viewer_tokens.inc();
        self.viewer_token_bytes.add(i64::from(bytes));
    }

    /// A viewer token left memory.
    pub fn viewer_token_out(&self, bytes: u32) {
        self.viewer_tokens.dec();
        self.viewer_token_bytes.sub(i64::from(bytes));
    }
}

/// Of one load limit, counted for the upstream that asked.
#[derive(Clone)]
pub struct LoadMetrics {
    started: IntCounter,
    rejected: Counters,
    waiting: IntGauge,
    wait: Histogram,
}

impl LoadMetrics {
    /// A load starts, having waited.
    pub fn started(&self, waited: Duration) {
        self.started.inc();
        self.wait.observe(waited.as_secs_f64());
    }

    /// A load is rejected.
    pub fn rejected(&self, reason: LoadRejection) {
        self.rejected.inc(reason);
    }

    /// One more (1) or one less (-1) waits.
    pub fn waiting(&self, change: i64) {
        self.waiting.add(change);
    }
}
