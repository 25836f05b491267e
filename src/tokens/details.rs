//! What has to be known of an item before tokens are minted for it, leased like everything else: one
//! look-up for all viewers, renewed now and then, since reports move and are bound to other datasets.

use std::sync::Arc;
use std::time::Duration;

use super::Upstream;
use crate::config;
use crate::lease::{Grant, Keeper, Lease, Policy, Rhythm, Source, Want};
use crate::lifecycle::Tasks;
use crate::model::{Clock, Fault, Lifetime, Token};
use crate::vendor::Details;

/// Looked up again after so long, as long as somebody asks.
const RENEWED_AFTER: Duration = Duration::from_secs(3600);
/// In an outage good for so long.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);
/// A mint that the vendor refuses may be the first sign of a change; a look-up younger than this is
/// not the reason.
const DOUBTED_AFTER: Duration = Duration::from_secs(60);
const POLICY: Policy = Policy { min_ttl: Duration::ZERO, asked: Duration::ZERO, stale_until: Duration::ZERO };

/// The details of one embed.
pub struct ItemDetails {
    lease: Arc<Lease<DetailsSource>>,
    keeper: Arc<Keeper<DetailsSource>>,
}

impl ItemDetails {
    /// The rhythm of look-ups.
    pub fn keeper(clock: Clock, tasks: Tasks) -> Arc<Keeper<DetailsSource>> {
        let floor = Duration::from_secs(10);
        let rhythm = Rhythm { floor, idle: Some(RENEWED_AFTER), every: None, deadline: Duration::from_secs(60) };
        Keeper::start(clock, tasks, rhythm)
    }

    /// Details that nobody has looked up yet.
    pub fn new(upstream: Arc<Upstream>, embed: Arc<config::Embed>, keeper: Arc<Keeper<DetailsSource>>) -> ItemDetails {
        let clock = keeper.clock().clone();
        ItemDetails { lease: Lease::new(DetailsSource { upstream, embed, clock }), keeper }
    }

    /// The details: from memory, or looked up.
    pub(super) async fn get(&self) -> Result<Arc<Details>, Fault> {
        self.lease.ask(&self.keeper, &POLICY).await.map(|(grant, _)| grant.item)
    }

    /// The vendor refused a mint that was made with them: it may be their age.
    pub(super) fn doubt(&self) {
        let now = self.keeper.clock().now();
        let is_old = self.lease.held().is_some_and(|held| now.since(held.lifetime.start()) > DOUBTED_AFTER);
        // A look-up that fails is tried again at the keeper's pace.
        if is_old && self.lease.failure().is_none() {
            self.lease.renew_now(&self.keeper);
        }
    }
}

/// Where details come from.
pub struct DetailsSource {
    upstream: Arc<Upstream>,
    embed: Arc<config::Embed>,
    clock: Clock,
}

impl Source for DetailsSource {
    type Item = Details;

    async fn fetch(&self, want: Want) -> Result<(Details, Lifetime), Fault> {
        let start = self.clock.now();
        let (vendor, item) = (&self.upstream.vendor, &self.embed.item);
        let look_up =
            |service: Option<Grant<Token>>| async move { vendor.look_up(service.as_ref(), item, want.urgency).await };
        let details = self.upstream.call(Duration::ZERO, look_up).await?;
        Ok((details, Lifetime::new(start, GOOD_FOR).to_be_renewed_after(RENEWED_AFTER)))
    }

    fn policy(&self) -> Policy {
        POLICY
    }

    fn is_retired(&self) -> bool {
        self.upstream.is_retired()
    }
}
