//! What a page needs besides the token, in the words of the vendor's browser SDK (powerbi-client):
//! `type`, `id`, `embedUrl`, `tokenType`, and the ids that some types ask for besides.

use std::sync::Arc;

use serde::Serialize;

use super::reply::Report;
use crate::config::{BaseUrl, PowerBiItem, Shown};

/// The part of the `embed` block of a reply that only the vendor knows.
pub struct Page {
    /// All members but `token_id`, as JSON, without the closing brace: the same for all viewers.
    pub opening: Arc<str>,
    /// `tokenId`, by which the vendor's audit log knows the token.
    pub token_id: Option<Box<str>>,
}

/// Renders the block once for all tokens of an embed.
pub(super) fn opening(app: &BaseUrl, item: &PowerBiItem, reports: &[Report]) -> Arc<str> {
    #[derive(Serialize)]
    struct Block<'a> {
        kind: &'a str,
        r#type: &'a str,
        id: &'a str,
        embed_url: &'a str,
        /// `TokenType.Embed`; the SDK's default is the other one, and fails.
        token_type: u8,
        workspace_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        dashboard_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dataset_id: Option<&'a str>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        reports: &'a [Report],
    }
    let built = built_url(app, item);
    let first = reports.first().map(|report| report.embed_url.as_str());
    let (r#type, dashboard_id, dataset_id) = match &item.shown {
        Shown::Reports(_) => ("report", None, None),
        Shown::Dashboard(_) => ("dashboard", None, None),
        Shown::Tile { dashboard, .. } => ("tile", Some(dashboard.as_str()), None),
        Shown::Questions(dataset) => ("qna", None, Some(dataset.as_str())),
        Shown::NewReport(dataset) => ("create", None, Some(dataset.as_str())),
    };
    let block = Block {
        kind: "powerbi",
        r#type,
        id: item.shown.id(),
        embed_url: first.unwrap_or(&built),
        token_type: 1,
        workspace_id: &item.workspace_id,
        dashboard_id,
        dataset_id,
        reports: if reports.len() > 1 { reports } else { &[] },
    };
    // A struct of texts always has a JSON.
    let json = serde_json::to_string(&block).unwrap_or_default();
    json.strip_suffix('}').unwrap_or_default().into()
}

/// Where things other than reports are shown; the vendor's own embed URLs have these paths.
fn built_url(app: &BaseUrl, item: &PowerBiItem) -> String {
    let group = &item.workspace_id;
    match &item.shown {
        Shown::Reports(_) => format!("{app}/reportEmbed?reportId={}&groupId={group}", item.shown.id()),
        Shown::Dashboard(id) => format!("{app}/dashboardEmbed?dashboardId={id}&groupId={group}"),
        Shown::Tile { dashboard, tile } => {
            format!("{app}/embed?dashboardId={dashboard}&tileId={tile}&groupId={group}")
        }
        Shown::Questions(_) => format!("{app}/qnaEmbed?groupId={group}"),
        Shown::NewReport(_) => format!("{app}/reportEmbed?groupId={group}"),
    }
}
