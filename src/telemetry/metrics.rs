//! Every metric of the product. Label values are names from the config or words of an enum, never
//! a text from a request or a vendor.

mod call;
mod embed;
mod fleet;
mod label;
mod route;
mod secret;
mod upstream;

use std::sync::{Arc, OnceLock};

use prometheus::{
    Encoder, Error, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use call::CallMetrics;
pub use embed::EmbedMetrics;
pub use fleet::FleetMetrics;
pub use label::{CallOutcome, FleetOutcome, Label, LoadRejection, Operation, Outcome, Reading, StatusClass, Warning};
pub use route::RouteMetrics;
pub use secret::{SecretMetrics, Validity};
pub use upstream::{LoadMetrics, UpstreamMetrics};

/// All families and their registry.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    calls: call::Families,
    embeds: embed::Families,
    upstreams: upstream::Families,
    routes: route::Families,
    secrets: secret::Families,
    refused: IntCounterVec,
    fleet: Arc<OnceLock<FleetMetrics>>,
}

impl Metrics {
    /// Registers all families.
    ///
    /// # Errors
    /// Two families of one name, which a test would have caught.
    pub fn new() -> Result<Metrics, Error> {
        let registry = Registry::new();
        let make = Maker { registry: &registry };
        let metrics = Metrics {
            calls: call::Families::register(&make)?,
            embeds: embed::Families::register(&make)?,
            upstreams: upstream::Families::register(&make)?,
            routes: route::Families::register(&make)?,
            secrets: secret::Families::register(&make)?,
            refused: make.counter("refused_requests_total", "Requests that were refused.", &["code"])?,
            fleet: Arc::default(),
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
        self.embeds.resolve(name)
    }

    /// The handles of one upstream.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        let operations = [Operation::ServiceToken, Operation::TokenInfo, Operation::Mint];
        self.upstreams.resolve(name, self.calls.resolve(name, &operations))
    }

    /// The handles of who vouches for viewers. The name is its key in the config.
    pub fn issuer(&self, name: &str) -> CallMetrics {
        self.calls.resolve(name, &[Operation::Jwks])
    }

    /// The handles of one route.
    pub fn route(&self, name: &str) -> RouteMetrics {
        self.routes.resolve(name)
    }

    /// The handles of the fleet's Redis, which are there from the first call on.
    ///
    /// # Errors
    /// Two families of one name, which a test would have caught.
    pub fn fleet(&self) -> Result<FleetMetrics, Error> {
        if let Some(fleet) = self.fleet.get() {
            return Ok(fleet.clone());
        }
        let fleet = FleetMetrics::register(&Maker { registry: &self.registry })?;
        Ok(self.fleet.get_or_init(|| fleet).clone())
    }

    /// The handle of one secret. The name is its key in the config.
    pub fn secret(&self, name: &str) -> SecretMetrics {
        self.secrets.resolve(name)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_series_of_the_contract_are_there() {
        let metrics = Metrics::new().unwrap();
        metrics.embed("sales").answered(Outcome::Hit, Duration::from_micros(60));
        let upstream = metrics.upstream("acme");
        upstream.calls.called(Operation::Mint, CallOutcome::Ok, Duration::from_millis(80));
        upstream.service_token_got(5, 1);
        upstream.loads.started(Duration::ZERO);
        metrics.secret("upstreams.acme.auth").read(Reading::Ok);
        metrics.secret("server.tls").valid(Some(Validity { starts: 3, ends: 7 }));
        metrics.refused(crate::model::Code::ForbiddenHost);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(!text.contains("sidemint_fleet"), "nothing that is not configured raises an alarm");
        let fleet = metrics.fleet().unwrap();
        fleet.up(true);
        metrics.fleet().unwrap().called(FleetOutcome::Ok, Duration::from_micros(300));
        let text = String::from_utf8(metrics.render()).unwrap();
        for line in [
            "sidemint_fleet_up 1",
            r#"sidemint_fleet_calls_total{outcome="ok"} 1"#,
            r#"sidemint_fleet_calls_total{outcome="denied"} 0"#,
            "sidemint_fleet_call_duration_seconds_count 1",
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
            r#"sidemint_secret_start_timestamp_seconds{secret="server.tls"} 3"#,
            r#"sidemint_secret_expiry_timestamp_seconds{secret="server.tls"} 7"#,
            r#"sidemint_refused_requests_total{code="forbidden_host"} 1"#,
            "process_open_fds ",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
