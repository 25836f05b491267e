//! What the page needs besides the token, in the words of the vendor's browser SDK (aibi-client).

use serde::Serialize;

use crate::config;

/// The `embed` block of a reply.
pub(in crate::vendor) fn block(system: &config::Databricks, dashboard_id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Block<'a> {
        kind: &'a str,
        instance_url: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        workspace_id: Option<&'a str>,
        dashboard_id: &'a str,
    }
    let block = Block {
        kind: "databricks",
        instance_url: system.host.to_string(),
        workspace_id: system.workspace_id.as_deref(),
        dashboard_id,
    };
    // A struct of texts always has a JSON.
    serde_json::to_vec(&block).unwrap_or_default()
}
