//! The broad token of an upstream. It is kept fresh for ever, whether somebody asks or not.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::config::{self, System};
use crate::lease::{Grant, Keeper, Lease, Policy, Rhythm, Source, Want};
use crate::lifecycle::Tasks;
use crate::model::{Clock, Fault, Lifetime, Moment, Token};
use crate::telemetry::metrics::UpstreamMetrics;
use crate::upstream::outcome_of;
use crate::vendor::{MintFault, Vendor};

/// Enough for the calls that use it.
pub(super) const MIN_LIFE: Duration = Duration::from_secs(120);
/// Enough for one call.
const LEAST_LIFE: Duration = Duration::from_secs(10);
/// In an outage down to what the vendor's SDKs keep as a margin (Azure Databricks rejects tokens with
/// 30 s or less left; the SDKs stop at 40).
pub(super) const STALE_UNTIL: Duration = Duration::from_secs(40);

/// How much life the service token of an upstream must have left.
fn policy(system: &System) -> Policy {
    match system {
        // What is minted with it ends with it, so it is the operator who says. Each mint asks for what
        // it needs besides.
        System::PowerBi(power_bi) => Policy::new(power_bi.service_token_min_life.max(LEAST_LIFE), LEAST_LIFE),
        System::Databricks(_) | System::BoldBi(_) => Policy::new(MIN_LIFE, STALE_UNTIL),
    }
}

/// The service token of one upstream.
pub struct ServiceTokens {
    lease: Arc<Lease<ServiceSource>>,
    keeper: Arc<Keeper<ServiceSource>>,
}

/// How the service token is doing.
pub struct ServiceStatus {
    /// Unix seconds, and how long that is from now.
    pub expires: Option<(i64, Duration)>,
    /// The last failure, if nothing succeeded since.
    pub failure: Option<Fault>,
    /// Whether there ever was one.
    pub was_got: bool,
}

impl ServiceTokens {
    /// The rhythm of service tokens: at most one in ten seconds for each upstream.
    pub fn keeper(clock: Clock, tasks: Tasks) -> Arc<Keeper<ServiceSource>> {
        let rhythm =
            Rhythm { floor: Duration::from_secs(10), idle: None, every: None, deadline: Duration::from_secs(60) };
        Keeper::start(clock, tasks, rhythm)
    }

    /// A lease on the service token of `vendor`, which begins with `seed` or to be fetched at once.
    pub fn new(
        config: &config::Upstream,
        vendor: Arc<Vendor>,
        metrics: Arc<UpstreamMetrics>,
        keeper: Arc<Keeper<ServiceSource>>,
        seed: Option<Grant<Token>>,
    ) -> ServiceTokens {
        let source = ServiceSource {
            name: config.name.clone(),
            policy: policy(&config.system),
            vendor,
            metrics,
            clock: keeper.clock().clone(),
            retired: AtomicBool::new(false),
            was_got: AtomicBool::new(false),
        };
        let lease = Lease::new(source);
        match seed {
            Some(grant) => {
                lease.source().was_got.store(true, Ordering::Relaxed);
                lease.adopt(&keeper, grant);
            }
            // As if somebody waited: the start should not fail for one lost packet.
            None => lease.fetch_now(&keeper),
        }
        ServiceTokens { lease, keeper }
    }

    /// A token to call the vendor with, with at least so much life left: an older one is renewed first.
    /// Where the vendor has no better, or is out of reach, what there is.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self, life: Duration) -> Result<Grant<Token>, Fault> {
        let policy = self.lease.source().policy.raised_to(life);
        self.lease.ask(&self.keeper, &policy).await.map(|(grant, _)| grant)
    }

    /// The same where it needs no wait.
    pub(super) fn at_hand(&self) -> Option<Result<Grant<Token>, Fault>> {
        let answer = self.lease.at_hand(&self.keeper, &self.lease.source().policy)?;
        Some(answer.map(|(grant, _)| grant))
    }

    /// Calls the vendor with a service token that has so much life left, as far as one can be had. One
    /// that the vendor refuses is replaced, and the call is made once more.
    ///
    /// # Errors
    /// Those of `call`, or why there is no service token.
    pub(super) async fn call_with<T, F>(&self, life: Duration, call: impl Fn(Grant<Token>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, MintFault>>,
    {
        let service = self.token(life).await?;
        let fault = match call(service.clone()).await {
            Err(MintFault::ServiceTokenRefused(fault)) => fault,
            result => {
                self.proved(&service, result.is_ok());
                return result.map_err(Fault::from);
            }
        };
        let Some(another) = self.another(&service, life).await else {
            // Where no other one can be had, that is the reason, and what passes or has to be mended.
            return Err(self.failure().unwrap_or(fault));
        };
        tracing::warn!(upstream = %self.lease.source().name, detail = fault.detail(), "the service token was refused");
        let another = another?;
        let result = call(another.clone()).await;
        self.proved(&another, result.is_ok());
        result.map_err(Fault::from)
    }

    /// A call with this token went well, or not.
    pub(super) fn proved(&self, token: &Grant<Token>, well: bool) {
        if well {
            self.lease.proved(&token.item);
        }
    }

    /// Another token than this one, which the vendor refused; `None` where that is not worth a try.
    pub(super) async fn another(&self, refused: &Grant<Token>, life: Duration) -> Option<Result<Grant<Token>, Fault>> {
        let policy = self.lease.source().policy.raised_to(life);
        let answer = self.lease.another(&self.keeper, &policy, &refused.item).await?;
        Some(answer.map(|(grant, _)| grant))
    }

    /// Why no newer token could be had, if that failed.
    pub fn failure(&self) -> Option<Fault> {
        self.lease.failure_to_tell(self.keeper.clock().now())
    }

    /// The time, by the clock that service tokens are judged by.
    pub fn now(&self) -> Moment {
        self.keeper.clock().now()
    }

    /// For people and probes.
    pub fn status(&self) -> ServiceStatus {
        let now = self.keeper.clock().now();
        let held = self.lease.held().map(|held| held.lifetime);
        ServiceStatus {
            expires: held.map(|life| (life.expires_at(), life.remaining(now))),
            failure: self.lease.failure(),
            was_got: self.lease.source().was_got.load(Ordering::Relaxed),
        }
    }

    /// What is held, for a successor after a reload.
    pub fn held(&self) -> Option<Grant<Token>> {
        self.lease.held()
    }

    pub(super) fn retire(&self) {
        self.lease.source().retired.store(true, Ordering::Relaxed);
    }
}

/// Where service tokens come from.
pub struct ServiceSource {
    name: String,
    policy: Policy,
    vendor: Arc<Vendor>,
    metrics: Arc<UpstreamMetrics>,
    clock: Clock,
    retired: AtomicBool,
    was_got: AtomicBool,
}

impl Source for ServiceSource {
    type Item = Token;

    async fn fetch(&self, want: Want) -> Result<(Token, Lifetime), Fault> {
        let result = self.vendor.service_token(want.urgency).await;
        if self.is_retired() {
            return result; // A successor of the same name counts for itself.
        }
        match &result {
            Ok((token, life)) => {
                self.was_got.store(true, Ordering::Relaxed);
                self.metrics.service_token_got(life.expires_at(), self.clock.now().unix_seconds());
                let (upstream, seconds) = (&self.name, life.ttl().as_secs());
                tracing::info!(%upstream, token = token.fingerprint(), seconds, "got a service token");
            }
            Err(fault) if fault.is_remembered() => {}
            Err(fault) => {
                self.metrics.service_token_failed(outcome_of(fault));
                tracing::warn!(upstream = %self.name, code = fault.code().as_str(), detail = fault.detail(), "no service token");
            }
        }
        result
    }

    fn policy(&self) -> Policy {
        self.policy
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }
}
