//! Requests to the authorize endpoint of a site.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};

use super::values::Values;
use super::{body, query};
use crate::config;
use crate::model::{Code, Fault, Secret};
use crate::telemetry::metrics::Operation;
use crate::upstream::Call;

/// `POST {server}/api/{site}/embed/authorize`, with the secret in the body and nowhere else.
pub(super) fn object_call(site: &config::BoldBi, secret: &Secret, values: &Values<'_>) -> Result<Call, Fault> {
    let json = serde_json::to_vec(&body::of(site, secret, values))
        .map_err(|_| Fault::new(Code::Internal, "a request to the vendor could not be written"))?;
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok(Call { operation: Operation::Mint, method: Method::POST, path: authorize(site), headers, body: json.into() })
}

/// What servers usually take in one line.
const LONGEST_QUERY: usize = 8 << 10;

/// `GET {server}/api/{site}/embed/authorize?…&embed_signature=…`
pub(super) fn signed_call(
    site: &config::BoldBi,
    secret: &Secret,
    values: &Values<'_>,
    now: i64,
    nonce: &str,
) -> Result<Call, Fault> {
    let query = query::signed(&query::unsigned(values, now, nonce)?, secret, site.signed_text);
    if query.len() > LONGEST_QUERY {
        return Err(Fault::new(Code::InvalidViewer, "the viewer's values make a signed query of over 8 KiB"));
    }
    Ok(Call {
        operation: Operation::Mint,
        method: Method::GET,
        path: format!("{}?{query}", authorize(site)),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
    })
}

/// The server's front page, which needs no credential.
pub(super) fn front_page_call(site: &config::BoldBi) -> Call {
    Call {
        operation: Operation::TokenInfo,
        method: Method::GET,
        path: format!("{}/", site.path),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
    }
}

/// Bold BI Cloud has no identifier in its path; the vendor's own samples then have two slashes, which
/// is one too many.
fn authorize(site: &config::BoldBi) -> String {
    let identifier = site.site_identifier();
    let separator = if identifier.is_empty() { "" } else { "/" };
    format!("{}/api{separator}{identifier}/embed/authorize", site.path)
}
