//! Service tokens that are good for less than the broad one: for one Databricks App (`audience`), or with fewer
//! rights (`scope`). Leased like everything else, each once however many ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use super::Upstream;
use super::service::{MIN_LIFE, STALE_UNTIL};
use crate::lease::{Grant, Keeper, Lease, Policy, Rhythm, Source, Want};
use crate::lifecycle::Tasks;
use crate::model::{Clock, Fault, Lifetime, Token};

/// Narrowings that are remembered. Apps ask for a handful; a caller who makes them up costs no more memory.
const MOST: u64 = 256;
/// Not renewed when nobody asked for so long.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// In what a service token is to be less than the broad one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Narrowing {
    /// The OAuth client id of the app that it is good for.
    pub audience: Option<String>,
    /// The rights that it carries, in the vendor's words.
    pub scope: Option<String>,
}

/// All of them.
pub struct NarrowedTokens {
    keeper: Arc<Keeper<NarrowedSource>>,
    leases: Cache<(String, Narrowing), Arc<Lease<NarrowedSource>>>,
    making: Mutex<()>,
}

/// One of them.
#[derive(Clone)]
pub struct Narrowed {
    lease: Arc<Lease<NarrowedSource>>,
    keeper: Arc<Keeper<NarrowedSource>>,
}

impl NarrowedTokens {
    /// None yet.
    pub fn new(clock: Clock, tasks: Tasks) -> NarrowedTokens {
        let floor = Duration::from_secs(10);
        let rhythm = Rhythm { floor, idle: Some(IDLE), every: None, deadline: Duration::from_secs(60) };
        NarrowedTokens {
            keeper: Keeper::start(clock, tasks, rhythm),
            leases: Cache::builder().max_capacity(MOST).time_to_idle(IDLE * 2).build(),
            making: Mutex::default(),
        }
    }

    /// The one of this upstream and narrowing.
    pub fn of(&self, upstream: &Arc<Upstream>, narrowing: Narrowing) -> Narrowed {
        let key = (upstream.config.name.clone(), narrowing);
        // Event loops may ask for the same one at once.
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.leases.get(&key);
        let lease = match held {
            Some(lease) if Arc::ptr_eq(&lease.source().upstream, upstream) => lease,
            old => {
                let source = NarrowedSource { upstream: Arc::clone(upstream), narrowing: key.1.clone() };
                let lease = Lease::new(source);
                // A change of a timeout is no reason to be without a token while the vendor is down.
                let same = old.filter(|old| old.source().upstream.is_same_principal(&upstream.config));
                if let Some(grant) = same.and_then(|old| old.held()) {
                    lease.adopt(&self.keeper, grant);
                }
                self.leases.insert(key, Arc::clone(&lease));
                lease
            }
        };
        Narrowed { lease, keeper: Arc::clone(&self.keeper) }
    }
}

impl Narrowed {
    pub(super) async fn token(&self) -> Result<Grant<Token>, Fault> {
        self.lease.ask(&self.keeper, &self.lease.source().policy()).await.map(|(grant, _)| grant)
    }

    pub(super) fn at_hand(&self) -> Option<Result<Grant<Token>, Fault>> {
        let answer = self.lease.at_hand(&self.keeper, &self.lease.source().policy())?;
        Some(answer.map(|(grant, _)| grant))
    }

    pub(super) async fn another(&self, refused: &Grant<Token>) -> Option<Result<Grant<Token>, Fault>> {
        let answer = self.lease.another(&self.keeper, &self.lease.source().policy(), &refused.item).await?;
        Some(answer.map(|(grant, _)| grant))
    }

    pub(super) fn failure(&self) -> Option<Fault> {
        self.lease.failure_to_tell(self.keeper.clock().now())
    }

    pub(super) fn proved(&self, token: &Grant<Token>) {
        self.lease.proved(&token.item);
    }
}

/// Where they come from.
pub struct NarrowedSource {
    upstream: Arc<Upstream>,
    narrowing: Narrowing,
}

impl Source for NarrowedSource {
    type Item = Token;

    async fn fetch(&self, want: Want) -> Result<(Token, Lifetime), Fault> {
        let (vendor, narrowing) = (&self.upstream.vendor, &self.narrowing);
        let narrow = |service: Option<Grant<Token>>| async move {
            vendor
                .narrowed_token(
                    service.as_ref(),
                    narrowing.audience.as_deref(),
                    narrowing.scope.as_deref(),
                    want.urgency,
                )
                .await
        };
        let result = self.upstream.call(want.life, narrow).await;
        let upstream = &self.upstream.config.name;
        match &result {
            Ok((token, life)) => {
                let seconds = life.ttl().as_secs();
                tracing::info!(%upstream, token = token.fingerprint(), seconds, "got a narrowed service token");
            }
            Err(fault) if fault.is_remembered() => {}
            Err(fault) => {
                let (code, detail) = (fault.code().as_str(), fault.detail());
                tracing::warn!(%upstream, code, detail, "no narrowed service token");
            }
        }
        result
    }

    fn policy(&self) -> Policy {
        Policy::new(MIN_LIFE, STALE_UNTIL)
    }

    fn is_retired(&self) -> bool {
        self.upstream.is_retired()
    }
}
