//! What becomes of viewer ids, and which viewers are refused.

use std::sync::Arc;

use crate::config::{self, IdPrivacy, Item};
use crate::model::viewer::InvalidViewer;
use crate::model::{Code, Fault, Secret, Viewer};
use crate::telemetry::audit::Pseudonyms;
use crate::vendor::check_viewer;

/// What becomes of viewer ids on their way out.
pub struct IdRules {
    /// What the vendor sees.
    pub privacy: IdPrivacy,
    /// The hashes.
    pub pseudonyms: Pseudonyms,
    /// The key of the hashes, if the operator gave one.
    pub key: Option<Arc<Secret>>,
}

impl IdRules {
    /// Rules with this key, or with one of this process.
    pub fn new(privacy: IdPrivacy, key: Option<Arc<Secret>>) -> IdRules {
        let pseudonyms = match &key {
            Some(key) => Pseudonyms::keyed(key),
            None => Pseudonyms::of_this_process(),
        };
        IdRules { privacy, pseudonyms, key }
    }

    /// The viewer as the vendor is to know them. The rule is for what Databricks writes down; the others
    /// know viewers by name.
    pub(super) fn outward(&self, item: &Item, viewer: &Viewer) -> Viewer {
        match (self.privacy, item) {
            (IdPrivacy::Hmac, Item::Databricks { .. }) => {
                Viewer { id: self.pseudonyms.long(&viewer.id), ..viewer.clone() }
            }
            _ => viewer.clone(),
        }
    }

    /// Whether these say the same.
    pub fn are(&self, privacy: IdPrivacy, key: Option<&Secret>) -> bool {
        let same_key = match (&self.key, key) {
            (Some(own), Some(other)) => own.same_as(other),
            (None, None) => true,
            _ => false,
        };
        self.privacy == privacy && same_key
    }
}

/// Refuses a viewer that the vendor could not take, before any work.
///
/// # Errors
/// [`Code::InvalidViewer`].
pub fn check(embed: &config::Embed, viewer: &Viewer, ids: &IdRules) -> Result<(), Fault> {
    match &embed.item {
        Item::Databricks { .. } => viewer.check_databricks(ids.privacy != IdPrivacy::RejectPii),
        Item::PowerBi(_) | Item::BoldBi(_) => viewer.check(),
    }
    .map_err(invalid)?;
    check_viewer(embed, viewer)
}

fn invalid(invalid: InvalidViewer) -> Fault {
    Fault::new(Code::InvalidViewer, invalid.to_string())
}
