//! What outlives a reload, and how a config becomes a snapshot of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::workshop::Workshop;
use crate::api::{Caller, Passage, Show, Snapshot};
use crate::config::{self, Config, Environment, KeysFrom, Listen};
use crate::edge::guard::Rules;
use crate::edge::{Identities, Identity};
use crate::identity::{Issuer, KeySet, KeySource};
use crate::lease::Keeper;
use crate::lifecycle::Tasks;
use crate::limit::fleet::Redis;
use crate::limit::{Limiters, Replica};
use crate::model::{Clock, Secret};
use crate::secrets::{SecretLease, Text, Vault};
use crate::telemetry::Metrics;
use crate::tokens::{
    Bearer, DetailsSource, Embed, IdRules, ItemDetails, NarrowedTokens, Narrowing, ServiceSource, ServiceTokens,
    Upstream,
};
use crate::vendor::needs_details;

/// What outlives a reload.
pub(super) struct Parts {
    clock: Clock,
    metrics: Metrics,
    limiters: Limiters,
    vault: Vault,
    service_keeper: Arc<Keeper<ServiceSource>>,
    details_keeper: Arc<Keeper<DetailsSource>>,
    issuer_keeper: Arc<Keeper<KeySource>>,
    pub(super) narrowed: Arc<NarrowedTokens>,
    tasks: Tasks,
}

impl Parts {
    pub(super) fn new(clock: &Clock, tasks: &Tasks, metrics: &Metrics, environment: Environment) -> Parts {
        Parts {
            limiters: Limiters::new(clock.clone(), tasks.clone(), None),
            vault: Vault::new(clock.clone(), tasks.clone(), metrics.clone(), environment),
            service_keeper: ServiceTokens::keeper(clock.clone(), tasks.clone()),
            details_keeper: ItemDetails::keeper(clock.clone(), tasks.clone()),
            issuer_keeper: Issuer::keeper(clock.clone(), tasks.clone()),
            narrowed: Arc::new(NarrowedTokens::new(clock.clone(), tasks.clone())),
            metrics: metrics.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
        }
    }

    /// From now on all limits are those of the fleet. It stays the same until a restart.
    pub(super) async fn join_fleet(&mut self, fleet: &config::Fleet, places: &[Listen]) -> Result<(), String> {
        let password = match &fleet.password {
            Some(password) => Some(self.vault.open("fleet.password", password).await?),
            None => None,
        };
        let metrics = self.metrics.fleet().map_err(|error| format!("metrics: {error}"))?;
        let redis = Redis::new(fleet, password, metrics.clone(), self.tasks.clone())?;
        // The same after a restart in the same pod.
        let host = rustix::system::uname();
        let called = format!("{}\n{places:?}", host.nodename().to_string_lossy());
        let replica = Replica::new(fleet, &called, redis, metrics, self.clock.clone());
        self.limiters = Limiters::new(self.clock.clone(), self.tasks.clone(), Some(Arc::new(replica)));
        Ok(())
    }

    /// The last word to the fleet.
    pub(super) async fn leave_fleet(&self) {
        self.limiters.leave().await;
    }

    /// What TLS listeners show and ask for, as their files have it at each moment.
    pub(super) async fn identities(&self, server: &config::Server) -> Result<Option<Identities>, String> {
        let Some(tls) = server.tls.clone() else { return Ok(None) };
        let paths = [&tls.cert_file, &tls.key_file].into_iter().chain(&tls.client_ca_file).cloned().collect();
        let made = self.vault.watch("server.tls", paths, move |texts| Identity::new(&tls, texts)).await?;
        Ok(Some(Arc::new(move || made.current().ok())))
    }

    pub(super) async fn snapshot(
        &self,
        config: Arc<Config>,
        places: &[Listen],
        old: Option<&Snapshot>,
    ) -> Result<Snapshot, String> {
        let server = &config.server;
        let caller = match &server.caller_token {
            Some(secret) => match old.filter(|old| old.config.server.caller_token.as_ref() == Some(secret)) {
                // The same file goes on being the same lease, with the secret before in it.
                Some(Snapshot { caller: Caller::Secret(lease), .. }) => Caller::Secret(lease.clone()),
                _ => Caller::Secret(caller_secret(self.vault.open("server.caller_token", secret).await?)?),
            },
            None if server.require_header => Caller::Header,
            None => Caller::Anyone,
        };
        let ids = self.id_rules(&config, old).await?;
        let issuer = self.issuer(&config, old).await?;
        let mut upstreams = BTreeMap::new();
        for (name, upstream) in &config.upstreams {
            let same = old.and_then(|old| old.upstreams.get(name)).filter(|old| old.config == *upstream);
            let upstream = match same {
                Some(same) => Arc::clone(same),
                None => Arc::new(self.upstream(upstream, old.and_then(|old| old.upstreams.get(name))).await?),
            };
            upstreams.insert(name.clone(), upstream);
        }
        let embeds = config.embeds.iter().filter_map(|(name, embed)| {
            let upstream = upstreams.get(&embed.upstream.name)?;
            let same = old.filter(|old| Arc::ptr_eq(&old.ids, &ids)).and_then(|old| old.embeds.get(name));
            let is_same =
                |old: &&Arc<Show>| old.embed().config == *embed && Arc::ptr_eq(&old.embed().upstream, upstream);
            let show = same
                .filter(is_same)
                .cloned()
                .unwrap_or_else(|| Arc::new(Show::new(Arc::new(self.embed(embed, upstream)))));
            Some((name.clone(), show))
        });
        let mut routes = HashMap::new();
        for (name, route) in &config.routes {
            let same = old.and_then(|old| old.routes.get(name)).filter(|old| old.config == *route);
            let Some(upstream) = upstreams.get(&route.upstream.name) else { continue };
            routes.insert(name.clone(), self.passage(route, upstream, same)?);
        }
        Ok(Snapshot {
            routes,
            rules: Rules::new(places, &server.allowed_hosts, &server.allowed_origins, server.allow_forwarded),
            embeds: embeds.collect::<HashMap<_, _>>(),
            ids,
            issuer,
            upstreams,
            caller,
            config,
        })
    }

    fn embed(&self, config: &Arc<config::Embed>, upstream: &Arc<Upstream>) -> Embed {
        let details = needs_details(&config.item)
            .then(|| ItemDetails::new(Arc::clone(upstream), Arc::clone(config), Arc::clone(&self.details_keeper)));
        Embed::new(Arc::clone(config), Arc::clone(upstream), self.metrics.embed(&config.name), details)
    }

    fn passage(
        &self,
        config: &Arc<config::Route>,
        upstream: &Arc<Upstream>,
        same: Option<&Arc<Passage>>,
    ) -> Result<Arc<Passage>, String> {
        // What has not changed goes on as it is, its tokens and connections with it.
        if let Some(same) = same.filter(|same| Arc::ptr_eq(&same.upstream, upstream)) {
            return Ok(Arc::clone(same));
        }
        let bearer = match &config.audience {
            None => Bearer::Service(Arc::clone(upstream)),
            Some(audience) => {
                let narrowing = Narrowing { audience: Some(audience.clone()), scope: None };
                Bearer::Narrowed(self.narrowed.of(upstream, narrowing))
            }
        };
        let passage = Passage::new(config, upstream, bearer, self.metrics.route(&config.name), &self.tasks);
        passage.map(Arc::new).map_err(|error| format!("routes.{}: {error}", config.name))
    }

    async fn id_rules(&self, config: &Config, old: Option<&Snapshot>) -> Result<Arc<IdRules>, String> {
        let key = match &config.hmac_key {
            Some(key) => {
                let key = self.vault.open("viewers.hmac_key", key).await?;
                let key = key.current().map_err(|fault| fault.to_string())?;
                warn_of_short("viewers.hmac_key", &key);
                Some(key)
            }
            None => None,
        };
        let same = old.map(|old| &old.ids).filter(|ids| ids.are(config.id_privacy, key.as_deref()));
        Ok(same.cloned().unwrap_or_else(|| Arc::new(IdRules::new(config.id_privacy, key))))
    }

    async fn issuer(&self, config: &Config, old: Option<&Snapshot>) -> Result<Option<Arc<Issuer>>, String> {
        let Some(config) = &config.issuer else { return Ok(None) };
        // Its keys go on with it.
        let old = old.and_then(|old| old.issuer.as_ref());
        if let Some(same) = old.filter(|old| old.config == *config) {
            return Ok(Some(Arc::clone(same)));
        }
        let metrics = Arc::new(self.metrics.issuer("viewers.jwt"));
        let issuer = match (&config.keys, KeySource::new(config, self.clock.clone(), metrics)?) {
            (_, Some(source)) => {
                let keeper = Arc::clone(&self.issuer_keeper);
                Issuer::remote(Arc::clone(config), source, keeper, old.map(|old| &**old))
            }
            (KeysFrom::File(path), _) => {
                let read = |texts: &[Text]| KeySet::parse(texts.first().map_or(&[][..], |text| text.as_bytes()));
                let keys = self.vault.watch("viewers.jwt.jwks_file", vec![path.clone()], read).await?;
                Issuer::in_file(Arc::clone(config), keys, self.clock.clone())
            }
            (KeysFrom::Discovery(_) | KeysFrom::Url(_), None) => return Err("viewers.jwt: has no keys".to_owned()),
        };
        Ok(Some(Arc::new(issuer)))
    }

    async fn upstream(&self, config: &Arc<config::Upstream>, old: Option<&Arc<Upstream>>) -> Result<Upstream, String> {
        let metrics = Arc::new(self.metrics.upstream(&config.name));
        let workshop = Workshop { vault: &self.vault, clock: &self.clock, metrics: &metrics };
        let vendor = Arc::new(workshop.vendor(config).await?);
        let keeper = Arc::clone(&self.service_keeper);
        // A change of a timeout is no reason to be without a token while the vendor is down.
        let seed = old.filter(|old| old.is_same_principal(config)).and_then(|old| old.service.as_ref()?.held());
        let made = || ServiceTokens::new(config, Arc::clone(&vendor), Arc::clone(&metrics), keeper, seed);
        let service = config.system.has_service_token().then(made);
        let limit = config.load_limit.as_ref();
        let limiter = limit.map(|limit| self.limiters.of(&config.system.workspace(), limit));
        Ok(Upstream::new(Arc::clone(config), vendor, service, limiter, metrics))
    }
}

/// A secret that everybody sends proves nothing.
fn caller_secret(secret: SecretLease) -> Result<SecretLease, String> {
    let current = secret.current().map_err(|fault| fault.to_string())?;
    if current.expose() == "true" {
        return Err("server.caller_token: is `true`, which whoever knows no secret sends".to_owned());
    }
    warn_of_short("server.caller_token", &current);
    Ok(secret)
}

/// What can be guessed by trying (NIST SP 800-107 wants 112 bits of a key for HMAC; texts have less per byte).
fn warn_of_short(key: &str, secret: &Secret) {
    if secret.expose().len() < 16 {
        tracing::warn!(
            key,
            "is shorter than 16 bytes: a longer one, such as from `openssl rand -hex 32`, cannot be guessed"
        );
    }
}
