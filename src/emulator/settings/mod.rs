//! What an emulator is started with. Every value has a default, so that `Settings::default()` is a working vendor.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;

mod boldbi;
mod databricks;
mod entra;
mod powerbi;

pub use boldbi::{BoldBiDashboard, BoldBiSettings, BoldBiSignedText, BoldBiSite, BoldBiUser};
pub use databricks::{AppRefusal, AppSettings, Dashboard, DatabricksSettings};
pub use entra::EntraSettings;
pub use powerbi::{
    DatasetKind, PowerBiDashboard, PowerBiDataset, PowerBiReport, PowerBiSettings, PowerBiTile, ReportKind,
};

/// Where the emulator listens and what it plays.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve TLS with a certificate of an authority made at start; see [`ca_pem`](super::Emulator::ca_pem).
    pub tls: bool,
    /// With TLS: offer HTTP/2 as well, on all hosts.
    pub http2: bool,
    /// The Databricks workspace.
    pub databricks: DatabricksSettings,
    /// The Databricks App.
    pub app: AppSettings,
    /// The Microsoft Entra tenant.
    pub entra: EntraSettings,
    /// Power BI.
    pub powerbi: PowerBiSettings,
    /// Bold BI.
    pub boldbi: BoldBiSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: false,
            http2: true,
            databricks: DatabricksSettings::default(),
            app: AppSettings::default(),
            entra: EntraSettings::default(),
            powerbi: PowerBiSettings::default(),
            boldbi: BoldBiSettings::default(),
        }
    }
}

/// A federation policy: which foreign JWTs stand for the service principal.
#[derive(Clone, Debug)]
pub struct Federation {
    /// `iss` of the subject JWT.
    pub issuer: String,
    /// Accepted `aud`. Empty takes the default: at Databricks the URL of the token endpoint, at Entra
    /// `api://AzureADTokenExchange`.
    pub audiences: Vec<String>,
    /// `sub` of the subject JWT, e.g. `system:serviceaccount:<namespace>:<name>`.
    pub subject: String,
    /// The issuer's keys.
    pub keys: FederationKeys,
}

/// The issuer's public keys (RS256 or ES256).
#[derive(Clone, Debug)]
pub enum FederationKeys {
    /// A JWKS document (RFC 7517 section 5).
    Jwks(Value),
    /// One public key as PEM, RSA or P-256.
    Pem(String),
}
