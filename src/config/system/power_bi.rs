//! Power BI: a tenant, and what of it is shown.

use std::time::Duration;

use super::{Proof, ViewerField};
use crate::config::{BaseUrl, SecretRef};

/// A Power BI tenant, and the Microsoft Entra that knows its service principals.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerBi {
    /// The REST API.
    pub api: BaseUrl,
    /// Where its pages are shown from.
    pub app: BaseUrl,
    /// How we get Entra's tokens.
    pub entra: Entra,
    /// Tokens of viewers end with the service token they were got with; with less life left than
    /// this, the service token is renewed first.
    pub service_token_min_life: Duration,
}

/// Microsoft Entra, as far as one application is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Entra {
    /// The resource and `/.default`.
    pub scope: String,
    /// Who we are there.
    pub identity: EntraIdentity,
}

/// Who we are to Microsoft Entra.
#[derive(Clone, Debug, PartialEq)]
pub enum EntraIdentity {
    /// An application of a tenant, which proves itself.
    Application {
        /// Entra, without the tenant.
        authority: BaseUrl,
        /// The tenant: a UUID or a domain.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// What it proves itself with.
        proof: Proof,
    },
    /// The identity of the machine or service that we run on.
    Managed {
        /// Which one, where there are several.
        client_id: Option<String>,
        /// The local endpoint.
        endpoint: IdentityEndpoint,
    },
}

/// Where a machine or service tells its own identity.
#[derive(Clone, Debug, PartialEq)]
pub enum IdentityEndpoint {
    /// The instance metadata service of a virtual machine or Kubernetes node.
    Imds(BaseUrl),
    /// App Service, Functions and Container Apps.
    AppService {
        /// Host of `IDENTITY_ENDPOINT`.
        host: BaseUrl,
        /// Its path.
        path: String,
        /// The value of `IDENTITY_HEADER`, which keeps others out.
        header: SecretRef,
    },
}

impl IdentityEndpoint {
    /// Its host.
    pub fn host(&self) -> &BaseUrl {
        match self {
            IdentityEndpoint::Imds(host) | IdentityEndpoint::AppService { host, .. } => host,
        }
    }
}

impl EntraIdentity {
    /// Whom we ask for tokens.
    pub fn host(&self) -> &BaseUrl {
        match self {
            EntraIdentity::Application { authority, .. } => authority,
            EntraIdentity::Managed { endpoint, .. } => endpoint.host(),
        }
    }
}

/// Something in a Power BI workspace, and what its tokens allow.
#[derive(Clone, Debug, PartialEq)]
pub struct PowerBiItem {
    /// The workspace ("group" in the vendor's API).
    pub workspace_id: String,
    /// What is shown.
    pub shown: Shown,
    /// The datasets that a report's token is for; empty takes the report's own.
    pub dataset_ids: Vec<String>,
    /// Whether the datasets may be queried by other datasets (`xmlaPermissions` `ReadOnly`).
    pub xmla_read_only: bool,
    /// Whether the report may be edited.
    pub edit: bool,
    /// Whether the report may be saved under another name.
    pub allow_save_as: bool,
    /// The longest life of its tokens, in minutes.
    pub lifetime_minutes: Option<u32>,
    /// The service principal profile (`X-PowerBI-Profile-Id`).
    pub profile_id: Option<String>,
    /// Row-level security.
    pub rls: Option<Rls>,
}

/// What of a Power BI workspace is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// Reports, the first of which is the embed's own; never empty.
    Reports(Vec<String>),
    /// A dashboard.
    Dashboard(String),
    /// A tile of a dashboard.
    Tile {
        /// The dashboard.
        dashboard: String,
        /// The tile.
        tile: String,
    },
    /// Questions and answers on a dataset.
    Questions(String),
    /// A new report on a dataset.
    NewReport(String),
}

impl Shown {
    /// The id of what is shown.
    pub fn id(&self) -> &str {
        match self {
            Shown::Reports(reports) => reports.first().map_or("", String::as_str),
            Shown::Dashboard(id) | Shown::Tile { tile: id, .. } | Shown::Questions(id) | Shown::NewReport(id) => id,
        }
    }
}

/// Row-level security: the effective identity that is minted into a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Rls {
    /// `username`.
    pub username: ViewerField,
    /// `customData`.
    pub custom_data: Option<ViewerField>,
    /// `roles`.
    pub roles: Roles,
    /// The datasets that it holds for; empty: all that the token is for.
    pub dataset_ids: Vec<String>,
}

/// Which roles of the data model a viewer has.
#[derive(Clone, Debug, PartialEq)]
pub enum Roles {
    /// These, whoever it is.
    Fixed(Vec<String>),
    /// The viewer's own, which must be among these.
    OfViewer {
        /// The most that an app can ask for.
        allowed: Vec<String>,
    },
}
