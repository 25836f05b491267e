//! The shapes of `upstreams` and `embeds`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{At, LiteralSecret, Off};
use crate::config::units::Span;

/// `upstreams.*.kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Databricks AI/BI dashboards.
    Databricks,
}

/// `upstreams.*`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Which vendor.
    pub kind: Kind,
    /// The workspace, such as `https://acme.cloud.databricks.com`.
    pub host: At<String>,
    /// The workspace's id, which the page needs.
    #[serde(default)]
    pub workspace_id: Option<At<String>>,
    /// The service credential; left out, it comes from the vendor's own environment variables.
    #[serde(default)]
    pub auth: Option<At<Auth>>,
    /// How fast dashboards may start.
    #[serde(default)]
    pub load_limit: Option<At<LoadLimit>>,
    /// Deadlines of calls to the vendor.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Repetition of calls that failed in passing.
    #[serde(default)]
    pub retry: Retry,
    /// More roots to trust, in PEM.
    #[serde(default)]
    pub ca_file: Option<At<PathBuf>>,
    /// Allow http:// to a host that is not loopback; default false.
    #[serde(default)]
    pub allow_insecure_http: bool,
    /// Must be false.
    #[serde(default)]
    #[schemars(skip)]
    pub metadata_service: Option<Off>,
    /// Must be false.
    #[serde(default)]
    #[schemars(skip)]
    pub service_token_endpoint: Option<Off>,
}

/// `upstreams.*.auth`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The application id of the service principal.
    pub client_id: Option<String>,
    /// A file with its OAuth secret.
    pub client_secret_file: Option<PathBuf>,
    /// An environment variable with its OAuth secret.
    pub client_secret_env: Option<String>,
    /// A file with a federated token (for the service token only).
    pub federated_token_file: Option<PathBuf>,
    /// Never: secrets do not belong into the config.
    #[schemars(skip)]
    pub client_secret: Option<LiteralSecret>,
}

/// `upstreams.*.load_limit`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadLimit {
    /// Loads that may start in any window; default 20.
    pub per_second: Option<u32>,
    /// The window; more than 1s absorbs jitter between hand-out and load; default 1s.
    pub window: Option<Span>,
    /// Longest wait for a start; default 2s.
    pub max_wait: Option<Span>,
    /// Most that wait at once; default 200.
    pub max_waiting: Option<usize>,
    /// Loads of one viewer in a second; default 5.
    pub per_viewer_per_second: Option<u32>,
}

/// `upstreams.*.timeouts`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For TCP and TLS; default 2s.
    pub connect: Option<Span>,
    /// For one operation with all its attempts; default 10s.
    pub request: Option<Span>,
}

/// `upstreams.*.retry`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts in all; default 4.
    pub attempts: Option<u32>,
    /// Longest pause between two; default 8s.
    pub max_backoff: Option<Span>,
}

/// `embeds.*`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embed {
    /// The upstream that shows it.
    pub upstream: At<String>,
    /// The published dashboard.
    pub dashboard_id: At<String>,
    /// Never hand out a token with less life left; default 10m, over 5m for databricks.
    #[serde(default)]
    pub min_ttl: Option<At<Span>>,
    /// In an outage, tokens are served down to this; default 310s for databricks.
    #[serde(default)]
    pub stale_until: Option<At<Span>>,
}
