//! The shapes of `upstreams`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{At, LiteralSecret};
use crate::config::units::Span;

/// `upstreams.*.kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Databricks AI/BI dashboards.
    Databricks,
    /// Power BI reports, dashboards, tiles and questions.
    PowerBi,
    /// Bold BI dashboards.
    BoldBi,
}

/// `upstreams.*.flow`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// A JSON object with the embed secret in it; Bold BI 14.1 and later.
    #[default]
    ObjectModel,
    /// A query that is signed with the embed secret; before 14.1.
    SignedQuery,
}

/// `upstreams.*.signed_text`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignedText {
    /// The query as it is sent.
    #[default]
    Sent,
    /// The query decoded.
    Decoded,
}

/// `upstreams.*.cloud`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Everybody's.
    #[default]
    Public,
    /// US Government Community Cloud.
    UsgovGcc,
    /// US Government Community Cloud High.
    UsgovHigh,
    /// US Department of Defense.
    UsgovDod,
    /// China, operated by 21Vianet.
    China,
}

/// `upstreams.*`. What a kind does not know is refused where the file is resolved: a type for each
/// kind would cost the line and column of every message.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Which vendor.
    pub kind: Kind,
    /// databricks: the workspace, such as `https://acme.cloud.databricks.com`.
    #[serde(default)]
    pub host: Option<At<String>>,
    /// databricks: the workspace's id, which the page needs.
    #[serde(default)]
    pub workspace_id: Option<At<String>>,
    /// powerbi: the Entra tenant, a UUID or a domain.
    #[serde(default)]
    pub tenant_id: Option<At<String>>,
    /// powerbi: whose cloud; default public. The four URLs below override what it means.
    #[serde(default)]
    pub cloud: Option<At<Cloud>>,
    /// powerbi: Microsoft Entra, without the tenant, such as `https://login.microsoftonline.com`.
    #[serde(default)]
    pub authority: Option<At<String>>,
    /// powerbi: the REST API, without `/v1.0/myorg`, such as `https://api.powerbi.com`.
    #[serde(default)]
    pub api_url: Option<At<String>>,
    /// powerbi: where its pages are shown from, such as `https://app.powerbi.com`.
    #[serde(default)]
    pub app_url: Option<At<String>>,
    /// powerbi: the resource and `/.default`, such as `https://analysis.windows.net/powerbi/api/.default`.
    #[serde(default)]
    pub scope: Option<At<String>>,
    /// powerbi: with less life left, the service token is renewed before a viewer token is minted
    /// with it; default 30m.
    #[serde(default)]
    pub service_token_min_life: Option<At<Span>>,
    /// boldbi: the server with its path, such as `https://bi.example.com/bi`.
    #[serde(default)]
    pub url: Option<At<String>>,
    /// boldbi: the site, such as `site1`; `""` for Bold BI Cloud.
    #[serde(default)]
    pub site: Option<At<String>>,
    /// boldbi: how tokens are asked for; default object_model.
    #[serde(default)]
    pub flow: Option<At<Flow>>,
    /// boldbi: with `flow: signed_query`, what the server takes the signature for; default sent.
    pub signed_text: Option<At<SignedText>>,
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
    /// databricks: whether Databricks' SDKs on this machine may take the service token by their metadata-service
    /// protocol; default false.
    #[serde(default)]
    pub metadata_service: Option<At<bool>>,
    /// databricks, powerbi: whether callers may take the service token itself, or a narrower one; default false.
    #[serde(default)]
    pub service_token_endpoint: Option<At<bool>>,
}

impl Upstream {
    /// With nothing but its kind.
    pub fn of(kind: Kind) -> Upstream {
        Upstream {
            kind,
            host: None,
            workspace_id: None,
            tenant_id: None,
            cloud: None,
            authority: None,
            api_url: None,
            app_url: None,
            scope: None,
            service_token_min_life: None,
            url: None,
            site: None,
            flow: None,
            signed_text: None,
            auth: None,
            load_limit: None,
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            ca_file: None,
            allow_insecure_http: false,
            metadata_service: None,
            service_token_endpoint: None,
        }
    }
}

/// `upstreams.*.auth`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The application id of the service principal; with `managed_identity`, which one if there are
    /// several.
    pub client_id: Option<String>,
    /// A file with its OAuth secret.
    pub client_secret_file: Option<PathBuf>,
    /// An environment variable with its OAuth secret.
    pub client_secret_env: Option<String>,
    /// A file with a federated token (databricks: for the service token only).
    pub federated_token_file: Option<PathBuf>,
    /// powerbi: a PEM file with a certificate that is registered for the application.
    pub certificate_file: Option<PathBuf>,
    /// powerbi: a PEM file with its RSA private key; left out, the key is in `certificate_file`.
    pub private_key_file: Option<PathBuf>,
    /// powerbi: the managed identity of the machine or service that we run on; default false.
    pub managed_identity: bool,
    /// boldbi: a file with the embed secret.
    pub embed_secret_file: Option<PathBuf>,
    /// boldbi: an environment variable with the embed secret.
    pub embed_secret_env: Option<String>,
    /// Never: secrets do not belong into the config.
    #[schemars(skip)]
    pub client_secret: Option<LiteralSecret>,
    /// Never, either.
    #[schemars(skip)]
    pub embed_secret: Option<LiteralSecret>,
}

impl Auth {
    /// Whether it has what only Bold BI takes.
    pub fn has_embed_secret(&self) -> bool {
        self.embed_secret_file.is_some() || self.embed_secret_env.is_some()
    }

    /// Whether it has nothing but that.
    pub fn has_only_embed_secret(&self) -> bool {
        let Auth { client_id, client_secret_file, client_secret_env, federated_token_file, .. } = self;
        let texts = client_id.is_some() || client_secret_env.is_some();
        let files = [client_secret_file, federated_token_file, &self.certificate_file, &self.private_key_file];
        !texts && !self.managed_identity && files.iter().all(|file| file.is_none())
    }
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
