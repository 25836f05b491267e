//! Every metric of the product. Label values are names from the config or words of an enum, never
//! a text from a request or a vendor.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// A closed set of label values.
pub trait Label: Copy + 'static {
    /// Each value once.
    const ALL: &'static [&'static str];
    /// Where this one stands in [`Label::ALL`].
    fn index(self) -> usize;
    /// The label value.
    fn as_str(self) -> &'static str {
        Self::ALL.get(self.index()).copied().unwrap_or("other")
    }
}

macro_rules! labels {
    ($(#[$doc:meta] $name:ident { $($variant:ident $text:literal),* $(,)? })*) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the words are those of the contract")]
        pub enum $name { $($variant),* }
        impl Label for $name {
            const ALL: &'static [&'static str] = &[$($text),*];
            fn index(self) -> usize { self as usize }
        }
    )*};
}

labels! {
    /// How a request for a viewer token ended.
    Outcome { Hit "hit", Miss "miss", Coalesced "coalesced", Stale "stale", Limited "limited", Refused "refused", Error "error" }
    /// What a vendor was asked for.
    Operation { ServiceToken "service_token", TokenInfo "token_info", Mint "mint", Jwks "jwks" }
    /// How a call to a vendor ended.
    CallOutcome {
        Ok "ok", Timeout "timeout", Connect "connect", Tls "tls", Throttled "throttled", Denied "denied",
        NotFound "not_found", Rejected "rejected", ServerError "server_error", Malformed "malformed",
    }
    /// What is suspicious about a viewer token.
    Warning { ShortLived "short_lived", BrowserUnsafePayload "browser_unsafe_payload", MissingClaim "missing_claim" }
    /// Why a load was rejected.
    LoadRejection { Limited "load_limited", ViewerLimited "viewer_limited" }
    /// How a reading of a secret went.
    Reading { Ok "ok", Unreadable "unreadable", Empty "empty" }
}

/// One counter for each value of a closed set, resolved once.
#[derive(Clone)]
struct Counters(Vec<IntCounter>);

impl Counters {
    fn resolve<L: Label>(vec: &IntCounterVec, before: &[&str]) -> Counters {
        Counters(L::ALL.iter().map(|value| vec.with_label_values(&with(before, value))).collect())
    }

    fn inc(&self, label: impl Label) {
        if let Some(counter) = self.0.get(label.index()) {
            counter.inc();
        }
    }
}

/// One histogram for each value of a closed set, made when first used: sixteen lines each.
struct Histograms {
    vec: HistogramVec,
    before: String,
    values: &'static [&'static str],
    made: Vec<OnceLock<Histogram>>,
}

impl Histograms {
    fn resolve<L: Label>(vec: &HistogramVec, before: &str) -> Histograms {
        let made = L::ALL.iter().map(|_| OnceLock::new()).collect();
        Histograms { vec: vec.clone(), before: before.to_owned(), values: L::ALL, made }
    }

    fn observe(&self, label: impl Label, elapsed: Duration) {
        let (Some(slot), Some(value)) = (self.made.get(label.index()), self.values.get(label.index())) else {
            return;
        };
        slot.get_or_init(|| self.vec.with_label_values(&[self.before.as_str(), value])).observe(elapsed.as_secs_f64());
    }
}

fn with<'a>(before: &[&'a str], value: &'a str) -> Vec<&'a str> {
    before.iter().copied().chain([value]).collect()
}

/// All families and their registry.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    embed_requests: IntCounterVec,
    embed_duration: HistogramVec,
    upstream_requests: IntCounterVec,
    upstream_duration: HistogramVec,
    expiry: IntGaugeVec,
    last_success: IntGaugeVec,
    refreshes: IntCounterVec,
    viewer_tokens: IntGaugeVec,
    viewer_token_bytes: IntGaugeVec,
    warnings: IntCounterVec,
    loads_started: IntCounterVec,
    loads_rejected: IntCounterVec,
    loads_waiting: IntGaugeVec,
    load_wait: HistogramVec,
    secret_reloads: IntCounterVec,
    refused: IntCounterVec,
}

/// From a hit in memory to a slow mint.
const FAST: &[f64] =
    &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Of calls to a vendor.
const SLOW: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

impl Metrics {
    /// Registers all families.
    ///
    /// # Errors
    /// Two families of one name, which a test would have caught.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let make = Maker { registry: &registry };
        let metrics = Metrics {
            embed_requests: make.counter(
                "embed_requests_total",
                "Requests for viewer tokens.",
                &["embed", "outcome"],
            )?,
            embed_duration: make.histogram(
                "embed_request_duration_seconds",
                "Time to answer requests for viewer tokens, limiter wait included.",
                &["embed", "outcome"],
                FAST,
            )?,
            upstream_requests: make.counter(
                "upstream_requests_total",
                "Calls to vendors, each attempt.",
                &["upstream", "operation", "outcome"],
            )?,
            upstream_duration: make.histogram(
                "upstream_request_duration_seconds",
                "Time of calls to vendors, each attempt.",
                &["upstream", "operation"],
                SLOW,
            )?,
            expiry: make.gauge(
                "service_token_expiry_timestamp_seconds",
                "When the held service token expires.",
                &["upstream"],
            )?,
            last_success: make.gauge(
                "service_token_last_success_timestamp_seconds",
                "When a service token was last got.",
                &["upstream"],
            )?,
            refreshes: make.counter(
                "service_token_refreshes_total",
                "Flights for service tokens.",
                &["upstream", "outcome"],
            )?,
            viewer_tokens: make.gauge("viewer_tokens", "Viewer tokens in memory.", &["upstream"])?,
            viewer_token_bytes: make.gauge(
                "viewer_token_bytes",
                "Estimated memory of viewer tokens.",
                &["upstream"],
            )?,
            warnings: make.counter(
                "viewer_token_warnings_total",
                "Viewer tokens with something suspicious about them.",
                &["embed", "reason"],
            )?,
            loads_started: make.counter("loads_started_total", "Dashboard loads that started.", &["upstream"])?,
            loads_rejected: make.counter(
                "loads_rejected_total",
                "Dashboard loads that were rejected.",
                &["upstream", "reason"],
            )?,
            loads_waiting: make.gauge("loads_waiting", "Dashboard loads that wait for a start.", &["upstream"])?,
            load_wait: make.histogram(
                "load_wait_seconds",
                "Time that dashboard loads waited for a start.",
                &["upstream"],
                SLOW,
            )?,
            secret_reloads: make.counter(
                "secret_reloads_total",
                "Readings of secret files that brought something new or failed.",
                &["secret", "outcome"],
            )?,
            refused: make.counter(
                "refused_requests_total",
                "Requests that were refused before any work.",
                &["code"],
            )?,
            registry: registry.clone(),
        };
        let build = make.gauge("build_info", "Always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    /// The handles of one embed.
    pub fn embed(&self, name: &str) -> EmbedMetrics {
        EmbedMetrics {
            requests: Counters::resolve::<Outcome>(&self.embed_requests, &[name]),
            duration: Histograms::resolve::<Outcome>(&self.embed_duration, name),
            warnings: Counters::resolve::<Warning>(&self.warnings, &[name]),
        }
    }

    /// The handles of one upstream.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        let calls = [Operation::ServiceToken, Operation::TokenInfo, Operation::Mint, Operation::Jwks]
            .map(|operation| Counters::resolve::<CallOutcome>(&self.upstream_requests, &[name, operation.as_str()]));
        UpstreamMetrics {
            calls,
            durations: Histograms::resolve::<Operation>(&self.upstream_duration, name),
            expiry: self.expiry.with_label_values(&[name]),
            last_success: self.last_success.with_label_values(&[name]),
            refreshes: Counters::resolve::<CallOutcome>(&self.refreshes, &[name]),
            viewer_tokens: self.viewer_tokens.with_label_values(&[name]),
            viewer_token_bytes: self.viewer_token_bytes.with_label_values(&[name]),
            loads: LoadMetrics {
                started: self.loads_started.with_label_values(&[name]),
                rejected: Counters::resolve::<LoadRejection>(&self.loads_rejected, &[name]),
                waiting: self.loads_waiting.with_label_values(&[name]),
                wait: self.load_wait.with_label_values(&[name]),
            },
        }
    }

    /// Counts a reading of a secret.
    pub fn secret_read(&self, secret: &str, reading: Reading) {
        self.secret_reloads.with_label_values(&[secret, reading.as_str()]).inc();
    }

    /// Counts a refusal.
    pub fn refused(&self, code: crate::model::Code) {
        self.refused.with_label_values(&[code.as_str()]).inc();
    }

    /// The text format, version 0.0.4.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(16 << 10);
        if TextEncoder::new().encode(&self.registry.gather(), &mut text).is_err() {
            tracing::error!("metrics could not be rendered");
        }
        text
    }
}

struct Maker<'a> {
    registry: &'a Registry,
}

impl Maker<'_> {
    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        let vec = IntCounterVec::new(Opts::new(format!("sidemint_{name}"), help), labels)?;
        self.registry.register(Box::new(vec.clone()))?;
        Ok(vec)
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        let vec = IntGaugeVec::new(Opts::new(format!("sidemint_{name}"), help), labels)?;
        self.registry.register(Box::new(vec.clone()))?;
        Ok(vec)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::new(format!("sidemint_{name}"), help).buckets(buckets.to_vec());
        let vec = HistogramVec::new(opts, labels)?;
        self.registry.register(Box::new(vec.clone()))?;
        Ok(vec)
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

/// Of one upstream.
pub struct UpstreamMetrics {
    calls: [Counters; 4],
    durations: Histograms,
    expiry: IntGauge,
    last_success: IntGauge,
    refreshes: Counters,
    viewer_tokens: IntGauge,
    viewer_token_bytes: IntGauge,
    /// Of its load limit.
    pub loads: LoadMetrics,
}

impl UpstreamMetrics {
    /// Counts and times one attempt.
    pub fn called(&self, operation: Operation, outcome: CallOutcome, elapsed: Duration) {
        if let Some(counters) = self.calls.get(operation.index()) {
            counters.inc(outcome);
        }
        self.durations.observe(operation, elapsed);
    }

    /// A service token was got.
    pub fn service_token_got(&self, expires_at: i64, now: i64) {
        self.expiry.set(expires_at);
        self.last_success.set(now);
        self.refreshes.inc(CallOutcome::Ok);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_of_the_contract_are_there() {
        let metrics = Metrics::new().unwrap();
        metrics.embed("sales").answered(Outcome::Hit, Duration::from_micros(60));
        let upstream = metrics.upstream("acme");
        upstream.called(Operation::Mint, CallOutcome::Ok, Duration::from_millis(80));
        upstream.service_token_got(5, 1);
        upstream.loads.started(Duration::ZERO);
        metrics.secret_read("upstreams.acme.auth", Reading::Ok);
        metrics.refused(crate::model::Code::ForbiddenHost);
        let text = String::from_utf8(metrics.render()).unwrap();
        for line in [
            r#"sidemint_build_info{version="0.1.0"} 1"#,
            r#"sidemint_embed_requests_total{embed="sales",outcome="hit"} 1"#,
            r#"sidemint_embed_request_duration_seconds_count{embed="sales",outcome="hit"} 1"#,
            r#"sidemint_upstream_requests_total{operation="mint",outcome="ok",upstream="acme"} 1"#,
            r#"sidemint_upstream_request_duration_seconds_count{operation="mint",upstream="acme"} 1"#,
            r#"sidemint_service_token_expiry_timestamp_seconds{upstream="acme"} 5"#,
            r#"sidemint_service_token_last_success_timestamp_seconds{upstream="acme"} 1"#,
            r#"sidemint_service_token_refreshes_total{outcome="ok",upstream="acme"} 1"#,
            r#"sidemint_viewer_tokens{upstream="acme"} 0"#,
            r#"sidemint_viewer_token_bytes{upstream="acme"} 0"#,
            r#"sidemint_viewer_token_warnings_total{embed="sales",reason="short_lived"} 0"#,
            r#"sidemint_loads_started_total{upstream="acme"} 1"#,
            r#"sidemint_loads_rejected_total{reason="load_limited",upstream="acme"} 0"#,
            r#"sidemint_loads_waiting{upstream="acme"} 0"#,
            r#"sidemint_load_wait_seconds_count{upstream="acme"} 1"#,
            r#"sidemint_secret_reloads_total{outcome="ok",secret="upstreams.acme.auth"} 1"#,
            r#"sidemint_refused_requests_total{code="forbidden_host"} 1"#,
            "process_open_fds ",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
