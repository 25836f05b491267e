//! What differs between vendors: the systems, the credentials for them, and what can be shown.

use std::path::PathBuf;
use std::time::Duration;

use super::{BaseUrl, SecretRef};

/// Which vendor, and where.
#[derive(Clone, Debug, PartialEq)]
pub enum System {
    /// A Databricks workspace.
    Databricks(Databricks),
    /// A Power BI tenant.
    PowerBi(PowerBi),
}

/// A Databricks workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Databricks {
    /// The workspace.
    pub host: BaseUrl,
    /// The workspace's id.
    pub workspace_id: Option<String>,
    /// The application id of the service principal.
    pub client_id: String,
    /// What it proves itself with.
    pub proof: Proof,
}

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

/// What a service principal proves itself with.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// An OAuth secret.
    Secret(SecretRef),
    /// A certificate and its private key, both in PEM.
    Certificate {
        /// The certificate; with the key in the same file if there is no other.
        certificate: PathBuf,
        /// The private key.
        private_key: Option<PathBuf>,
    },
    /// A token of another issuer, in a file, re-read at each use.
    Federated(PathBuf),
}

impl System {
    /// The word of the contract.
    pub fn kind(&self) -> &'static str {
        match self {
            System::Databricks(_) => "databricks",
            System::PowerBi(_) => "powerbi",
        }
    }

    /// The host that shows and mints.
    pub fn host(&self) -> &BaseUrl {
        match self {
            System::Databricks(databricks) => &databricks.host,
            System::PowerBi(power_bi) => &power_bi.api,
        }
    }

    /// Every host that we call, the one that issues service tokens first.
    pub fn hosts(&self) -> Vec<&BaseUrl> {
        match self {
            System::Databricks(databricks) => vec![&databricks.host],
            System::PowerBi(power_bi) => vec![power_bi.entra.identity.host(), &power_bi.api],
        }
    }

    /// Whether `other` has us as the same principal, so that its service token is ours.
    pub fn is_same_principal(&self, other: &System) -> bool {
        match (self, other) {
            (System::Databricks(one), System::Databricks(other)) => {
                one.host == other.host && one.client_id == other.client_id && one.proof == other.proof
            }
            (System::PowerBi(one), System::PowerBi(other)) => one.entra == other.entra,
            _ => false,
        }
    }

    /// What a limit on loads belongs to: a Databricks workspace has a host of its own, the tenants
    /// of Power BI share one.
    pub fn workspace(&self) -> String {
        match self {
            System::Databricks(databricks) => databricks.host.authority.clone(),
            System::PowerBi(power_bi) => match &power_bi.entra.identity {
                EntraIdentity::Application { tenant_id, .. } => format!("{}/{tenant_id}", power_bi.api.authority),
                EntraIdentity::Managed { .. } => power_bi.api.authority.clone(),
            },
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

/// What an embed shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A published Databricks dashboard.
    Databricks {
        /// Its id.
        dashboard_id: String,
    },
    /// Something in a Power BI workspace.
    PowerBi(Box<PowerBiItem>),
}

impl Item {
    /// The id of what is shown, for people.
    pub fn id(&self) -> &str {
        match self {
            Item::Databricks { dashboard_id } => dashboard_id,
            Item::PowerBi(item) => item.shown.id(),
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

/// A field of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewerField {
    /// `viewer.id`
    Id,
    /// `viewer.value`
    Value,
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
