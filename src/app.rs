//! The composition root: wires everything once, puts a new config in place, stops in order.

mod parts;
mod workshop;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::api::{self, Recent, Site, Snapshot};
use crate::config::{Config, Environment, Listen, Server};
use crate::edge::{Answer, Door, Identities, Limits, Listener, Request, SocketFile, serve};
use crate::lifecycle::Tasks;
use crate::model::Clock;
use crate::telemetry::{Audit, Metrics};
use crate::tokens::ViewerTokens;
use parts::Parts;
pub use workshop::{fleet_link, issuer_keys, vendors};

/// Open connections of the token port; each costs about 14 KiB.
const CONNECTIONS: usize = 16_384;
/// Of the admin port, so that apps cannot crowd out the probes.
const ADMIN_CONNECTIONS: usize = 64;
/// So long nobody may have come before the port closes, and so long it stays open for them at most.
const CALM: Duration = Duration::from_millis(200);
const LONGEST_CALM: Duration = Duration::from_secs(1);
/// For the last replies to be written out after the end of a drain.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// A running sidecar.
pub struct App {
    site: Arc<Site>,
    tasks: Tasks,
    /// The admin port's own: it answers until the drain is over, so that one can look on.
    admin_tasks: Tasks,
    parts: Parts,
    places: Vec<Listen>,
    /// Of unix sockets; they go with the end of the drain, or with this.
    files: Mutex<Vec<SocketFile>>,
    admin: SocketAddr,
    workers: Mutex<Vec<std::thread::JoinHandle<()>>>,
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
        let mut parts = Parts::new(&clock, &tasks, &metrics, environment);
        let identities = parts.identities(&config.server).await?;
        let (listeners, files) = bind(&config.server, identities.as_ref())?;
        let places: Vec<Listen> = listeners.iter().map(|listener| listener.place().clone()).collect();
        let admin = Listener::bind(config.admin.listen, false, None)?;
        if let Some(fleet) = &config.fleet {
            parts.join_fleet(fleet, &places).await?;
        }
        let snapshot = parts.snapshot(Arc::new(config), &places, None).await?;
        let config = Arc::clone(&snapshot.config);
        let site = Arc::new(Site {
            narrowed: Arc::clone(&parts.narrowed),
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
        let address = admin.place().tcp().unwrap_or(config.admin.listen);
        let (files, workers) = (Mutex::new(files), Mutex::default());
        let app = App { admin: address, site, tasks, admin_tasks, parts, places, files, workers };
        app.serve_admin(admin.open()?, &config);
        app.start_workers(&config, &listeners)?;
        for listener in listeners {
            serve_site(&app.site, listener.open()?, limits(&config), &app.tasks);
        }
        for caution in config.cautions() {
            tracing::warn!("{caution}");
        }
        Ok(app)
    }

    /// Where the token API listens.
    pub fn addresses(&self) -> &[Listen] {
        &self.places
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
        let config = on_the_same_sockets(&old.config.server, config)?;
        for caution in config.cautions() {
            tracing::warn!("{caution}");
        }
        let new = self.parts.snapshot(Arc::new(config), &self.places, Some(&old)).await?;
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
        self.parts.leave_fleet().await;
        self.tasks.calm(CALM, LONGEST_CALM).await;
        stop.force();
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!("an event loop ended in a panic");
            }
        }
        // Nobody is let in any more, so nobody should find the way.
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.admin_tasks.stop().begin();
        self.admin_tasks.drained(LAST_WORDS).await;
        self.admin_tasks.stop().force();
        self.site.audit.flush();
        tracing::info!("stopped");
    }

    fn serve_admin(&self, door: Door, config: &Config) {
        let limits = Limits { connections: ADMIN_CONNECTIONS, ..limits(config) };
        let site = Arc::clone(&self.site);
        let addresses = [self.admin];
        let handler =
            move |request: Request, peer| Answer::Ready(api::admin::handle(&site, &request, peer, &addresses));
        self.admin_tasks.background(serve(door, limits, self.admin_tasks.clone(), handler, |_| ()));
    }

    /// More event loops at the same places; the kernel spreads the connections.
    fn start_workers(&self, config: &Config, listeners: &[Listener]) -> Result<(), String> {
        for number in 1..config.server.workers {
            let (site, tasks, limits) = (Arc::clone(&self.site), self.tasks.clone(), limits(config));
            let listeners: Vec<Listener> = listeners.iter().map(Listener::another).collect::<Result<_, _>>()?;
            let work = move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return tracing::error!(%error, "an event loop could not start"),
                };
                runtime.block_on(async {
                    for listener in listeners {
                        match listener.open() {
                            Ok(door) => serve_site(&site, door, limits, &tasks),
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

/// Of the token port.
fn limits(config: &Config) -> Limits {
    Limits { header_timeout: config.server.header_timeout, connections: CONNECTIONS }
}

/// The sockets of the token port, and the files of those that have one.
fn bind(server: &Server, identities: Option<&Identities>) -> Result<(Vec<Listener>, Vec<SocketFile>), String> {
    let (mut listeners, mut files) = (Vec::new(), Vec::new());
    for place in &server.listen {
        listeners.push(match place {
            Listen::Tcp(address) => Listener::bind(*address, server.workers > 1, identities.cloned())?,
            Listen::Unix(path) => {
                let (listener, file) = Listener::bind_unix(path, &server.unix_socket)?;
                files.push(file);
                listener
            }
        });
    }
    Ok((listeners, files))
}

/// The handler's future is not boxed: it is over a kilobyte, which allocators take their time for.
fn serve_site(site: &Arc<Site>, door: Door, limits: Limits, tasks: &Tasks) {
    let (site, turning) = (Arc::clone(site), Arc::clone(site));
    let handler = move |request, peer| api::handle(&site, request, peer);
    tasks.background(serve(door, limits, tasks.clone(), handler, move |peer| turning.turned_away(peer)));
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
    if let Some(issuer) =
        old.issuer.as_ref().filter(|old| !new.issuer.as_ref().is_some_and(|new| Arc::ptr_eq(old, new)))
    {
        issuer.retire();
    }
    for (name, show) in &old.embeds {
        if !new.embeds.get(name).is_some_and(|same| Arc::ptr_eq(same, show)) {
            show.embed().retire();
        }
    }
}

/// A config as it is with the sockets that are open: those of a new one come with a restart, and until then callers are
/// asked for no less than these need.
fn on_the_same_sockets(old: &Server, mut config: Config) -> Result<Config, String> {
    let new = &mut config.server;
    let changed = old.listen != new.listen || old.unix_socket != new.unix_socket || old.tls != new.tls;
    let asks_less = (old.caller_token.is_some() && new.caller_token.is_none())
        || (old.require_header && !new.require_header && new.caller_token.is_none());
    if changed && asks_less {
        return Err("server.listen, unix_socket and tls change with a restart only, and until then callers of the \
                    sockets that are open would be asked for less: restart, or change these in two steps"
            .to_owned());
    }
    new.listen.clone_from(&old.listen);
    new.unix_socket.clone_from(&old.unix_socket);
    new.tls.clone_from(&old.tls);
    Ok(config)
}

fn warn_of_what_needs_a_restart(old: &Config, new: &Config) {
    let changed = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.unix_socket", old.server.unix_socket != new.server.unix_socket),
        ("server.tls", old.server.tls != new.server.tls),
        ("server.workers", old.server.workers != new.server.workers),
        ("server.header_timeout", old.server.header_timeout != new.server.header_timeout),
        ("admin.listen", old.admin.listen != new.admin.listen),
        ("log.format", old.log.format != new.log.format),
        ("log.audit", old.log.audit != new.log.audit),
        ("cache", old.cache != new.cache),
        ("fleet", old.fleet != new.fleet),
    ];
    for (key, _) in changed.into_iter().filter(|(_, changed)| *changed) {
        tracing::warn!(key, "a change of this key is used after a restart only");
    }
}
