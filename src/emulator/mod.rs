//! The vendors written a second time: a faithful fake for development, demos and tests.
//!
//! It shares no code with the rest of the crate, because it is there to test it: a misreading of the vendor that both
//! sides shared would never show. What it imitates is described, with sources, in the vendors' wire reference; where the
//! vendor's behaviour is unknown, the choice is named beside the code.
//!
//! ```text
//! server    connections, TLS, HTTP/2, truncation and resets
//!   ├─ control      /_emulator/…: journal, faults, revocation, loads
//!   ├─ journal      what was asked, without secrets
//!   ├─ faults       what goes wrong on purpose
//!   ├─ databricks   one workspace: tokens, tokeninfo, embedded dashboards
//!   ├─ app          a Databricks App on a host of its own
//!   ├─ entra        one Microsoft Entra tenant, and managed identities
//!   ├─ powerbi      Power BI: embed tokens, lookups, embedded reports
//!   └─ boldbi       Bold BI: embed tokens by both flows, embedded dashboards
//! ```
//!
//! Handlers are plain functions from a request to a reply. State lives in [`Emulator`], which ends its server when
//! dropped.

mod app;
mod boldbi;
mod control;
mod dashboard;
mod databricks;
mod entra;
mod faults;
mod federation;
mod handle;
mod index;
mod journal;
mod keys;
mod operation;
mod powerbi;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub use app::AppTraffic;
pub use databricks::LoadCounts;
pub use faults::Fault;
pub use journal::{JournalEntry, Received};
pub use operation::Operation;
pub use settings::{
    AppRefusal, AppSettings, BoldBiDashboard, BoldBiSettings, BoldBiSignedText, BoldBiSite, BoldBiUser, Dashboard,
    DatabricksSettings, DatasetKind, EntraSettings, Federation, FederationKeys, PowerBiDashboard, PowerBiDataset,
    PowerBiReport, PowerBiSettings, PowerBiTile, ReportKind, Settings,
};

use app::App;
use boldbi::BoldBi;
use databricks::Workspace;
use entra::Directory;
use faults::{Faults, Plan};
use journal::Journal;
use powerbi::PowerBi;
use server::{Door, Traffic};
use wire::{Asked, Reply};

/// A running emulator. Dropping it ends the server and all its connections.
#[derive(Debug)]
pub struct Emulator {
    addr: SocketAddr,
    state: Arc<State>,
    servers: [JoinHandle<()>; 2],
}

/// All that the handlers know.
#[derive(Debug)]
struct State {
    url: String,
    ca_pem: Option<String>,
    journal: Journal,
    faults: Faults,
    traffic: Traffic,
    databricks: Workspace,
    app: App,
    entra: Directory,
    powerbi: PowerBi,
    boldbi: BoldBi,
}

impl Emulator {
    /// Binds, makes the signing key (and the authority), and serves on the runtime that this is called from.
    ///
    /// # Errors
    /// If the address cannot be bound, or a key cannot be made.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let addr = listener.local_addr()?;
        let app_listener = TcpListener::bind(settings.app.listen).await?;
        let app_addr = app_listener.local_addr()?;
        let tls = if settings.tls { Some(tls::make(settings.http2)?) } else { None };
        let state = Arc::new(State {
            url: url(addr, settings.tls),
            ca_pem: tls.as_ref().map(|tls| tls.ca_pem.clone()),
            journal: Journal::default(),
            faults: Faults::default(),
            traffic: Traffic::default(),
            databricks: Workspace::new(settings.databricks, &settings.app),
            app: App::new(url(app_addr, settings.tls), settings.app),
            entra: Directory::new(settings.entra)?,
            powerbi: PowerBi::new(settings.powerbi),
            boldbi: BoldBi::new(settings.boldbi),
        });
        let acceptor = tls.map(|tls| tls.acceptor);
        let serve = |door, listener| {
            let server = server::accept(door, listener, acceptor.clone(), Arc::clone(&state));
            Handle::current().spawn(server)
        };
        let servers = [serve(Door::Vendor, listener), serve(Door::App, app_listener)];
        Ok(Self { addr, state, servers })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.url.clone()
    }

    /// The certificate of the authority that clients have to trust, if it serves TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.state.ca_pem.as_deref()
    }

    /// What it was started with, as far as Databricks goes.
    #[must_use]
    pub fn databricks(&self) -> &DatabricksSettings {
        self.state.databricks.settings()
    }

    /// The requests so far, oldest first; those to `/_emulator/` are not among them. The last 20,000 are kept.
    #[must_use]
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.state.journal.entries()
    }

    /// How many requests of one kind came since the start or [`clear_journal`](Self::clear_journal).
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.state.journal.count(operation)
    }

    /// Forgets the requests so far.
    pub fn clear_journal(&self) {
        self.state.journal.clear();
    }

    /// Adds a fault and gives its number.
    pub fn inject(&self, fault: Fault) -> u64 {
        self.state.faults.inject(fault)
    }

    /// The faults in force, with their numbers.
    #[must_use]
    pub fn faults(&self) -> Vec<(u64, Fault)> {
        self.state.faults.active()
    }

    /// Takes one fault back.
    pub fn remove_fault(&self, id: u64) {
        self.state.faults.clear(Some(id));
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.state.faults.clear(None);
    }

    /// The life of tokens issued from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.state.databricks.set_token_life(life);
    }

    /// The secrets accepted from now on; all others are refused.
    pub fn set_secrets(&self, secrets: &[&str]) {
        self.state.databricks.set_secrets(secrets);
    }

    /// Every service token issued so far answers 401 from now on. Viewer tokens stay valid: no way to revoke one is
    /// documented.
    pub fn revoke_tokens(&self) {
        self.state.databricks.revoke_tokens();
    }

    /// Ends all connections in good order, as soon as the requests on them are answered: those of HTTP/1.1 are closed,
    /// those of HTTP/2 get GOAWAY first. WebSockets go on.
    pub fn close_connections(&self) {
        self.state.traffic.say_goodbye();
    }

    /// Dashboard loads so far.
    #[must_use]
    pub fn loads(&self) -> LoadCounts {
        self.state.databricks.loads()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

impl State {
    /// Answers the emulator's own endpoints.
    fn control(&self, asked: &Asked) -> Option<Reply> {
        let what = asked.path.strip_prefix("/_emulator/")?;
        Some(control::answer(self, asked, what))
    }

    fn app_traffic(&self) -> AppTraffic {
        let (connections, requests) = self.traffic.of_app();
        AppTraffic { connections, requests }
    }

    fn operation(&self, asked: &Asked) -> Operation {
        match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/") => Operation::Index,
            _ => entra::operation(asked)
                .or_else(|| powerbi::operation(asked))
                .or_else(|| self.boldbi.operation(asked))
                .unwrap_or_else(|| databricks::operation(asked)),
        }
    }

    fn answer(&self, operation: Operation, asked: &Asked, plan: &Plan, notes: &mut Vec<String>) -> Reply {
        match operation {
            Operation::Index => Reply::html(index::page(self, &asked.base_url)),
            Operation::Unknown if asked.path.starts_with("/v1.0/") => powerbi::stamped(powerbi::errors::no_item()),
            Operation::Unknown => Reply::platform(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "No API found"),
            Operation::EntraDiscovery | Operation::EntraToken | Operation::ManagedIdentity => {
                self.entra.answer(operation, asked, plan, notes)
            }
            Operation::BoldBiAuthorize | Operation::BoldBiFrame | Operation::BoldBiData => {
                self.boldbi.answer(asked, plan, notes)
            }
            Operation::ReportFrame | Operation::ReportData => self.powerbi.answer(&self.entra, operation, asked, plan),
            _ if operation.is_power_bi() => self.powerbi.answer(&self.entra, operation, asked, plan),
            _ => self.databricks.answer(operation, asked, plan, notes),
        }
    }
}

fn url(addr: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let reachable = match addr.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(reachable, addr.port()))
}
