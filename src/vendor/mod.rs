//! The vendors' wire formats, as pure pairs of request and parse, and the credentials with which
//! we prove ourselves to them. A closed set: a new vendor is one folder here and one arm in
//! [`Vendor`].

mod answer;
pub mod bold_bi;
mod credential;
pub mod databricks;
pub mod entra;
pub mod power_bi;
#[cfg(test)]
pub mod scripted;

pub use credential::{Asker, Credential, Proof};

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Embed, Item, System};
use crate::lease::Grant;
use crate::model::{Code, Fault, Lifetime, Secret, Token, Urgency, Viewer};
use power_bi::{Page, Report};

/// One configured vendor system.
pub enum Vendor {
    /// Databricks AI/BI dashboards.
    Databricks(Box<databricks::Databricks>),
    /// Power BI.
    PowerBi(Box<power_bi::PowerBi>),
    /// Bold BI.
    BoldBi(Box<bold_bi::BoldBi>),
    /// One for tests.
    #[cfg(test)]
    Scripted(Box<scripted::Scripted>),
}

/// What a viewer token is minted for.
pub struct Mint<'a> {
    /// The embed's name.
    pub embed: &'a str,
    /// The thing that is shown.
    pub item: &'a Item,
    /// What the vendor said of it.
    pub details: Option<&'a Details>,
    /// The viewer, as the vendor is to know them.
    pub viewer: &'a Viewer,
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
    /// Whether something is not said that should be: the claim without which the page shows nothing, or
    /// how long the token lives.
    pub lacks_claim: bool,
    /// What else the answer holds that pages need.
    pub beside: Option<Beside>,
}

/// What comes with a token.
pub enum Beside {
    /// Power BI: what of the `embed` block only the vendor knows.
    Page(Page),
    /// Bold BI: the answer as it came, which the vendor's page client reads.
    Answer(Secret),
}

impl Vendor {
    /// Gets a new service token, where the vendor has such a thing: see [`System::has_service_token`].
    ///
    /// # Errors
    /// What the vendor, or the way to it, is to blame for.
    pub async fn service_token(&self, urgency: Urgency) -> Result<(Token, Lifetime), Fault> {
        match self {
            Vendor::Databricks(databricks) => databricks.service_token(urgency).await,
            Vendor::PowerBi(power_bi) => power_bi.service_token(urgency).await,
            Vendor::BoldBi(_) => Err(mixed_up()),
            #[cfg(test)]
            Vendor::Scripted(scripted) => scripted.service_token(),
        }
    }

    /// Gets a service token that is good for less than the one in hand: see [`System::narrows`].
    ///
    /// # Errors
    /// As [`Vendor::mint`].
    pub async fn narrowed_token(
        &self,
        service: Option<&Grant<Token>>,
        audience: Option<&str>,
        scope: Option<&str>,
        urgency: Urgency,
    ) -> Result<(Token, Lifetime), MintFault> {
        match (self, service) {
            (Vendor::Databricks(databricks), Some(service)) => {
                databricks.narrowed_token(&service.item, audience, scope, urgency).await
            }
            _ => Err(MintFault::Other(mixed_up())),
        }
    }

    /// How long the vendor wants no call yet.
    pub fn paused_for(&self) -> Option<Duration> {
        match self {
            Vendor::Databricks(databricks) => databricks.paused_for(),
            Vendor::PowerBi(power_bi) => power_bi.paused_for(),
            Vendor::BoldBi(bold_bi) => bold_bi.paused_for(),
            #[cfg(test)]
            Vendor::Scripted(_) => None,
        }
    }

    /// Why nothing is asked of the vendor at present, where that shows on no service token.
    pub fn trouble(&self) -> Option<Fault> {
        match self {
            Vendor::BoldBi(bold_bi) => bold_bi.trouble(),
            _ => None,
        }
    }

    /// Looks up what [`Mint::details`] must hold for this item; see [`needs_details`].
    ///
    /// # Errors
    /// As [`Vendor::mint`].
    pub async fn look_up(
        &self,
        service: Option<&Grant<Token>>,
        item: &Item,
        urgency: Urgency,
    ) -> Result<Details, MintFault> {
        match (self, item, service) {
            (Vendor::PowerBi(power_bi), Item::PowerBi(item), Some(service)) => {
                power_bi.look_up(&service.item, item, urgency).await
            }
            #[cfg(test)]
            (Vendor::Scripted(scripted), _, Some(_)) => Ok(scripted.details()),
            _ => Err(MintFault::Other(mixed_up())),
        }
    }

    /// Mints a viewer token, with the help of a service token where there is one.
    ///
    /// # Errors
    /// As above; [`MintFault::ServiceTokenRefused`] when the vendor does not take the service token.
    pub async fn mint(
        &self,
        service: Option<&Grant<Token>>,
        mint: &Mint<'_>,
        urgency: Urgency,
    ) -> Result<Minted, MintFault> {
        match (self, mint.item, service) {
            (Vendor::Databricks(databricks), Item::Databricks { .. }, Some(service)) => {
                databricks.mint(&service.item, mint, urgency).await
            }
            (Vendor::PowerBi(power_bi), Item::PowerBi(item), Some(service)) => {
                power_bi.mint(service, item, mint, urgency).await
            }
            (Vendor::BoldBi(bold_bi), Item::BoldBi(item), None) => {
                bold_bi.mint(item, mint, urgency).await.map_err(MintFault::Other)
            }
            #[cfg(test)]
            (Vendor::Scripted(scripted), Item::PowerBi(item), Some(service)) => {
                scripted.mint(service, item.lifetime_minutes).await
            }
            _ => Err(MintFault::Other(mixed_up())),
        }
    }
}

/// Whether something of this item has to be looked up before the first token is minted for it.
pub fn needs_details(item: &Item) -> bool {
    matches!(item, Item::PowerBi(_))
}

/// The `embed` block of replies, as far as the config knows it; empty where [`Beside::Page`] has it.
pub fn page_block(embed: &Embed) -> Vec<u8> {
    match (&embed.upstream.system, &embed.item) {
        (System::Databricks(system), Item::Databricks { dashboard_id }) => databricks::block(system, dashboard_id),
        (System::BoldBi(system), Item::BoldBi(item)) => bold_bi::block(system, item),
        _ => Vec::new(),
    }
}

/// Refuses a viewer that the vendor could not take, before any work.
///
/// # Errors
/// [`Code::InvalidViewer`].
pub fn check_viewer(embed: &Embed, viewer: &Viewer) -> Result<(), Fault> {
    match (&embed.item, &embed.upstream.system) {
        (Item::PowerBi(item), _) => power_bi::check_identity(item, viewer),
        (Item::BoldBi(item), System::BoldBi(system)) => bold_bi::check_values(item, system, viewer),
        _ => Ok(()),
    }
}

/// The config rules this out: an embed's item is read by the kind of its upstream.
fn mixed_up() -> Fault {
    Fault::new(Code::Internal, "the embed is of another kind than its upstream")
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
