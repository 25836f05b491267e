//! Answers, and what is wrong with them.
//!
//! Errors come in at least three shapes: OAuth `{error, error_description}` (RFC 6749 section 5.2),
//! platform `{error_code, message}` with a code that may be a number, and an empty body. The
//! vendor's free texts are never passed on: they may quote what they complain about.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use http::header::LOCATION;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::{Code, Fault, Lifetime, Token};
use crate::upstream::Reply;

/// A token longer than this fits into no header.
const LONGEST_TOKEN: usize = 64 << 10;

/// What a scoped token must carry, as the vendor said it: field names and raw JSON, untyped, so
/// that fields of tomorrow pass through.
pub struct TokenInfo(BTreeMap<String, Box<RawValue>>);

impl TokenInfo {
    /// Field names and what they are as form parameters. `null` is no parameter.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().filter(|(_, raw)| raw.get() != "null").map(|(name, raw)| {
            let text = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
            (name.as_str(), text)
        })
    }
}

/// Reads a token reply (RFC 6749 section 5.1).
pub(super) fn token(reply: &Reply) -> Result<(Token, Lifetime), Fault> {
    #[derive(Deserialize)]
    struct Body {
        access_token: String,
        #[serde(default)]
        token_type: Option<String>,
        // A `null` is not the same as nothing.
        #[serde(default, deserialize_with = "present")]
        expires_in: Option<Value>,
    }
    fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }
    if reply.status != StatusCode::OK {
        return Err(token_fault(reply));
    }
    let body: Body = json(reply, "a token")?;
    // A quote or a backslash would break out of the JSON and headers that the token goes into.
    let printable = |token: &str| token.bytes().all(|b| (0x21..0x7f).contains(&b) && !matches!(b, b'"' | b'\\'));
    if body.access_token.is_empty() || body.access_token.len() > LONGEST_TOKEN || !printable(&body.access_token) {
        return Err(malformed(reply, "its access_token is no token"));
    }
    if body.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(malformed(reply, "its token_type is not Bearer"));
    }
    let token = Token::new(&body.access_token);
    let expires_in = body.expires_in.as_ref().map(|value| {
        seconds(value).ok_or_else(|| malformed(reply, "its expires_in is not a number of seconds above zero"))
    });
    let exp = token.claims().and_then(|claims| claims.exp());
    let lifetime = Lifetime::smaller_of(reply.sent, expires_in.transpose()?, exp)
        .ok_or_else(|| malformed(reply, "neither expires_in nor the token itself says how long it lives"))?;
    if lifetime.ttl().is_zero() {
        return Err(malformed(reply, "the token had expired when it was issued (is the clock of this machine right?)"));
    }
    Ok((token, lifetime))
}

/// A number, or a number in a text, rounded down; the vendor's own CLI tests with a text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse::<f64>().ok()?,
        _ => return None,
    };
    let whole = seconds.floor();
    (whole >= 1.0 && whole.is_finite()).then(|| Duration::try_from_secs_f64(whole).unwrap_or(Duration::MAX))
}

/// Reads token info.
pub(super) fn token_info(reply: &Reply) -> Result<TokenInfo, Fault> {
    if reply.status != StatusCode::OK {
        return Err(token_info_fault(reply));
    }
    json(reply, "token info").map(TokenInfo)
}

fn json<'a, T: Deserialize<'a>>(reply: &'a Reply, what: &str) -> Result<T, Fault> {
    let start = reply.body.iter().find(|byte| !byte.is_ascii_whitespace());
    match start {
        Some(b'{') => {
            serde_json::from_slice(&reply.body).map_err(|_| malformed(reply, &format!("its JSON is not {what}")))
        }
        Some(b'<') => Err(malformed(
            reply,
            "it is an HTML page, probably a login page: is the host the URL of the workspace, and workspace_id right?",
        )),
        _ => Err(malformed(reply, "it is no JSON object")),
    }
}

fn malformed(reply: &Reply, why: &str) -> Fault {
    Fault::new(Code::Malformed, format!("Databricks answered {}, but {why}{}", reply.status.as_u16(), Trace::of(reply)))
}

/// A token request that failed.
fn token_fault(reply: &Reply) -> Fault {
    let trace = Trace::of(reply);
    let status = reply.status.as_u16();
    if let Some(fault) = common_fault(reply, &trace) {
        return fault;
    }
    match (status, trace.code.as_deref()) {
        (_, Some("invalid_client")) | (401, _) => Fault::new(
            Code::CredentialsRejected,
            format!(
                "Databricks rejected the client id or secret: generate a new OAuth secret for the service principal \
             (Settings > Identity and access > Service principals > Secrets), and check client_id{trace}"
            ),
        ),
        (_, Some("invalid_grant")) => Fault::new(
            Code::CredentialsRejected,
            format!(
                "Databricks rejected the federated token: check issuer, audience and subject in the federation policy of \
             the service principal{trace}"
            ),
        ),
        (_, Some("unauthorized_client")) | (403, _) => Fault::new(
            Code::Denied,
            format!(
                "Databricks does not let this service principal have the token: is it active, and assigned to this \
             workspace?{trace}"
            ),
        ),
        (404, _) => Fault::new(
            Code::UpstreamNotFound,
            format!("Databricks has no token endpoint at this host: is it the URL of a workspace?{trace}"),
        ),
        _ => Fault::new(Code::Rejected, format!("Databricks refused the token request{trace}")),
    }
}

/// A request for token info that failed.
fn token_info_fault(reply: &Reply) -> Fault {
    let trace = Trace::of(reply);
    if let Some(fault) = common_fault(reply, &trace) {
        return fault;
    }
    match (reply.status.as_u16(), trace.code.as_deref()) {
        (401, _) => Fault::new(Code::CredentialsRejected, format!("Databricks refused the service token{trace}")),
        (_, Some("RESOURCE_DOES_NOT_EXIST")) | (404, _) => Fault::new(
            Code::UpstreamNotFound,
            format!(
                "Databricks knows no published dashboard of this dashboard_id: publish it, and copy the id from its \
             URL{trace}"
            ),
        ),
        (_, Some("PERMISSION_DENIED")) | (403, _) => Fault::new(
            Code::Denied,
            format!(
                "Databricks denied the service principal access to the dashboard: share it with CAN RUN, and give the \
             service principal Workspace access and Databricks SQL access{trace}"
            ),
        ),
        _ => Fault::new(Code::Rejected, format!("Databricks refused the request for token info{trace}")),
    }
}

/// What any call may be answered with.
fn common_fault(reply: &Reply, trace: &Trace) -> Option<Fault> {
    let status = reply.status;
    let throttled = matches!(trace.code.as_deref(), Some("RESOURCE_EXHAUSTED" | "REQUEST_LIMIT_EXCEEDED"));
    if status == StatusCode::TOO_MANY_REQUESTS || throttled {
        return Some(Fault::new(Code::Throttled, format!("Databricks throttles us{trace}")));
    }
    let unavailable = trace.code.as_deref() == Some("TEMPORARILY_UNAVAILABLE");
    if crate::upstream::retry::is_transient(status) || unavailable {
        return Some(Fault::new(Code::Unavailable, format!("Databricks is in trouble{trace}")));
    }
    if status.is_redirection() {
        return Some(Fault::new(Code::Malformed, format!("{}{trace}", redirect(reply))));
    }
    None
}

fn redirect(reply: &Reply) -> String {
    let location = reply.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if location.contains("private-link-validation-error") {
        return "Databricks redirects to its login page with a private link validation error: this workspace may only \
                be reached over Private Link, and we are not on it"
            .to_owned();
    }
    let authority = location.parse::<http::Uri>().ok().and_then(|uri| uri.authority().cloned());
    match authority.filter(|authority| !authority.as_str().contains('@')) {
        Some(authority) => format!(
            "Databricks redirects to {authority}, which is not followed: if that is the workspace, put it into host"
        ),
        None => "Databricks redirects, probably to its login page, which is not followed: is host the URL of the \
                 workspace, and workspace_id right?"
            .to_owned(),
    }
}

/// What helps the vendor's support: status, code and request id, each cut down to harmless characters.
struct Trace {
    status: u16,
    code: Option<String>,
    request_id: Option<String>,
}

impl Trace {
    fn of(reply: &Reply) -> Trace {
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let text = |name: &str| match body.as_ref()?.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let code = text("error_code").or_else(|| text("errorCode")).or_else(|| text("error"));
        let header = |name: &str| Some(reply.headers.get(name)?.to_str().ok()?.to_owned());
        let request_id = header("x-request-id").or_else(|| header("x-databricks-request-id"));
        Trace {
            status: reply.status.as_u16(),
            code: code.and_then(harmless),
            request_id: request_id.and_then(harmless),
        }
    }
}

fn harmless(text: String) -> Option<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!text.is_empty() && text.len() <= 64 && text.chars().all(word)).then_some(text)
}

impl std::fmt::Display for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, " (HTTP {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request id {id}")?;
        }
        f.write_str(")")
    }
}
