//! One tightly scoped token per viewer and embed.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::store::{Key, Store};
use super::{Embed, IdRules, ServiceTokens};
use crate::config::{Cache, Item};
use crate::lease::{Grant, How, Keeper, Lease, Policy, Rhythm, Source, Want};
use crate::lifecycle::Tasks;
use crate::model::clock::rfc3339;
use crate::model::secret::ShortHex;
use crate::model::{Clock, Code, Fault, Lifetime, Token, Viewer};
use crate::telemetry::metrics::{UpstreamMetrics, Warning};
use crate::vendor::{Beside, Mint, MintFault, Minted};

/// All viewer tokens.
pub struct ViewerTokens {
    store: Arc<Store>,
    keeper: Arc<Keeper<ViewerSource>>,
}

/// A viewer token as it is kept: with all that a reply needs, ready to be copied.
pub struct ViewerToken {
    /// The token.
    pub token: Token,
    /// RFC 3339.
    pub expires_at: Box<str>,
    /// What came with it.
    pub beside: Option<Box<Beside>>,
}

/// One ask, with its lease found.
pub struct Asked<'a> {
    tokens: &'a ViewerTokens,
    lease: Arc<Lease<ViewerSource>>,
}

impl Asked<'_> {
    /// What can be answered from memory; `None` means that [`Asked::wait`] would wait.
    pub fn at_hand(&self, policy: &Policy) -> Option<Result<Served, Fault>> {
        let answer = self.lease.at_hand(&self.tokens.keeper, policy)?;
        Some(answer.map(|(grant, how)| Served { grant, how, lease: Arc::clone(&self.lease) }))
    }

    /// The token: from memory, or minted.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn wait(&self, policy: &Policy) -> Result<Served, Fault> {
        let (grant, how) = self.lease.ask(&self.tokens.keeper, policy).await?;
        Ok(Served { grant, how, lease: Arc::clone(&self.lease) })
    }
}

/// How one ask was met.
pub struct Served {
    /// The token and its life.
    pub grant: Grant<ViewerToken>,
    /// From where.
    pub how: How,
    /// Its lease.
    pub lease: Arc<Lease<ViewerSource>>,
}

impl Served {
    /// The viewer's keyed hash, for the audit trail.
    pub fn viewer_hash(&self) -> &str {
        self.lease.source().viewer_hash.as_str()
    }
}

thread_local! {
    /// Keys are built here, so that a hit allocates none.
    static KEY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl ViewerTokens {
    /// An empty cache, with its keeper at work.
    pub fn new(cache: &Cache, clock: Clock, tasks: Tasks) -> ViewerTokens {
        let rhythm = Rhythm {
            floor: Duration::from_secs(10),
            idle: Some(cache.idle),
            every: None,
            // Three operations, each with a deadline of its own in the config; this is the last resort.
            deadline: Duration::from_secs(60),
        };
        ViewerTokens { store: Arc::new(Store::new(cache.max_size)), keeper: Keeper::start(clock, tasks, rhythm) }
    }

    /// Looks up the token of this viewer for this embed.
    pub fn token(&self, embed: &Arc<Embed>, viewer: &Viewer, ids: &IdRules) -> Asked<'_> {
        Asked { tokens: self, lease: self.lease(embed, viewer, ids) }
    }

    /// Tokens in memory, and their estimated bytes.
    pub fn size(&self) -> (u64, u64) {
        self.store.size()
    }

    fn lease(&self, embed: &Arc<Embed>, viewer: &Viewer, ids: &IdRules) -> Arc<Lease<ViewerSource>> {
        KEY.with_borrow_mut(|buffer| {
            buffer.clear();
            embed.write_key(buffer, viewer);
            self.store.get(buffer).unwrap_or_else(|| {
                self.store.get_or_make(buffer, |key| Lease::new(self.source(embed, viewer, ids, key)))
            })
        })
    }

    fn source(&self, embed: &Arc<Embed>, viewer: &Viewer, ids: &IdRules, key: Key) -> ViewerSource {
        ViewerSource {
            embed: Arc::clone(embed),
            viewer: ids.outward(&embed.config.item, viewer),
            viewer_hash: ids.pseudonyms.short(&viewer.id),
            key,
            store: Arc::downgrade(&self.store),
        }
    }
}

/// Where a viewer token comes from.
pub struct ViewerSource {
    embed: Arc<Embed>,
    /// As the vendor is to know them.
    viewer: Viewer,
    viewer_hash: ShortHex,
    key: Key,
    store: Weak<Store>,
}

/// What an entry costs beside its texts: lease, source, moka's own books. Measured with the load
/// benchmark, which prints the resident size with 100,000 tokens.
const ENTRY_OVERHEAD: usize = 850;
/// The ends of tokens are whole seconds.
const ROUNDING: Duration = Duration::from_secs(5);
/// What a new token must live longer than the old one to be worth a mint, or a tenth of a short life.
const WORTHWHILE: Duration = Duration::from_secs(60);
/// A box and what is in it besides texts.
const PAGE_OVERHEAD: usize = 100;

impl ViewerSource {
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn upstream_metrics(&self) -> &UpstreamMetrics {
        &self.embed.upstream.metrics
    }

    pub(super) fn weight(&self, item: Option<&ViewerToken>) -> u32 {
        let token = item.map_or(0, |item| item.token.expose().len());
        let beside = match item.and_then(|item| item.beside.as_deref()) {
            Some(Beside::Page(_)) => PAGE_OVERHEAD,
            Some(Beside::Answer(answer)) => answer.expose().len() + PAGE_OVERHEAD,
            None => 0,
        };
        u32::try_from(token + weight_of(&self.viewer) + beside + self.key.len() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
    }

    /// Mints with a service token that lives longer than what is wanted, since some vendors let the
    /// one end with the other.
    async fn mint(&self, want: Want) -> Result<Minted, Fault> {
        let upstream = &self.embed.upstream;
        let details = match &self.embed.details {
            Some(details) => Some(details.get().await?),
            None => None,
        };
        let mint = &Mint {
            embed: &self.embed.config.name,
            item: &self.embed.config.item,
            details: details.as_deref(),
            viewer: &self.viewer,
        };
        let attempt = |service: Option<Grant<Token>>| async move {
            if let Some((tokens, token)) = self.parent().zip(service.as_ref()) {
                self.refuse_vain(tokens, token, &want)?;
            }
            upstream.vendor.mint(service.as_ref(), mint, want.urgency).await
        };
        let minted = upstream.call(self.parent_life(&want), attempt).await;
        if let (Err(fault), Some(details)) = (&minted, &self.embed.details)
            && matches!(fault.code(), Code::Rejected | Code::UpstreamNotFound)
        {
            details.doubt();
        }
        minted
    }

    /// The service tokens, where the one ends with the other.
    fn parent(&self) -> Option<&ServiceTokens> {
        self.embed.upstream.service.as_ref().filter(|_| self.ends_with_another())
    }

    /// The life that the service token must have left where the one ends with the other: what is wanted
    /// and the time that a mint may take. A renewal is for a longer life, so half of what the old token
    /// has lost is to be won back.
    fn parent_life(&self, want: &Want) -> Duration {
        let Some(parent) = self.parent() else { return Duration::ZERO };
        let margin = ROUNDING + self.embed.upstream.config.timeouts.request.min(want.life / 10);
        let renewed = want.held.map_or(Duration::ZERO, |held| {
            let left = held.remaining(parent.now());
            left + (held.ttl().saturating_sub(left) / 2).max(worthwhile(&held))
        });
        renewed.max(want.life + margin)
    }

    /// While no service token can be had that ends later than what is held does, minting with the old
    /// one would bring the same end again, for each viewer and more often the nearer it comes. And in
    /// an outage a new token must not have less life than an old one may have.
    fn refuse_vain(&self, tokens: &ServiceTokens, service: &Grant<Token>, want: &Want) -> Result<(), MintFault> {
        let left = service.lifetime.remaining(tokens.now());
        let reason = tokens.failure();
        let worth = want.held.is_none_or(|held| {
            let of_held = held.remaining(tokens.now());
            of_held.is_zero() || left > of_held + worthwhile(&held) / 2
        });
        if worth && (reason.is_none() || left >= self.embed.config.stale_until) {
            return Ok(());
        }
        let reason = reason.filter(Fault::spares_held_tokens);
        let fault = reason.unwrap_or_else(|| Fault::new(Code::Unavailable, "there is no longer-lived service token"));
        Err(MintFault::Other(fault.remembered()))
    }

    fn warn(&self, minted: &Minted, want: &Want) {
        let promised = want.life.max(self.embed.config.min_ttl);
        let is_databricks = matches!(self.embed.config.item, Item::Databricks { .. });
        let found = [
            (minted.lifetime.ttl() < promised, Warning::ShortLived),
            // Only Databricks' page client reads the token.
            (is_databricks && minted.token.breaks_atob(), Warning::BrowserUnsafePayload),
            (minted.lacks_claim, Warning::MissingClaim),
        ];
        for (_, warning) in found.into_iter().filter(|(found, _)| *found) {
            self.embed.metrics.warned(warning);
            tracing::warn!(embed = %self.embed.config.name, ?warning, token = minted.token.fingerprint(), "a viewer token has a flaw");
        }
    }
}

fn weight_of(viewer: &Viewer) -> usize {
    let roles: usize = viewer.roles.iter().map(|role| role.len() + size_of::<String>()).sum();
    let attribute = |(name, value): (&String, &String)| name.len() + value.len() + 2 * size_of::<String>();
    let attributes: usize = viewer.attributes.iter().map(attribute).sum();
    viewer.id.len() + viewer.value.as_ref().map_or(0, String::len) + roles + attributes
}

fn worthwhile(held: &Lifetime) -> Duration {
    WORTHWHILE.min(held.ttl() / 10)
}

impl Source for ViewerSource {
    type Item = ViewerToken;

    async fn fetch(&self, want: Want) -> Result<(ViewerToken, Lifetime), Fault> {
        let minted = self.mint(want).await.inspect_err(|fault| {
            if fault.is_remembered() {
                return; // It was told when it happened.
            }
            let (embed, upstream) = (&self.embed.config.name, &self.embed.upstream.config.name);
            tracing::warn!(%embed, %upstream, viewer = self.viewer_hash.as_str(), code = fault.code().as_str(), detail = fault.detail(), "no viewer token");
        })?;
        self.warn(&minted, &want);
        let expires_at = rfc3339(minted.lifetime.expires_at()).into();
        let beside = minted.beside.map(Box::new);
        Ok((ViewerToken { token: minted.token, expires_at, beside }, minted.lifetime))
    }

    fn policy(&self) -> Policy {
        self.embed.policy()
    }

    fn ends_with_another(&self) -> bool {
        matches!(self.embed.config.item, Item::PowerBi(_))
    }

    fn landed(lease: &Arc<Lease<Self>>, outcome: Result<(), &Fault>) {
        if let Some(store) = lease.source().store.upgrade() {
            store.landed(lease, outcome.is_ok());
        }
    }

    fn lapsed(&self) {
        if let Some(store) = self.store.upgrade() {
            store.drop_expired(self);
        }
    }

    fn is_retired(&self) -> bool {
        self.embed.is_retired()
    }
}
