//! The vendors' wire formats, as pure pairs of request and parse, and the credentials with which
//! we prove ourselves to them. A closed set: a new vendor is one folder here and one arm in
//! [`Vendor`].

mod credential;
pub mod databricks;

pub use credential::{Credential, Proof};

use std::time::Duration;

use crate::lease::Grant;
use crate::model::{Fault, Lifetime, Token, Urgency};

/// One configured vendor system.
pub enum Vendor {
    /// Databricks AI/BI dashboards.
    Databricks(databricks::Databricks),
}

/// What a viewer token is minted for.
pub struct Mint<'a> {
    /// The thing that is shown.
    pub dashboard_id: &'a str,
    /// The viewer, as the vendor is to know them.
    pub viewer_id: &'a str,
    /// The row filter.
    pub viewer_value: Option<&'a str>,
}

/// A viewer token, fresh from the vendor.
pub struct Minted {
    /// The token.
    pub token: Token,
    /// Its life.
    pub lifetime: Lifetime,
    /// Whether the token lacks the claim without which the page shows nothing.
    pub lacks_claim: bool,
}

impl Vendor {
    /// Gets a new service token.
    ///
    /// # Errors
    /// What the vendor, or the way to it, is to blame for.
    pub async fn service_token(&self, urgency: Urgency) -> Result<(Token, Lifetime), Fault> {
        match self {
            Vendor::Databricks(databricks) => databricks.service_token(urgency).await,
        }
    }

    /// How long the vendor wants no call yet.
    pub fn paused_for(&self) -> Option<Duration> {
        match self {
            Vendor::Databricks(databricks) => databricks.paused_for(),
        }
    }

    /// Mints a viewer token with the help of a service token.
    ///
    /// # Errors
    /// As above; [`MintFault::ServiceTokenRefused`] when the vendor does not take the service token.
    pub async fn mint(&self, service: &Grant<Token>, mint: &Mint<'_>, urgency: Urgency) -> Result<Minted, MintFault> {
        match self {
            Vendor::Databricks(databricks) => databricks.mint(&service.item, mint, urgency).await,
        }
    }
}

/// Why a mint failed.
pub enum MintFault {
    /// The service token was refused: it may have been revoked.
    ServiceTokenRefused(Fault),
    /// Anything else.
    Other(Fault),
}

impl From<MintFault> for Fault {
    fn from(fault: MintFault) -> Fault {
        match fault {
            MintFault::ServiceTokenRefused(fault) | MintFault::Other(fault) => fault,
        }
    }
}
