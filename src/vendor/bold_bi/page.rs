//! What the page needs besides the token, in the words of the vendor's browser SDK.

use serde::Serialize;

use crate::config;

/// The `embed` block of a reply.
pub(in crate::vendor) fn block(system: &config::BoldBi, item: &config::BoldBiItem) -> Vec<u8> {
    #[derive(Serialize)]
    struct Block<'a> {
        kind: &'a str,
        server_url: String,
        site: &'a str,
        /// What the SDK takes for `serverUrl`, from which it cuts the site.
        site_url: String,
        dashboard_id: &'a str,
    }
    let block = Block {
        kind: "boldbi",
        server_url: system.server_url(),
        site: &system.site,
        site_url: system.site_url(),
        dashboard_id: &item.dashboard_id,
    };
    // A struct of texts always has a JSON.
    serde_json::to_vec(&block).unwrap_or_default()
}
