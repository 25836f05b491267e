//! Closed sets of label values, and series that are resolved once.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

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
    /// How a call to the Redis of the fleet ended.
    FleetOutcome {
        Ok "ok", Timeout "timeout", Connect "connect", Denied "denied", ServerError "server_error",
    }
    /// The class of a response's status (RFC 9110 section 15).
    StatusClass {
        Informational "1xx", Success "2xx", Redirection "3xx", ClientError "4xx", ServerError "5xx",
    }
    /// How a reading of a secret went.
    Reading { Ok "ok", Unreadable "unreadable", Empty "empty", Unusable "unusable", Rejected "rejected" }
}

/// One counter for each value of a closed set, resolved once.
#[derive(Clone)]
pub(super) struct Counters(Vec<IntCounter>);

impl Counters {
    pub(super) fn resolve<L: Label>(vec: &IntCounterVec, before: &[&str]) -> Counters {
        Counters(L::ALL.iter().map(|value| vec.with_label_values(&with(before, value))).collect())
    }

    pub(super) fn inc(&self, label: impl Label) {
        if let Some(counter) = self.0.get(label.index()) {
            counter.inc();
        }
    }
}

/// One histogram for each value of a closed set, made when first used: sixteen lines each.
pub(super) struct Histograms {
    vec: HistogramVec,
    before: String,
    values: &'static [&'static str],
    made: Vec<OnceLock<Histogram>>,
}

impl Histograms {
    pub(super) fn resolve<L: Label>(vec: &HistogramVec, before: &str) -> Histograms {
        let made = L::ALL.iter().map(|_| OnceLock::new()).collect();
        Histograms { vec: vec.clone(), before: before.to_owned(), values: L::ALL, made }
    }

    pub(super) fn observe(&self, label: impl Label, elapsed: Duration) {
        let (Some(slot), Some(value)) = (self.made.get(label.index()), self.values.get(label.index())) else {
            return;
        };
        slot.get_or_init(|| self.vec.with_label_values(&[self.before.as_str(), value])).observe(elapsed.as_secs_f64());
    }
}

fn with<'a>(before: &[&'a str], value: &'a str) -> Vec<&'a str> {
    before.iter().copied().chain([value]).collect()
}
