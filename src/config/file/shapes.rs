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
    /// Power BI reports, dashboards, tiles and questions.
    PowerBi,
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

/// `embeds.*.access_level`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLevel {
    /// Look.
    #[default]
    View,
    /// Change the report.
    Edit,
    /// Make a new report on a dataset.
    Create,
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
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embed {
    /// The upstream that shows it.
    pub upstream: At<String>,
    /// A published databricks dashboard, or a powerbi dashboard.
    #[serde(default)]
    pub dashboard_id: Option<At<String>>,
    /// powerbi: the workspace that it is in.
    #[serde(default)]
    pub workspace_id: Option<At<String>>,
    /// powerbi: a report.
    #[serde(default)]
    pub report_id: Option<At<String>>,
    /// powerbi: more reports that the same token is for.
    #[serde(default)]
    pub report_ids: Option<At<Vec<String>>>,
    /// powerbi: a tile of the dashboard.
    #[serde(default)]
    pub tile_id: Option<At<String>>,
    /// powerbi: a dataset, for questions on it (Q&A) or, with `create`, for a new report.
    #[serde(default)]
    pub dataset_id: Option<At<String>>,
    /// powerbi: the datasets that a report's token is for; left out, the report's own is looked up. Of a
    /// dashboard or tile, those that `rls` holds for.
    #[serde(default)]
    pub dataset_ids: Option<At<Vec<String>>>,
    /// powerbi: whether other datasets may query these (composite models, paginated reports); default false.
    #[serde(default)]
    pub xmla_read_only: Option<At<bool>>,
    /// powerbi: for a new report on `dataset_id`; default false.
    #[serde(default)]
    pub create: Option<At<bool>>,
    /// powerbi: view, edit or create; default view.
    #[serde(default)]
    pub access_level: Option<At<AccessLevel>>,
    /// powerbi: whether the report may be saved under another name; default false.
    #[serde(default)]
    pub allow_save_as: Option<At<bool>>,
    /// powerbi: the longest life of a token, in whole minutes; default that of the service token.
    #[serde(default)]
    pub lifetime: Option<At<Span>>,
    /// powerbi: the service principal profile (`X-PowerBI-Profile-Id`).
    #[serde(default)]
    pub profile_id: Option<At<String>>,
    /// powerbi: row-level security; default none, which shows every viewer the same rows.
    #[serde(default)]
    pub rls: Option<At<Rls>>,
    /// Never hand out a token with less life left; default 10m (over 5m) for databricks, 15m for powerbi.
    #[serde(default)]
    pub min_ttl: Option<At<Span>>,
    /// In an outage, tokens are served down to this; default 310s for databricks, else 60s.
    #[serde(default)]
    pub stale_until: Option<At<Span>>,
}

/// `embeds.*.rls`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rls {
    /// What the data model sees as `USERNAME()`.
    pub username: ViewerField,
    /// Roles of the data model, or `viewer.roles`; default none.
    #[serde(default)]
    pub roles: Option<Roles>,
    /// The most that `viewer.roles` may ask for.
    #[serde(default)]
    pub allowed_roles: Option<Vec<String>>,
    /// What the data model sees as `CUSTOMDATA()`; default nothing.
    #[serde(default)]
    pub custom_data: Option<ViewerField>,
    /// The datasets that this holds for; default all that the token is for.
    #[serde(default)]
    pub datasets: Option<Vec<String>>,
}

/// A field of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ViewerField {
    /// The viewer's id.
    #[serde(rename = "viewer.id")]
    Id,
    /// The viewer's value.
    #[serde(rename = "viewer.value")]
    Value,
}

/// `embeds.*.rls.roles`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "roles must be a list of names, or viewer.roles")]
pub enum Roles {
    /// The same for every viewer.
    Fixed(Vec<String>),
    /// The viewer's own.
    OfViewer(ViewerRoles),
}

/// The words for the viewer's own roles.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum ViewerRoles {
    /// As the request names them.
    #[serde(rename = "viewer.roles")]
    Roles,
}
