//! The composition root: wires everything once, puts a new config in place, stops in order.

mod workshop;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::api::{self, Caller, Passage, Recent, Show, Site, Snapshot};
use crate::config::{self, Config, Environment};
use crate::edge::guard::Rules;
use crate::edge::{Answer, Limits, Listener, Request, serve};
use crate::lease::Keeper;
use crate::lifecycle::Tasks;
use crate::limit::Limiters;
use crate::model::Clock;
use crate::secrets::Vault;
use crate::telemetry::{Audit, Metrics};
use crate::tokens::{
    Bearer, DetailsSource, Embed, IdRules, ItemDetails, NarrowedTokens, Narrowing, ServiceSource, ServiceTokens,
    Upstream, ViewerTokens,
};
use crate::vendor::needs_details;
use workshop::Workshop;
pub use workshop::vendors;

/// Open connections of the token port; each costs about 14 KiB.
const CONNECTIONS: usize = 16_384;
/// Of the admin port, so that apps cannot crowd out the probes.
const ADMIN_CONNECTIONS: usize = 64;
/// For the last replies to be written out after the end of a drain.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// A running sidecar.
pub struct App {
    site: Arc<Site>,
    tasks: Tasks,
    /// The admin port's own: it answers until the drain is over, so that one can look on.
    admin_tasks: Tasks,
    parts: Parts,
    addresses: Vec<SocketAddr>,
    admin: SocketAddr,
    workers: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// What outlives a reload.
struct Parts {
    clock: Clock,
    metrics: Metrics,
    limiters: Limiters,
    vault: Vault,
    service_keeper: Arc<Keeper<ServiceSource>>,
    details_keeper: Arc<Keeper<DetailsSource>>,
    narrowed: NarrowedTokens,
    tasks: Tasks,
}

impl App {
    /// Binds, opens the secrets, and serves from then on.
    ///
    /// # Errors
    /// One sentence: an address that is taken, a secret that is not there, roots of trust that
    /// cannot be read.
    pub async fn start(config: Config, environment: Environment) -> Result<App, String> {
        let (clock, tasks) = (Clock::system(), Tasks::new());
        let metrics = Metrics::new().map_err(|error| format!("metrics: {error}"))?;
        let parts = Parts {
            limiters: Limiters::new(clock.clone(), tasks.clone()),
            vault: Vault::new(clock.clone(), tasks.clone(), metrics.clone(), environment),
            service_keeper: ServiceTokens::keeper(clock.clone(), tasks.clone()),
            details_keeper: ItemDetails::keeper(clock.clone(), tasks.clone()),
            narrowed: NarrowedTokens::new(clock.clone(), tasks.clone()),
            metrics: metrics.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
        };
        let shared = config.server.workers > 1;
        let bind = |address: &SocketAddr| Listener::bind(*address, shared);
        let listeners: Vec<Listener> = config.server.listen.iter().map(bind).collect::<Result<_, _>>()?;
        let addresses: Vec<SocketAddr> = listeners.iter().map(Listener::address).collect();
        let admin = Listener::bind(config.admin.listen, false)?;
        let snapshot = parts.snapshot(Arc::new(config), &addresses, None).await?;
        let config = Arc::clone(&snapshot.config);
        let site = Arc::new(Site {
            tokens: ViewerTokens::new(&config.cache, clock.clone(), tasks.clone()),
            audit: if config.log.audit { Audit::to_stderr() } else { Audit::off() },
            stop: tasks.stop().clone(),
            recent: Recent::default(),
            started: clock.now(),
            is_started: AtomicBool::new(false),
            snapshot: RwLock::new(Arc::new(snapshot)),
            clock,
            metrics,
        });
        let admin_tasks = Tasks::new();
        let app =
            App { admin: admin.address(), site, tasks, admin_tasks, parts, addresses, workers: Default::default() };
        app.serve_admin(admin, &config);
        listeners.into_iter().for_each(|listener| app.serve_tokens(listener, &config));
        app.start_workers(&config)?;
        Ok(app)
    }

    /// Where the token API listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the admin port listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// What the handlers see, for benchmarks.
    #[doc(hidden)]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The tasks and their stop signal.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Puts a new config in place. Tokens, limits and counters of what has not changed go on.
    ///
    /// # Errors
    /// One sentence; the old config stays.
    pub async fn reload(&self, config: Config) -> Result<(), String> {
        let old = self.site.snapshot();
        warn_of_what_needs_a_restart(&old.config, &config);
        let new = self.parts.snapshot(Arc::new(config), &self.addresses, Some(&old)).await?;
        retire_what_is_gone(&old, &new);
        self.site.replace(new);
        Ok(())
    }

    /// Waits for a stop to begin, then lets what is in flight finish.
    pub async fn run(&self) {
        let stop = self.tasks.stop().clone();
        stop.begun().await;
        let deadline = self.site.snapshot().config.server.drain_timeout;
        tracing::info!(seconds = deadline.as_secs(), "stopping: no new work, finishing what is in flight");
        if !self.tasks.drained(deadline).await {
            stop.force();
            // Whoever still waits is told "draining" now.
            tokio::time::sleep(LAST_WORDS).await;
        }
        stop.force();
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!("an event loop ended in a panic");
            }
        }
        self.admin_tasks.stop().begin();
        self.admin_tasks.drained(LAST_WORDS).await;
        self.admin_tasks.stop().force();
        self.site.audit.flush();
        tracing::info!("stopped");
    }

    fn serve_admin(&self, listener: Listener, config: &Config) {
        let limits = Limits { header_timeout: config.server.header_timeout, connections: ADMIN_CONNECTIONS };
        let site = Arc::clone(&self.site);
        let addresses = [listener.address()];
        let handler = move |request: Request, _| Answer::Ready(api::admin::handle(&site, &request, &addresses));
        self.admin_tasks.background(serve(listener, limits, self.admin_tasks.clone(), handler));
    }

    fn serve_tokens(&self, listener: Listener, config: &Config) {
        let limits = Limits { header_timeout: config.server.header_timeout, connections: CONNECTIONS };
        serve_site(&self.site, listener, limits, &self.tasks);
    }

    /// More event loops on the same addresses; the kernel spreads the connections.
    fn start_workers(&self, config: &Config) -> Result<(), String> {
        for number in 1..config.server.workers {
            let (site, tasks, addresses) = (Arc::clone(&self.site), self.tasks.clone(), self.addresses.clone());
            let limits = Limits { header_timeout: config.server.header_timeout, connections: CONNECTIONS };
            let work = move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return tracing::error!(%error, "an event loop could not start"),
                };
                runtime.block_on(async {
                    for address in addresses {
                        match Listener::bind(address, true) {
                            Ok(listener) => serve_site(&site, listener, limits, &tasks),
                            Err(error) => tracing::error!(error, "an event loop could not listen"),
                        }
                    }
                    // Connections and flights of this loop live until the process is drained.
                    tasks.stop().forced().await;
                    tokio::time::sleep(LAST_WORDS).await;
                });
                // What still blocks (a slow resolver, say) is not waited for.
                runtime.shutdown_background();
            };
            let thread = std::thread::Builder::new().name(format!("loop-{number}")).spawn(work);
            let thread = thread.map_err(|error| format!("server.workers: {error}"))?;
            self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(())
    }
}

/// The handler's future is not boxed: it is over a kilobyte, which allocators take their time for.
fn serve_site(site: &Arc<Site>, listener: Listener, limits: Limits, tasks: &Tasks) {
    let site = Arc::clone(site);
    let handler = move |request, peer| api::handle(&site, request, peer);
    tasks.background(serve(listener, limits, tasks.clone(), handler));
}

impl Parts {
    async fn snapshot(
        &self,
        config: Arc<Config>,
        addresses: &[SocketAddr],
        old: Option<&Snapshot>,
    ) -> Result<Snapshot, String> {
        let server = &config.server;
        let caller = match &server.caller_token {
            Some(secret) => match old.filter(|old| old.config.server.caller_token.as_ref() == Some(secret)) {
                // The same file goes on being the same lease, with the secret before in it.
                Some(Snapshot { caller: Caller::Secret(lease), .. }) => Caller::Secret(lease.clone()),
                _ => Caller::Secret(self.vault.open("server.caller_token", secret).await?),
            },
            None if server.require_header => Caller::Header,
            None => Caller::Anyone,
        };
        let ids = self.id_rules(&config, old).await?;
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
            rules: Rules::new(addresses, &server.allowed_hosts, &server.allowed_origins, server.allow_forwarded),
            embeds: embeds.collect::<HashMap<_, _>>(),
            ids,
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
        let upstream = Arc::clone(upstream);
        let bearer = match &config.audience {
            None => Bearer::Service(upstream),
            Some(audience) => {
                let narrowing = Narrowing { audience: Some(audience.clone()), scope: None };
                Bearer::Narrowed(self.narrowed.of(&upstream, narrowing))
            }
        };
        if let Some(same) = same.filter(|same| same.bearer.is(&bearer)) {
            return Ok(Arc::clone(same));
        }
        let passage = Passage::new(config, bearer, self.metrics.route(&config.name), &self.tasks);
        passage.map(Arc::new).map_err(|error| format!("routes.{}: {error}", config.name))
    }

    async fn id_rules(&self, config: &Config, old: Option<&Snapshot>) -> Result<Arc<IdRules>, String> {
        let key = match &config.hmac_key {
            Some(key) => {
                let key = self.vault.open("viewers.hmac_key", key).await?;
                Some(key.current().map_err(|fault| fault.to_string())?)
            }
            None => None,
        };
        let same = old.map(|old| &old.ids).filter(|ids| ids.are(config.id_privacy, key.as_deref()));
        Ok(same.cloned().unwrap_or_else(|| Arc::new(IdRules::new(config.id_privacy, key))))
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

fn retire_what_is_gone(old: &Snapshot, new: &Snapshot) {
    for (name, upstream) in &old.upstreams {
        match new.upstreams.get(name) {
            Some(same) if Arc::ptr_eq(same, upstream) => {}
            Some(successor) => {
                upstream.retire();
                if successor.service.is_none() {
                    upstream.metrics.gone();
                }
            }
            None => {
                upstream.retire();
                upstream.metrics.gone();
            }
        }
    }
    for (name, show) in &old.embeds {
        if !new.embeds.get(name).is_some_and(|same| Arc::ptr_eq(same, show)) {
            show.embed().retire();
        }
    }
}

fn warn_of_what_needs_a_restart(old: &Config, new: &Config) {
    let changed = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.workers", old.server.workers != new.server.workers),
        ("server.header_timeout", old.server.header_timeout != new.server.header_timeout),
        ("admin.listen", old.admin.listen != new.admin.listen),
        ("log.format", old.log.format != new.log.format),
        ("log.audit", old.log.audit != new.log.audit),
        ("cache", old.cache != new.cache),
    ];
    for (key, _) in changed.into_iter().filter(|(_, changed)| *changed) {
        tracing::warn!(key, "a change of this key is used after a restart only");
    }
}
