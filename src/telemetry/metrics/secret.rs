//! What is told of each secret.

use std::sync::Arc;

use prometheus::{Error, IntCounterVec, IntGaugeVec};

use super::Maker;
use super::label::{Counters, Reading};

#[derive(Clone)]
pub(super) struct Families {
    reloads: IntCounterVec,
    expiry: IntGaugeVec,
}

impl Families {
    pub(super) fn register(make: &Maker<'_>) -> Result<Families, Error> {
        Ok(Families {
            reloads: make.counter(
                "secret_reloads_total",
                "Readings of secret files that brought something new or failed.",
                &["secret", "outcome"],
            )?,
            expiry: make.gauge(
                "secret_expiry_timestamp_seconds",
                "When a certificate that is in use ends. Other secrets do not say when they do.",
                &["secret"],
            )?,
        })
    }

    pub(super) fn resolve(&self, name: &str) -> SecretMetrics {
        // From zero on: what begins with one is no increase to Prometheus.
        let reloads = Counters::resolve::<Reading>(&self.reloads, &[name]);
        SecretMetrics(Arc::new(Secret { name: name.to_owned(), reloads, expiry: self.expiry.clone() }))
    }
}

/// Of one secret.
#[derive(Clone)]
pub struct SecretMetrics(Arc<Secret>);

struct Secret {
    name: String,
    reloads: Counters,
    expiry: IntGaugeVec,
}

impl SecretMetrics {
    /// Its key in the config.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Counts a reading.
    pub fn read(&self, reading: Reading) {
        self.0.reloads.inc(reading);
    }

    /// Tells when it ends, in seconds since 1970. `None` where it does not say, or is used no longer.
    pub fn ends(&self, at: Option<i64>) {
        let expiry = &self.0.expiry;
        match at {
            Some(at) => expiry.with_label_values(&[self.name()]).set(at),
            // There need not be one.
            None => _ = expiry.remove_label_values(&[self.name()]),
        }
    }
}
