//! What differs between vendors: the systems, the credentials for them, and what can be shown.

mod bold_bi;
mod power_bi;

use std::path::PathBuf;

use super::{BaseUrl, SecretRef};
pub use bold_bi::{BoldBi, BoldBiItem, Flow, GroupAccess, MintedAs, Origin, Parameter, SignedText};
pub use power_bi::{Entra, EntraIdentity, IdentityEndpoint, PowerBi, PowerBiItem, Rls, Roles, Shown};

/// Which vendor, and where.
#[derive(Clone, Debug, PartialEq)]
pub enum System {
    /// A Databricks workspace.
    Databricks(Databricks),
    /// A Power BI tenant.
    PowerBi(PowerBi),
    /// A site of Bold BI.
    BoldBi(BoldBi),
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
    /// Whether SDKs may take the service token.
    pub metadata_service: bool,
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
            System::BoldBi(_) => "boldbi",
        }
    }

    /// The host that shows and mints.
    pub fn host(&self) -> &BaseUrl {
        match self {
            System::Databricks(databricks) => &databricks.host,
            System::PowerBi(power_bi) => &power_bi.api,
            System::BoldBi(bold_bi) => &bold_bi.host,
        }
    }

    /// Every host that we call, the one that issues service tokens first.
    pub fn hosts(&self) -> Vec<&BaseUrl> {
        match self {
            System::Databricks(databricks) => vec![&databricks.host],
            System::PowerBi(power_bi) => vec![power_bi.entra.identity.host(), &power_bi.api],
            System::BoldBi(bold_bi) => vec![&bold_bi.host],
        }
    }

    /// Whether viewer tokens are minted with a service token; Bold BI takes the credential itself.
    pub fn has_service_token(&self) -> bool {
        !matches!(self, System::BoldBi(_))
    }

    /// Whether it gives tokens that are good for less than the service token (`audience`, `scope`).
    pub fn narrows(&self) -> bool {
        matches!(self, System::Databricks(_))
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
            System::BoldBi(bold_bi) => format!("{}{}/{}", bold_bi.host.authority, bold_bi.path, bold_bi.site),
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
    /// A dashboard of Bold BI.
    BoldBi(Box<BoldBiItem>),
}

impl Item {
    /// The id of what is shown, for people.
    pub fn id(&self) -> &str {
        match self {
            Item::Databricks { dashboard_id } => dashboard_id,
            Item::PowerBi(item) => item.shown.id(),
            Item::BoldBi(item) => &item.dashboard_id,
        }
    }
}

/// A field of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewerField {
    /// `viewer.id`
    Id,
    /// `viewer.value`
    Value,
}
