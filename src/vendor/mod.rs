//! The vendors' wire formats, as pure pairs of request and parse, and the credentials with which
//! we prove ourselves to them. A closed set: a new vendor is one folder here and one arm in
//! [`Vendor`].

mod answer;
mod credential;
pub mod databricks;
pub mod entra;
pub mod power_bi;
#[cfg(test)]
pub mod scripted;

pub use credential::{Credential, Proof};

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Embed, Item, System};
use crate::lease::Grant;
use crate::model::{Code, Fault, Lifetime, Token, Urgency};
use power_bi::{Page, Report};

/// One configured vendor system.
pub enum Vendor {
    /// Databricks AI/BI dashboards.
    Databricks(Box<databricks::Databricks>),
    /// Power BI.
    PowerBi(Box<power_bi::PowerBi>),
    /// One for tests.
    #[cfg(test)]
    Scripted(Box<scripted::Scripted>),
}

/// What a viewer token is minted for.
pub struct Mint<'a> {
    /// The thing that is shown.
    pub item: &'a Item,
    /// What the vendor said of it.
    pub details: Option<&'a Details>,
    /// The viewer, as the vendor is to know them.
    pub viewer_id: &'a str,
    /// The row filter.
    pub viewer_value: Option<&'a str>,
    /// Roles in the data model.
    pub viewer_roles: &'a [String],
}

/// What has to be known of an item before tokens are minted for it: the same for all viewers.
pub struct Details {
    /// The reports.
    pub reports: Vec<Report>,
    /// The beginning of the reply's `embed` block.
    pub page: Arc<str>,
}

/// A viewer token, fresh from the vendor.
pub struct Minted {
    /// The token.
    pub token: Token,
    /// Its life.
    pub lifetime: Lifetime,
    /// Whether the token lacks the claim without which the page shows nothing.
    pub lacks_claim: bool,
    /// What the page needs besides the token, where only the vendor knows it.
    pub page: Option<Page>,
}

impl Vendor {
    /// Gets a new service token.
    ///
    /// # Errors
    /// What the vendor, or the way to it, is to blame for.
    pub async fn service_token(&self, urgency: Urgency) -> Result<(Token, Lifetime), Fault> {
        match self {
            Vendor::Databricks(databricks) => databricks.service_token(urgency).await,
            Vendor::PowerBi(power_bi) => power_bi.service_token(urgency).await,
            #[cfg(test)]
            Vendor::Scripted(scripted) => scripted.service_token(),
        }
    }

    /// How long the vendor wants no call yet.
    pub fn paused_for(&self) -> Option<Duration> {
        match self {
            Vendor::Databricks(databricks) => databricks.paused_for(),
            Vendor::PowerBi(power_bi) => power_bi.paused_for(),
            #[cfg(test)]
            Vendor::Scripted(_) => None,
        }
    }

    /// Looks up what [`Mint::details`] must hold for this item; see [`needs_details`].
    ///
    /// # Errors
    /// As [`Vendor::mint`].
    pub async fn look_up(&self, service: &Grant<Token>, item: &Item, urgency: Urgency) -> Result<Details, MintFault> {
        match (self, item) {
            (Vendor::PowerBi(power_bi), Item::PowerBi(item)) => power_bi.look_up(&service.item, item, urgency).await,
            #[cfg(test)]
            (Vendor::Scripted(scripted), _) => Ok(scripted.details()),
            _ => Err(mixed_up()),
        }
    }

    /// Mints a viewer token with the help of a service token.
    ///
    /// # Errors
    /// As above; [`MintFault::ServiceTokenRefused`] when the vendor does not take the service token.
    pub async fn mint(&self, service: &Grant<Token>, mint: &Mint<'_>, urgency: Urgency) -> Result<Minted, MintFault> {
        match (self, mint.item) {
            (Vendor::Databricks(databricks), Item::Databricks { .. }) => {
                databricks.mint(&service.item, mint, urgency).await
            }
            (Vendor::PowerBi(power_bi), Item::PowerBi(item)) => power_bi.mint(service, item, mint, urgency).await,
            #[cfg(test)]
            (Vendor::Scripted(scripted), Item::PowerBi(item)) => scripted.mint(service, item.lifetime_minutes).await,
            _ => Err(mixed_up()),
        }
    }
}

/// Whether something of this item has to be looked up before the first token is minted for it.
pub fn needs_details(item: &Item) -> bool {
    matches!(item, Item::PowerBi(_))
}

/// The `embed` block of replies, as far as the config knows it; empty where [`Minted::page`] has it.
pub fn page_block(embed: &Embed) -> Vec<u8> {
    match (&embed.upstream.system, &embed.item) {
        (System::Databricks(system), Item::Databricks { dashboard_id }) => databricks::block(system, dashboard_id),
        _ => Vec::new(),
    }
}

/// The config rules this out: an embed's item is read by the kind of its upstream.
fn mixed_up() -> MintFault {
    MintFault::Other(Fault::new(Code::Internal, "the embed is of another kind than its upstream"))
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
