//! `POST /v1/embeds/{embed}/boldbi-authorize`: what Bold BI's browser SDK calls its authorization server.
//! The body is the browser's, so the viewer is named beside it, by the app.

use http::{HeaderMap, HeaderName};

use super::ask::{self, Ask, InHeaders, Proved};
use super::{Show, Snapshot};
use crate::config::Item;
use crate::edge::{Request, body};
use crate::model::{Code, Fault};
use crate::vendor::bold_bi::check_posted;

static VIEWER: HeaderName = HeaderName::from_static("sidemint-viewer");

/// Reads what was asked, and sees to it that the browser asks for nothing else.
pub(super) async fn read(snapshot: &Snapshot, show: &Show, request: Request, proved: Proved) -> Result<Ask, Fault> {
    let Item::BoldBi(item) = &show.embed.config.item else {
        return Err(Fault::new(Code::NotFound, "this embed is not of Bold BI"));
    };
    let server = &snapshot.config.server;
    let (head, incoming) = request.into_parts();
    let ask = from_head(head.uri.query().unwrap_or_default(), &head.headers, proved)?;
    let json = body::json(&head.headers, incoming, server.max_body, server.header_timeout).await?;
    check_posted(item, &json)?;
    Ok(ask)
}

/// The viewer: `viewer_id` in the URL with the value in its header, or all of the viewer in one header.
fn from_head(query: &str, headers: &HeaderMap, proved: Proved) -> Result<Ask, Fault> {
    ask::check_headers(headers, InHeaders::ValueOrViewer)?;
    match ask::header_text(headers, &VIEWER)? {
        None => ask::from_query(query, headers, proved),
        Some(json) => ask::from_viewer_header(&json, query, headers, proved),
    }
}
