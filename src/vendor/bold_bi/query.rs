//! The query of the signed flow (before v14.1): what is signed is the text that is sent, byte for byte, or, where
//! the config says so, that text decoded. Values are percent-encoded, so that none can end its member or begin
//! another one.

use std::borrow::Cow;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::values::{Filled, Value, Values};
use crate::config::SignedText;
use crate::model::{Code, Fault, Secret};

/// "Unreserved" (RFC 3986 section 2.3) stays, and what e-mail addresses and lists are made of, so that most
/// queries are the same encoded and decoded: which of both the server signs is written nowhere.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b':')
    .remove(b'/')
    .remove(b',');

/// The query without its signature.
pub(super) fn unsigned(values: &Values<'_>, now: i64, nonce: &str) -> Result<String, Fault> {
    let mut query = Query(String::new());
    query.add("embed_nonce", nonce);
    query.add("embed_dashboard_id", values.dashboard_id);
    query.add("embed_user_email", values.email);
    if let Some(group) = values.anonymous_group {
        query.add("embed_anonymous_token", "true");
        query.add("embed_authorize_group", group);
    }
    if let Some((access, user)) = values.group_access {
        query.add("embed_group_access", "true");
        query.add("embed_auth_provider", &access.provider);
        query.add("embed_user_id", user);
        if access.import_users {
            query.add("embed_user_import", "true");
        }
    }
    if !values.custom_attributes.is_empty() {
        query.add("embed_custom_attribute", &attributes(&values.custom_attributes)?);
    }
    let filters = filters(&values.dashboard_parameters, &values.datasource_filters);
    if !filters.is_empty() {
        query.add("embed_datasource_filter", &format!("[{{{filters}}}]"));
    }
    // Ours, not the browser's: its clock may be wrong, and then the vendor refuses the token.
    query.add("embed_server_timestamp", &now.to_string());
    Ok(query.0)
}

/// Signs a query: base64 of HMAC-SHA256 over exactly these bytes, or what they decode to, under the secret's
/// UTF-8. The signature is not encoded, as in the vendor's samples.
pub(super) fn signed(query: &str, secret: &Secret, text: SignedText) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let bytes: Cow<'_, [u8]> = match text {
        SignedText::Sent => Cow::Borrowed(query.as_bytes()),
        SignedText::Decoded => percent_decode_str(query).into(),
    };
    let signature = STANDARD.encode(hmac::sign(&key, &bytes));
    format!("{query}&embed_signature={signature}")
}

struct Query(String);

impl Query {
    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, ESCAPED));
    }
}

/// `[{"name":"value","other":"IN('a','b')"}]`
fn attributes(filled: &[Filled<'_>]) -> Result<String, Fault> {
    let members = filled.iter().map(|one| (one.name.to_owned(), list(one).into()));
    let object: serde_json::Map<String, serde_json::Value> = members.collect();
    serde_json::to_string(&[object]).map_err(|_| Fault::new(Code::Internal, "attributes could not be written"))
}

/// `&&parameter=value&filter=value&other=IN(a,b)`; the values hold none of these signs, which is checked before.
fn filters(parameters: &[Filled<'_>], filters: &[Filled<'_>]) -> String {
    let parameters = parameters.iter().map(|one| format!("&&{}={}", one.name, list_of_filter(one)));
    let filters = filters.iter().map(|one| format!("&{}={}", one.name, list_of_filter(one)));
    parameters.chain(filters).collect()
}

fn list(filled: &Filled<'_>) -> String {
    match &filled.value {
        Value::One(text) => (*text).to_owned(),
        Value::Many(texts) => {
            let quoted: Vec<String> = texts.iter().map(|text| format!("'{text}'")).collect();
            format!("IN({})", quoted.join(","))
        }
    }
}

fn list_of_filter(filled: &Filled<'_>) -> String {
    let word = if filled.operator == Some("NOT IN") { "NOTIN" } else { "IN" };
    match &filled.value {
        Value::One(text) if filled.operator.is_none_or(|operator| operator == "=") => (*text).to_owned(),
        Value::One(text) => format!("{word}({text})"),
        Value::Many(texts) => format!("{word}({})", texts.join(",")),
    }
}
