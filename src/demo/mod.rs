//! The host app of `sidemint demo`: an app that somebody has, with dashboards in its pages.
//!
//! It plays the part of the customer: a page for the browser, and a server that knows who is signed in and asks the
//! sidecar for that viewer's token, over HTTP and nothing else. Its buttons act on the [`Emulator`]: a vendor outage, a
//! short token life, a burst of viewers. What differs between vendors is in one table, `vendors`.
//!
//! ```text
//! browser ── page.js, vendors.js ──> Host ── POST /v1/embeds/{embed}/token ──> sidecar ──> Emulator
//!    └────────────────── iframe: a dashboard or report with its token ─────────────────────┘
//! ```

mod api;
mod burst;
mod sidecar;
#[cfg(test)]
mod tests;
mod vendors;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};

use crate::emulator::{Emulator, Fault};
use sidecar::Sidecar;
pub use vendors::Kind;
use vendors::VENDORS;

/// Where the host app listens and whom it talks to.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The sidecar's API, e.g. `http://127.0.0.1:8190`.
    pub sidecar_url: String,
    /// The sidecar's admin listener; the page links to its status.
    pub admin_url: String,
    /// The embeds to choose from, as the sidecar's config names them; the first is shown first.
    pub embeds: Vec<Embed>,
    /// Who can be signed in.
    pub viewers: Vec<Viewer>,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            sidecar_url: "http://127.0.0.1:8190".to_owned(),
            admin_url: "http://127.0.0.1:8191".to_owned(),
            embeds: vec![
                Embed::new("sales", Kind::Databricks),
                Embed::new("finance", Kind::PowerBi),
                Embed::new("supply", Kind::BoldBi),
            ],
            viewers: Viewer::samples(),
        }
    }
}

/// Something that the app shows.
#[derive(Clone, Debug)]
pub struct Embed {
    /// What the sidecar's config calls it.
    pub name: String,
    /// Whose it is.
    pub kind: Kind,
}

impl Embed {
    /// An embed of this name.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind }
    }
}

/// Somebody who may be signed in to the host app.
#[derive(Clone, Debug, Serialize)]
pub struct Viewer {
    /// Opaque: it ends up in the vendor's audit log, where no personal data belongs.
    pub id: String,
    /// What the page calls the viewer.
    pub name: String,
    /// The row filter. The app's server decides it, never the page.
    pub value: String,
}

impl Viewer {
    /// Four teams, each with a region of the emulator's sales.
    #[must_use]
    pub fn samples() -> Vec<Self> {
        let teams = [
            ("v-1001", "EMEA team", "emea"),
            ("v-1002", "Americas team", "amer"),
            ("v-1003", "APAC team", "apac"),
            ("v-1004", "Nordics team", "nordics"),
        ];
        let viewer = |(id, name, value): (&str, &str, &str)| Self {
            id: id.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        teams.map(viewer).into()
    }
}

/// The running host app. Dropping it ends the server.
#[derive(Debug)]
pub struct Host {
    addr: SocketAddr,
    server: JoinHandle<()>,
}

impl Host {
    /// Binds and serves on the runtime that this is called from.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(settings: HostSettings, emulator: Arc<Emulator>) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let addr = listener.local_addr()?;
        let app = Arc::new(App {
            sidecar: Sidecar::new(settings.sidecar_url.clone()),
            settings,
            emulator,
            views: Default::default(),
            sessions: AtomicU64::new(0),
            switches: Mutex::default(),
        });
        let server = Handle::current().spawn(accept(listener, app));
        Ok(Self { addr, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The app's state.
#[derive(Debug)]
struct App {
    settings: HostSettings,
    emulator: Arc<Emulator>,
    sidecar: Sidecar,
    /// What was shown since the start, of each vendor.
    views: [AtomicU64; VENDORS.len()],
    /// Part of the viewer ids that are sent on: see [`App::new_sessions`].
    sessions: AtomicU64,
    switches: Mutex<Switches>,
}

/// What the buttons of the page have set.
#[derive(Debug, Default)]
struct Switches {
    /// The numbers of the faults that make the outage.
    outage: Vec<u64>,
    /// How long after their issue the page renews tokens.
    renew_after: Option<Duration>,
}

impl App {
    fn count_view(&self, kind: Kind) {
        self.views[kind.place()].fetch_add(1, Ordering::Relaxed);
    }

    /// The id of a viewer in the present session.
    fn session_id(&self, viewer: &str) -> String {
        match self.sessions.load(Ordering::Relaxed) {
            0 => viewer.to_owned(),
            session => format!("{viewer}-s{session}"),
        }
    }

    /// Signs everybody in anew. The sidecar rightly keeps tokens of the former life; new ids get new ones at once.
    fn new_sessions(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    /// All vendors stop, or go on, issuing tokens. Dashboards that are open keep their data.
    fn set_outage(&self, on: bool) {
        let mut switches = self.switches();
        for fault in switches.outage.drain(..) {
            self.emulator.remove_fault(fault);
        }
        if on {
            let failing = VENDORS.iter().flat_map(|vendor| vendor.outage);
            switches.outage = failing.map(|operation| self.emulator.inject(Fault::status(operation, 503))).collect();
        }
    }

    /// Tokens live so long that a page renews them after this time, or as long as usual.
    fn set_renewal(&self, after: Option<Duration>) {
        for vendor in &VENDORS {
            (vendor.set_life)(&self.emulator, after.map(|after| vendor.renewed_before + after));
        }
        self.switches().renew_after = after;
        self.new_sessions();
    }

    fn switches(&self) -> MutexGuard<'_, Switches> {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, app: Arc<App>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(serve(stream, Arc::clone(&app))); }
                // Out of file descriptors, usually: a pause keeps the loop from spinning until some are free.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, app: Arc<App>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| api::answer(Arc::clone(&app), request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    // An error here is a browser that went away.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
