//! The page that is embedded, and its rows.
//!
//! The vendor's script draws into the page of the customer, so that there is no frame whose protocol could be imitated.
//! This one is the emulator's own. The page takes its token in one of two ways:
//!
//! * in the address: `{root}/{identifier}/embed/dashboards/{id}#token={token}`;
//! * by a message of the window around it: `{type: "BOLDBI_SET_TOKEN", token}`, at any time, also to replace the token.
//!
//! It posts `{type: "BOLDBI_READY"}` when it listens, `{type: "BOLDBI_RENDERED", user, tokenId}` when rows are shown,
//! and `{type: "BOLDBI_ERROR", message}` when they cannot be, or not any more. Nothing of these is secret.

use http::StatusCode;
use http::header::CONTENT_SECURITY_POLICY;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Live, cut, failure, token};
use crate::emulator::dashboard;
use crate::emulator::keys::Refused;
use crate::emulator::settings::BoldBiSite;
use crate::emulator::wire::{Asked, Reply};

/// The page, the same for all dashboards.
pub(super) fn page() -> Reply {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
                  img-src 'self' data:; frame-ancestors *";
    let page = include_str!("frame.html").replace("{style}", dashboard::STYLE);
    Reply::html(page).with(CONTENT_SECURITY_POLICY, policy)
}

/// Its script.
pub(super) fn script() -> Reply {
    let script = dashboard::script(include_str!("frame.js"));
    Reply::new(StatusCode::OK, "text/javascript; charset=utf-8", script)
}

/// The rows of `?dashboard={id}` that the token in `Authorization: Bearer` lets its viewer see.
pub(super) fn data(live: &Live, site: &BoldBiSite, asked: &Asked) -> Result<Reply, Reply> {
    let claims = live.seal.open(asked.bearer().unwrap_or_default()).map_err(|why| match why {
        Refused::Expired => failure(StatusCode::UNAUTHORIZED, "The embed token has expired"),
        Refused::Invalid => failure(StatusCode::UNAUTHORIZED, "This is no embed token of this server"),
    })?;
    if !is_for(&claims, site) {
        return Err(failure(StatusCode::UNAUTHORIZED, "The embed token is for another site"));
    }
    let id = asked.query.get("dashboard").map(String::as_str).unwrap_or_default();
    let dashboard = live.settings.dashboards.iter().find(|one| one.id.eq_ignore_ascii_case(id));
    let dashboard = dashboard.ok_or_else(|| failure(StatusCode::NOT_FOUND, "There is no such dashboard"))?;
    let filters = token::filters(&claims);
    let left = claims["exp"].as_i64().unwrap_or_default() - Timestamp::now().as_second();
    Ok(Reply::json(
        StatusCode::OK,
        &json!({
            "title": dashboard.name,
            "user": claims["email"],
            "filters": filters.shown(),
            "rows": filters.rows(&dashboard.id),
            "tokenId": claims["unique_name"],
            "expiresIn": left,
        }),
    ))
}

/// Whether a token is for this site. Its path decides: a host may have several names.
fn is_for(claims: &Value, site: &BoldBiSite) -> bool {
    let audience = claims["aud"].as_str().and_then(|url| url.split_once("://")).map_or("", |(_, behind)| behind);
    let path = audience.split_once('/').map_or("", |(_, path)| path);
    let own = format!("{}/{}", site.root, site.identifier);
    cut(path) == cut(&own)
}
