//! What the vendor's browser SDK posts to its authorization server: the query of the signed flow without
//! viewer and signature, and the server that is to be asked. The vendor's own samples add an e-mail address,
//! sign whatever it is and call whatever server it names. Here all of that comes from the config and the
//! caller; what was posted is only looked at, and refused where it wants something else.

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::config::BoldBiItem;
use crate::model::{Code, Fault};

/// The members of the body that are read; both spellings exist.
#[derive(Deserialize)]
struct Posted {
    #[serde(default, rename = "embedQuerString")]
    query: Option<String>,
    #[serde(default, rename = "embedQueryString")]
    query_too: Option<String>,
    #[serde(default)]
    viewer: Option<serde::de::IgnoredAny>,
}

/// Refuses what asks for another dashboard, or for values that only the config may set.
///
/// # Errors
/// [`Code::MalformedRequest`] for what is no JSON, [`Code::InvalidParameters`] for the rest.
pub fn check_posted(item: &BoldBiItem, json: &[u8]) -> Result<(), Fault> {
    if json.trim_ascii_start().first() == Some(&b'[') {
        return Err(invalid("the body must be an object, as Bold BI's page client posts it"));
    }
    let posted: Posted = serde_json::from_slice(json).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            invalid("the body must be an object with the text embedQuerString, as Bold BI's page client posts it")
        }
        _ => Fault::new(Code::MalformedRequest, "the body is not JSON"),
    })?;
    if posted.viewer.is_some() {
        return Err(invalid(
            "the body is the browser's and cannot name the viewer: use viewer_id in the URL, or the header \
             Sidemint-Viewer",
        ));
    }
    let queries = [posted.query, posted.query_too];
    if queries.iter().all(Option::is_none) {
        return Err(invalid("embedQuerString is missing, which Bold BI's page client posts"));
    }
    queries.iter().flatten().try_for_each(|query| check_query(item, query))
}

/// Pinboards and tabs, the only members that do not begin with `embed_`.
const OF_OTHER_THINGS: [&str; 9] = [
    "pinboard_name",
    "ismultitab",
    "homepageid",
    "ispinupdate",
    "isunpin",
    "layout",
    "movefrom",
    "moveto",
    "unpinposition",
];

fn check_query(item: &BoldBiItem, query: &str) -> Result<(), Fault> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let is_ours = |id: &str| id.trim().eq_ignore_ascii_case(&item.dashboard_id);
    for pair in query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match decoded(name).trim().to_ascii_lowercase().as_str() {
            // The client names all kinds of things that it could show, and leaves most of them empty.
            _ if value.is_empty() => {}
            "embed_dashboard_id" | "embed_dashboard_ids" if decoded(value).split(',').all(is_ours) => {}
            "embed_dashboard_id" | "embed_dashboard_ids" => {
                return Err(invalid("embed_dashboard_id is not the dashboard_id of this embed"));
            }
            // Ours are made anew; rights to change things are the user's in Bold BI.
            "embed_nonce" | "embed_mode" | "embed_timestamp" | "embed_expirationtime" => {}
            name if name.starts_with("embed_") || OF_OTHER_THINGS.contains(&name) => {
                return Err(invalid(
                    "embedQuerString may hold embed_nonce, embed_dashboard_id, embed_mode, embed_timestamp and \
                     embed_expirationtime: e-mail address, groups, attributes, filters and the signature are \
                     the sidecar's to set, and other things than the embed's dashboard (a path, view, widget, \
                     pinboard or data source) are not shown by it",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn invalid(detail: &'static str) -> Fault {
    Fault::new(Code::InvalidParameters, detail)
}
