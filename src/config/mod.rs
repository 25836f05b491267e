//! Settings. A [`Config`] is valid by construction: whoever holds one need not check it again.

mod environment;
pub mod file;
mod fleet;
mod issuer;
mod listen;
mod resolve;
mod system;
pub mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::path::AllowRule;
pub use environment::Environment;
pub use file::{IdPrivacy, LogFormat};
pub use fleet::{Fleet, RedisAddress};
pub use issuer::{Algorithm, Claim, Issuer, KeysFrom, Url};
pub use listen::Listen;
pub use resolve::{from_environment, from_text};
pub use system::{
    BoldBi, BoldBiItem, Databricks, Entra, EntraIdentity, Flow, GroupAccess, IdentityEndpoint, Item, MintedAs, Origin,
    Parameter, PowerBi, PowerBiItem, Proof, Rls, Roles, Shown, SignedText, System, ViewerField,
};

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, from 1, where the file has a place for it.
    pub place: Option<(u64, u64)>,
    /// The key at fault, such as `upstreams.acme.host`.
    pub key: String,
    /// One sentence.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line} column {column}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that sidemint is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The token API.
    pub server: Server,
    /// Health, metrics, status.
    pub admin: Admin,
    /// Logging.
    pub log: Log,
    /// The cache of viewer tokens.
    pub cache: Cache,
    /// What becomes of viewer ids.
    pub id_privacy: IdPrivacy,
    /// The key of viewer hashes.
    pub hmac_key: Option<SecretRef>,
    /// Who vouches for viewers, where callers do not.
    pub issuer: Option<Arc<Issuer>>,
    /// Who else keeps to the load limits, and where they are kept.
    pub fleet: Option<Arc<Fleet>>,
    /// Vendor systems by name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// What can be shown, by name.
    pub embeds: BTreeMap<String, Arc<Embed>>,
    /// What is called with a service token, by name.
    pub routes: BTreeMap<String, Arc<Route>>,
}

impl Config {
    /// What an operator should know who may not have meant it.
    pub fn cautions(&self) -> Vec<&'static str> {
        let unlimited = self.upstreams.values().all(|upstream| upstream.load_limit.is_none());
        let idle = (self.fleet.is_some() && unlimited)
            .then_some("fleet is there, and no upstream has a load_limit: there is nothing to share");
        let fleet = self.fleet.as_ref().and_then(|fleet| fleet.caution());
        let limits = || self.upstreams.values().filter_map(|upstream| upstream.load_limit.as_ref());
        let hasty = (self.fleet.is_some() && limits().any(|limit| limit.max_wait < LOST_AFTER)).then_some(
            "a load_limit has a max_wait below 2s: when the fleet's Redis goes away, its loads are refused for about two \
             seconds, instead of waiting for this replica's share",
        );
        self.server.caution().into_iter().chain(fleet).chain(idle).chain(hasty).collect()
    }
}

/// After so long without its Redis a replica keeps to its share.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecretRef {
    /// In a file, re-read when it changes.
    File(PathBuf),
    /// In an environment variable, read once.
    Env(String),
}

/// The token API for apps.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where callers find it.
    pub listen: Vec<Listen>,
    /// Who may use its unix sockets.
    pub unix_socket: UnixSocket,
    /// What its TCP addresses show and ask for, if they speak TLS.
    pub tls: Option<Tls>,
    /// Whether requests must carry `Sidemint-Request`.
    pub require_header: bool,
    /// The secret that it must carry.
    pub caller_token: Option<SecretRef>,
    /// Accepted host names, besides our own.
    pub allowed_hosts: Vec<String>,
    /// Accepted origins.
    pub allowed_origins: Vec<String>,
    /// Bytes.
    pub max_body: usize,
    /// Whether forwarding headers are fine.
    pub allow_forwarded: bool,
    /// For a request head.
    pub header_timeout: Duration,
    /// For a stop.
    pub drain_timeout: Duration,
    /// Event loops.
    pub workers: usize,
}

/// Who may use a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Permission bits of its file.
    pub mode: u32,
    /// The file's owner; none: the process's own.
    pub owner: Option<u32>,
    /// The file's group; none: the process's own, or that of the folder.
    pub group: Option<u32>,
    /// Users that are let in; none: whomever the file's mode lets in.
    pub peer_uids: Vec<u32>,
}

/// Files of a TLS listener, all PEM, re-read when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and those between it and its root.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities whose client certificates are asked for, if they are.
    pub client_ca_file: Option<PathBuf>,
}

impl Server {
    /// What an operator should know who may not have meant it.
    pub fn caution(&self) -> Option<&'static str> {
        let asks = self.caller_token.is_some() || self.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
        (!asks && !self.listen.iter().all(Listen::is_local)).then_some(
            "server.listen is not loopback, and neither server.tls.client_ca_file nor server.caller_token_file is set: \
             whoever reaches the port can have tokens",
        )
    }
}

/// Health, metrics, status.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// The address.
    pub listen: SocketAddr,
    /// Whether POST /quitquitquit is open.
    pub quit: bool,
}

/// Logging.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Filter directives.
    pub level: String,
    /// For machines or people.
    pub format: LogFormat,
    /// Whether hand-outs and refusals are written down.
    pub audit: bool,
}

/// The cache of viewer tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// Bytes.
    pub max_size: u64,
    /// Not renewed when not asked for so long.
    pub idle: Duration,
}

/// A vendor system.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// Its name in the config, and in metrics.
    pub name: String,
    /// Which vendor, and where.
    pub system: System,
    /// How fast dashboards may start, if there is a limit.
    pub load_limit: Option<LoadLimit>,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Repetition.
    pub retry: Retry,
    /// More roots to trust.
    pub ca_file: Option<PathBuf>,
    /// Whether callers may take the service token itself.
    pub service_token_endpoint: bool,
}

/// A reverse-proxy target that is called with a service token.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name in the config, in URLs and metrics.
    pub name: String,
    /// Whose service token is injected.
    pub upstream: Arc<Upstream>,
    /// Where requests go.
    pub target: BaseUrl,
    /// The app that the token is exchanged for, if it is.
    pub audience: Option<String>,
    /// What may pass.
    pub allow: Vec<AllowRule>,
    /// Whether callers must show what the server asks for.
    pub require_header: bool,
    /// Whether WebSockets pass.
    pub websocket: bool,
    /// How long things may take.
    pub timeouts: RouteTimeouts,
}

/// How long the parts of a proxied request may take; bodies may take for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// Resolving, connecting and TLS.
    pub connect: Duration,
    /// From the end of the request to the head of the response.
    pub response_headers: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
}

/// How fast dashboards may start, per workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadLimit {
    /// In any window.
    pub per_second: u32,
    /// The window.
    pub window: Duration,
    /// Longest wait.
    pub max_wait: Duration,
    /// Most that wait.
    pub max_waiting: usize,
    /// Of one viewer in a second.
    pub per_viewer_per_second: u32,
}

/// Deadlines of calls to a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// One operation with all its attempts.
    pub request: Duration,
}

/// Repetition of calls that failed in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// In all.
    pub attempts: u32,
    /// Longest pause between two.
    pub max_backoff: Duration,
}

/// A named thing that can be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// Its name in the config, the API and in metrics.
    pub name: String,
    /// Who shows it.
    pub upstream: Arc<Upstream>,
    /// What is shown.
    pub item: Item,
    /// Least life of a token that is handed out.
    pub min_ttl: Duration,
    /// Least life in an outage.
    pub stale_until: Duration,
}

/// Scheme and authority, without a path: `https://acme.cloud.databricks.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https`, or `http` where that is allowed.
    pub https: bool,
    /// Host and optional port, in lower case.
    pub authority: String,
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http{}://{}", if self.https { "s" } else { "" }, self.authority)
    }
}
