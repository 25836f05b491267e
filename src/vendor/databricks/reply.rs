//! Answers, and what is wrong with them.
//!
//! Errors come in at least three shapes: OAuth `{error, error_description}` (RFC 6749 section 5.2),
//! platform `{error_code, message}` with a code that may be a number, and an empty body. The
//! vendor's free texts are never passed on: they may quote what they complain about.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::{Code, Fault, Lifetime, Token};
use crate::upstream::Reply;
use crate::upstream::retry::is_transient;
use crate::vendor::answer::{Voice, header, location, trace};

const VOICE: Voice = Voice {
    vendor: "Databricks",
    on_html: ", probably a login page: is the host the URL of the workspace, and workspace_id right?",
    trace: |reply| Trace::of(reply).to_string(),
};

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

/// Reads a token reply.
pub(super) fn token(reply: &Reply) -> Result<(Token, Lifetime), Fault> {
    if reply.status != StatusCode::OK {
        return Err(token_fault(reply));
    }
    VOICE.access_token(reply)
}

/// Reads the reply to an exchange.
pub(super) fn exchanged(reply: &Reply) -> Result<(Token, Lifetime), Fault> {
    if reply.status != StatusCode::OK {
        return Err(exchange_fault(reply));
    }
    VOICE.access_token(reply)
}

/// An exchange that failed.
fn exchange_fault(reply: &Reply) -> Fault {
    let trace = Trace::of(reply);
    if let Some(fault) = common_fault(reply, &trace) {
        return fault;
    }
    match (reply.status.as_u16(), trace.code.as_deref()) {
        (_, Some("invalid_target")) | (404, _) => Fault::new(
            Code::UpstreamNotFound,
            format!("Databricks knows no app of this audience: it is the app's oauth2_app_client_id{trace}"),
        ),
        (_, Some("invalid_grant" | "invalid_client")) | (401, _) => {
            Fault::new(Code::CredentialsRejected, format!("Databricks refused the service token in an exchange{trace}"))
        }
        (_, Some("unauthorized_client" | "access_denied")) | (403, _) => Fault::new(
            Code::Denied,
            format!("Databricks does not let the service principal have a token for the app: give it CAN USE{trace}"),
        ),
        _ => Fault::new(Code::Rejected, format!("Databricks refused the exchange for a token of the app{trace}")),
    }
}

/// Reads token info.
pub(super) fn token_info(reply: &Reply) -> Result<TokenInfo, Fault> {
    if reply.status != StatusCode::OK {
        return Err(token_info_fault(reply));
    }
    VOICE.json(reply, "token info").map(TokenInfo)
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
    if is_transient(status) || unavailable {
        return Some(Fault::new(Code::Unavailable, format!("Databricks is in trouble{trace}")));
    }
    if status.is_redirection() {
        return Some(redirected(reply, trace));
    }
    None
}

fn redirected(reply: &Reply, trace: &Trace) -> Fault {
    if location(reply).contains("private-link-validation-error") {
        let detail = "Databricks redirects to its login page with a private link validation error: this workspace may \
                      only be reached over Private Link, and we are not on it";
        return Fault::new(Code::Malformed, format!("{detail}{trace}"));
    }
    VOICE.redirected(reply, "host", "is host the URL of the workspace, and workspace_id right?")
}

/// What helps the vendor's support, as it came.
struct Trace {
    status: StatusCode,
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
        let request_id = header(reply, "x-request-id").or_else(|| header(reply, "x-databricks-request-id"));
        Trace {
            status: reply.status,
            code: text("error_code").or_else(|| text("errorCode")).or_else(|| text("error")),
            request_id: request_id.map(str::to_owned),
        }
    }
}

impl std::fmt::Display for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&trace(self.status, self.code.as_deref(), self.request_id.as_deref()))
    }
}
