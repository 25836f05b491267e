//! Requests, built from parts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::{Mint, TokenInfo};
use crate::model::{Fault, Secret, Token};
use crate::telemetry::metrics::Operation;
use crate::upstream::{Call, sensitive};
use crate::vendor::Credential;

/// Everything outside "unreserved" (RFC 3986 section 2.3) is encoded, a space as `%20`: `+` means
/// a space to some readers only.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Set on API calls when the workspace is known, as the vendor's own SDK does; hosts that serve
/// several workspaces answer with a login page without it.
const WORKSPACE: HeaderName = HeaderName::from_static("x-databricks-workspace-id");

/// Parameters that are ours to say, whatever token info may bring one day.
const OURS: [&str; 8] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
];

/// The parameters of a token request, but for the proof.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn new() -> Form {
        Form(Vec::new())
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Form {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// `POST /oidc/v1/token`: with a secret, Basic authentication and `client_credentials` (RFC 6749
/// section 4.4); with a federated token, token exchange (RFC 8693) and no `Authorization`.
pub(super) fn token_call(
    operation: Operation,
    credential: &Credential,
    proof: &Secret,
    form: &Form,
) -> Result<Call, Fault> {
    let mut body = Serializer::new(String::new());
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];
    if credential.is_federated() {
        body.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        body.append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
        body.append_pair("subject_token", proof.expose());
        // Without it the vendor would give us the user behind the token, not the service principal.
        body.append_pair("client_id", credential.client_id());
    } else {
        body.append_pair("grant_type", "client_credentials");
        let pair = Zeroizing::new(format!("{}:{}", credential.client_id(), proof.expose()));
        let basic = Zeroizing::new(format!("Basic {}", Zeroizing::new(STANDARD.encode(&*pair)).as_str()));
        headers.push((AUTHORIZATION, sensitive(&basic)?));
    }
    body.extend_pairs(&form.0);
    Ok(Call { operation, method: Method::POST, path: "/oidc/v1/token".to_owned(), headers, body: body.finish().into() })
}

/// What the broad token may be called in an exchange, in the order in which we try: what the vendor's page on
/// apps has for a notebook's token, then the standard's word for an OAuth token (RFC 8693 section 3). The vendor
/// documents neither for a service principal.
pub(super) const SUBJECT_TYPES: [&str; 2] =
    ["urn:databricks:params:oauth:token-type:personal-access-token", "urn:ietf:params:oauth:token-type:access_token"];

/// `POST /oidc/v1/token` once more: the broad token for one of an app, which is the proof as well.
pub(super) fn exchange_call(service: &Token, kind: &str, audience: &str, scope: &str) -> Call {
    let mut body = Serializer::new(String::new());
    body.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    body.append_pair("subject_token", service.expose());
    body.append_pair("subject_token_type", kind);
    body.append_pair("requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    body.append_pair("scope", scope);
    body.append_pair("audience", audience);
    Call {
        operation: Operation::ServiceToken,
        method: Method::POST,
        path: "/oidc/v1/token".to_owned(),
        headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))],
        body: body.finish().into(),
    }
}

/// `GET /oidc/.well-known/oauth-authorization-server` (RFC 8414), which needs no credential.
pub(super) fn discovery_call() -> Call {
    Call {
        operation: Operation::ServiceToken,
        method: Method::GET,
        path: "/oidc/.well-known/oauth-authorization-server".to_owned(),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
    }
}

/// `GET .../published/tokeninfo` for one viewer.
pub(super) fn token_info_call(service: &Token, workspace: Option<&str>, mint: &Mint<'_>) -> Result<Call, Fault> {
    let escape = |text| utf8_percent_encode(text, ESCAPED);
    let mut path = format!(
        "/api/2.0/lakeview/dashboards/{}/published/tokeninfo?external_viewer_id={}",
        escape(mint.item.id()),
        escape(&mint.viewer.id)
    );
    if let Some(value) = &mint.viewer.value {
        path.push_str("&external_value=");
        path.extend(escape(value));
    }
    let mut headers = vec![(AUTHORIZATION, sensitive(&format!("Bearer {}", service.expose()))?)];
    if let Some(id) = workspace.and_then(|id| HeaderValue::try_from(id).ok()) {
        headers.push((WORKSPACE, id));
    }
    Ok(Call { operation: Operation::TokenInfo, method: Method::GET, path, headers, body: bytes::Bytes::new() })
}

/// Every top-level field of token info goes on as a parameter: dropping one (`scope`, say) gives a
/// token that the dashboard refuses later. Texts go as they are, everything else as its JSON.
pub(super) fn scoped_form(info: &TokenInfo) -> Form {
    let ours = |name: &str| OURS.contains(&name);
    let fields = info.fields().filter(|(name, _)| !ours(name));
    Form(fields.map(|(name, value)| (name.to_owned(), value)).collect())
}
