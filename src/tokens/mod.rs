//! Service tokens and viewer tokens, leased: the one place that knows which token answers which ask.

mod bearer;
mod details;
mod ids;
mod key;
mod narrowed;
mod service;
mod store;
mod viewer;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub use bearer::Bearer;
pub use details::{DetailsSource, ItemDetails};
pub use ids::{IdRules, check};
pub use narrowed::{Narrowed, NarrowedSource, NarrowedTokens, Narrowing};
pub use service::{ServiceSource, ServiceStatus, ServiceTokens};
pub use viewer::{Asked, Served, ViewerSource, ViewerToken, ViewerTokens};

use crate::config;
use crate::lease::{Grant, Policy};
use crate::limit::Limiter;
use crate::model::{Fault, Token, Viewer};
use crate::telemetry::audit;
use crate::telemetry::metrics::{EmbedMetrics, UpstreamMetrics};
use crate::vendor::{MintFault, Vendor};

/// A vendor system at work.
pub struct Upstream {
    /// What it was made from.
    pub config: Arc<config::Upstream>,
    /// Its wire.
    pub vendor: Arc<Vendor>,
    /// Its service token, where the vendor has such a thing.
    pub service: Option<ServiceTokens>,
    /// How fast its dashboards may start, if there is a limit.
    pub limiter: Option<Arc<Limiter>>,
    /// Its metrics.
    pub metrics: Arc<UpstreamMetrics>,
    retired: AtomicBool,
}

impl Upstream {
    /// Puts the parts together.
    pub fn new(
        config: Arc<config::Upstream>,
        vendor: Arc<Vendor>,
        service: Option<ServiceTokens>,
        limiter: Option<Arc<Limiter>>,
        metrics: Arc<UpstreamMetrics>,
    ) -> Upstream {
        Upstream { config, vendor, service, limiter, metrics, retired: AtomicBool::new(false) }
    }

    /// Ends renewals: the config names this upstream no more, or names another one so.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.service.iter().for_each(ServiceTokens::retire);
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Calls the vendor, with a service token that has so much life left where the vendor has such things.
    async fn call<T, F>(&self, life: Duration, call: impl Fn(Option<Grant<Token>>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, MintFault>>,
    {
        match &self.service {
            Some(service) => service.call_with(life, |token| call(Some(token))).await,
            None => call(None).await.map_err(Fault::from),
        }
    }

    /// Whether `other` is the same principal at the same workspace, so that its service token is ours.
    pub fn is_same_principal(&self, other: &config::Upstream) -> bool {
        self.config.system.is_same_principal(&other.system)
    }
}

/// A named thing that can be shown.
pub struct Embed {
    /// What it was made from.
    pub config: Arc<config::Embed>,
    /// Who shows it.
    pub upstream: Arc<Upstream>,
    /// Its metrics.
    pub metrics: EmbedMetrics,
    /// What has to be looked up before tokens are minted, where something has to be.
    details: Option<ItemDetails>,
    /// Its name and its upstream's, as the audit trail writes them.
    pub place: String,
    /// Tells this one from another of the same name before or after a reload: see [`key::embed`].
    generation: u64,
    retired: AtomicBool,
}

impl Embed {
    /// Puts the parts together.
    pub fn new(
        config: Arc<config::Embed>,
        upstream: Arc<Upstream>,
        metrics: EmbedMetrics,
        details: Option<ItemDetails>,
    ) -> Embed {
        static GENERATIONS: AtomicU64 = AtomicU64::new(0);
        Embed {
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            place: audit::place(&config.name, &config.upstream.name),
            config,
            upstream,
            metrics,
            details,
            retired: AtomicBool::new(false),
        }
    }

    /// Ends renewals: the config has this embed no more, or another one in its place.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed) || self.upstream.is_retired()
    }

    /// Appends the key of this viewer's token.
    #[doc(hidden)]
    pub fn write_key(&self, buffer: &mut Vec<u8>, viewer: &Viewer) {
        key::embed(buffer, self.generation);
        key::viewer(buffer, viewer);
    }

    /// How much life its tokens must have left.
    pub fn policy(&self) -> Policy {
        Policy::new(self.config.min_ttl, self.config.stale_until)
    }
}

#[cfg(test)]
mod tests;
