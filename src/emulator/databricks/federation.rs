//! Workload identity federation: a foreign JWT in place of the client secret (databricks.md section 6.1).

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use crate::emulator::settings::{Federation, FederationKeys};

/// What is kept of a subject JWT.
#[derive(Debug, Deserialize)]
pub(super) struct Subject {
    /// Who it is.
    pub sub: String,
    /// The end of its life, copied to the token that is issued for it.
    pub exp: i64,
}

/// Checks a subject JWT against the policy. `token_url` is the audience where the policy names none.
pub(super) fn verify(policy: &Federation, jwt: &str, token_url: &str) -> Result<Subject, String> {
    let header = jsonwebtoken::decode_header(jwt).map_err(|error| format!("subject token: {error}"))?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err("subject token: only RS256 and ES256 are accepted".to_owned());
    }
    let key = key(&policy.keys, header.kid.as_deref(), header.alg)?;
    let mut rules = Validation::new(header.alg);
    rules.leeway = 0;
    rules.validate_nbf = true;
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.set_issuer(&[&policy.issuer]);
    rules.sub = Some(policy.subject.clone());
    if policy.audiences.is_empty() {
        rules.set_audience(&[token_url]);
    } else {
        rules.set_audience(&policy.audiences);
    }
    let token = jsonwebtoken::decode::<Subject>(jwt, &key, &rules);
    token.map(|token| token.claims).map_err(|error| format!("subject token does not match the policy: {error}"))
}

fn key(keys: &FederationKeys, kid: Option<&str>, alg: Algorithm) -> Result<DecodingKey, String> {
    match keys {
        FederationKeys::Pem(pem) if alg == Algorithm::RS256 => DecodingKey::from_rsa_pem(pem.as_bytes()),
        FederationKeys::Pem(pem) => DecodingKey::from_ec_pem(pem.as_bytes()),
        FederationKeys::Jwks(document) => {
            let set: JwkSet = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
            let named = kid.and_then(|kid| set.find(kid)).or_else(|| set.keys.first().filter(|_| kid.is_none()));
            DecodingKey::from_jwk(named.ok_or("no key of that kid is known")?)
        }
    }
    .map_err(|error| format!("the policy's key: {error}"))
}
