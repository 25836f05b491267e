//! Managed identities: a plain HTTP endpoint on this machine that knows who we are. Two of the
//! vendor's four are spoken: the instance metadata service (virtual machines, AKS nodes) and that of
//! App Service, Functions and Container Apps.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::reply::VOICE;
use crate::model::{Code, Fault, Lifetime, Secret, Token};
use crate::telemetry::metrics::Operation;
use crate::upstream::retry::is_transient;
use crate::upstream::{Call, Reply, sensitive};
use crate::vendor::credential::Credential;

const METADATA: HeaderName = HeaderName::from_static("metadata");
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// The identity of the machine or service that we run on.
pub struct Managed {
    client_id: Option<String>,
    endpoint: Endpoint,
    /// `IDENTITY_HEADER` where there is one; the metadata service asks for no secret.
    credential: Credential,
}

/// Which of the vendor's endpoints.
pub enum Endpoint {
    /// `/metadata/identity/oauth2/token`
    Imds,
    /// The path of `IDENTITY_ENDPOINT`.
    AppService(String),
}

impl Managed {
    /// An identity at this endpoint: the machine's only one, or that of `client_id`.
    pub fn new(client_id: Option<String>, endpoint: Endpoint, credential: Credential) -> Managed {
        Managed { client_id, endpoint, credential }
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(super) fn call(&self, scope: &str, header: &Secret) -> Result<Call, Fault> {
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let (path, version) = match &self.endpoint {
            Endpoint::Imds => ("/metadata/identity/oauth2/token", "2018-02-01"),
            Endpoint::AppService(path) => (path.as_str(), "2019-08-01"),
        };
        let escape = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let mut path = format!("{path}?api-version={version}&resource={}", escape(resource));
        if let Some(id) = &self.client_id {
            path.push_str("&client_id=");
            path.extend(escape(id));
        }
        let mut headers = vec![(METADATA, HeaderValue::from_static("true"))];
        if matches!(self.endpoint, Endpoint::AppService(_)) {
            headers.push((IDENTITY_HEADER, sensitive(header.expose())?));
        }
        Ok(Call { operation: Operation::ServiceToken, method: Method::GET, path, headers, body: bytes::Bytes::new() })
    }
}

/// Reads the answer of either endpoint. The metadata service answers 404 and 410 while it starts or
/// is being updated, says the vendor, and wants to be asked again.
pub(super) fn token(reply: &Reply) -> Result<(Token, Lifetime), Fault> {
    let status = reply.status;
    if status == StatusCode::OK {
        return VOICE.access_token(reply);
    }
    let trace = (VOICE.trace)(reply);
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Fault::new(Code::Throttled, format!("the managed identity endpoint throttles us{trace}")));
    }
    if is_transient(status) || status == StatusCode::NOT_FOUND || status == StatusCode::GONE {
        return Err(Fault::new(Code::Unavailable, format!("the managed identity endpoint is not ready{trace}")));
    }
    if status.is_redirection() {
        return Err(VOICE.redirected(reply, "IDENTITY_ENDPOINT", "is this the managed identity endpoint?"));
    }
    let detail = format!(
        "there is no such managed identity: assign it to this machine or service (its Identity page), and check \
         client_id if it is a user-assigned one{trace}"
    );
    Err(Fault::new(Code::CredentialsRejected, detail))
}
