//! Requests to the token endpoint (v2.0).

use form_urlencoded::Serializer;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};

use super::{Application, assertion};
use crate::model::{Fault, Secret};
use crate::telemetry::metrics::Operation;
use crate::upstream::Call;
use crate::vendor::credential::Proof;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The path of a tenant's token endpoint.
pub(super) fn token_path(tenant_id: &str) -> String {
    format!("/{tenant_id}/oauth2/v2.0/token")
}

/// `POST /{tenant}/oauth2/v2.0/token`: client credentials (RFC 6749 section 4.4) by secret, or by an
/// assertion (RFC 7523 section 2.2) that we sign or that another issuer has signed.
pub(super) fn token_call(application: &Application, scope: &str, proof: &Secret) -> Result<Call, Fault> {
    let credential = &application.credential;
    let mut body = Serializer::new(String::new());
    body.append_pair("client_id", credential.client_id());
    body.append_pair("scope", scope);
    body.append_pair("grant_type", "client_credentials");
    match credential.proof() {
        Proof::Secret(_) => {
            body.append_pair("client_secret", proof.expose());
        }
        Proof::Certificate(..) => {
            let now = application.clock.now().unix_seconds();
            let signed = assertion::sign(proof, &application.token_endpoint, credential.client_id(), now)?;
            body.append_pair("client_assertion_type", ASSERTION_TYPE);
            body.append_pair("client_assertion", &signed);
        }
        Proof::Federated(_) => {
            body.append_pair("client_assertion_type", ASSERTION_TYPE);
            body.append_pair("client_assertion", proof.expose());
        }
        // An application has to prove itself; the vendor would say so.
        Proof::Presence => {}
    }
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];
    Ok(Call {
        operation: Operation::ServiceToken,
        method: Method::POST,
        path: token_path(&application.tenant_id),
        headers,
        body: body.finish().into(),
    })
}

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`, which needs no credential.
pub(super) fn discovery_call(tenant_id: &str) -> Call {
    Call {
        operation: Operation::ServiceToken,
        method: Method::GET,
        path: format!("/{tenant_id}/v2.0/.well-known/openid-configuration"),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
    }
}
