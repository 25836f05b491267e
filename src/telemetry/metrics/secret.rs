//! What is told of each secret.

use std::sync::Arc;

use prometheus::{Error, IntCounterVec, IntGaugeVec};

use super::Maker;
use super::label::{Counters, Reading};

#[derive(Clone)]
pub(super) struct Families {
    reloads: IntCounterVec,
    start: IntGaugeVec,
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
            start: make.gauge(
                "secret_start_timestamp_seconds",
                "When a certificate that is in use began. What is left of its life is judged by the whole of it.",
                &["secret"],
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
        let (start, expiry) = (self.start.clone(), self.expiry.clone());
        SecretMetrics(Arc::new(Secret { name: name.to_owned(), reloads, start, expiry }))
    }
}

/// From when to when a secret is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub starts: i64,
    /// `notAfter`.
    pub ends: i64,
}

/// Of one secret.
#[derive(Clone)]
pub struct SecretMetrics(Arc<Secret>);

struct Secret {
    name: String,
    reloads: Counters,
    start: IntGaugeVec,
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

    /// Tells how long it is good. `None` where it does not say, or is used no longer.
    pub fn valid(&self, validity: Option<Validity>) {
        for (gauge, at) in [
            (&self.0.start, validity.map(|validity| validity.starts)),
            (&self.0.expiry, validity.map(|validity| validity.ends)),
        ] {
            match at {
                Some(at) => gauge.with_label_values(&[self.name()]).set(at),
                // There need not be one.
                None => _ = gauge.remove_label_values(&[self.name()]),
            }
        }
    }
}
