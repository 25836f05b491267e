//! What of an embed's replies can be rendered once.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Item;
use crate::tokens::Embed;
use crate::vendor::page_block;

/// An embed and the part of its replies that never changes.
pub struct Show {
    pub(super) embed: Arc<Embed>,
    /// What the page needs besides the token, as JSON; empty where each token brings its own.
    pub(super) block: Vec<u8>,
    /// How long before the end the vendor's page client renews.
    pub(super) page_margin: Duration,
}

impl Show {
    /// Renders what can be rendered once.
    pub fn new(embed: Arc<Embed>) -> Show {
        let page_margin = Duration::from_secs(match &embed.config.item {
            // aibi-client renews five minutes before the end, and loops when it gets less.
            Item::Databricks { .. } => 300,
            // The vendor's sample looks every 30 s, and renews when ten minutes are left.
            Item::PowerBi(_) => 600,
            // The vendor's page client renews nothing by itself.
            Item::BoldBi(_) => 300,
        });
        Show { block: page_block(&embed.config), page_margin, embed }
    }

    /// The embed.
    pub fn embed(&self) -> &Arc<Embed> {
        &self.embed
    }
}
