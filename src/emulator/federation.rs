//! Workload identity federation: a foreign JWT in place of a client secret (databricks.md section 6.1,
//! powerbi-boldbi.md section B1).

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::settings::{Federation, FederationKeys};

/// What is kept of a subject JWT.
#[derive(Debug, Deserialize)]
pub(super) struct Subject {
    /// Who it is.
    pub sub: String,
    /// The end of its life, copied to the Databricks token that is issued for it.
    pub exp: i64,
}

/// Why a subject JWT does not stand for the principal.
#[derive(Debug, thiserror::Error)]
pub(super) enum Mismatch {
    /// It is no JWT, or of an algorithm that is not taken.
    #[error("subject token: {0}")]
    Malformed(String),
    /// Outside its time.
    #[error("subject token does not match the policy: {0}")]
    Time(Error),
    /// Not signed by a key of the policy.
    #[error("subject token does not match the policy: {0}")]
    Signature(String),
    /// Issuer, subject or audience differ.
    #[error("subject token does not match the policy: {0}")]
    Policy(Error),
}

/// Checks a subject JWT against the policy. `default_audience` counts where the policy names none.
pub(super) fn verify(policy: &Federation, jwt: &str, default_audience: &str) -> Result<Subject, Mismatch> {
    let header = jsonwebtoken::decode_header(jwt).map_err(|error| Mismatch::Malformed(error.to_string()))?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(Mismatch::Malformed("only RS256 and ES256 are accepted".to_owned()));
    }
    let key = key(&policy.keys, header.kid.as_deref(), header.alg).map_err(Mismatch::Signature)?;
    let mut rules = Validation::new(header.alg);
    rules.leeway = 0;
    rules.validate_nbf = true;
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.set_issuer(&[&policy.issuer]);
    rules.sub = Some(policy.subject.clone());
    if policy.audiences.is_empty() {
        rules.set_audience(&[default_audience]);
    } else {
        rules.set_audience(&policy.audiences);
    }
    match jsonwebtoken::decode::<Subject>(jwt, &key, &rules) {
        Ok(token) => Ok(token.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => Mismatch::Time(error),
            ErrorKind::InvalidSignature => Mismatch::Signature(error.to_string()),
            _ => Mismatch::Policy(error),
        }),
    }
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
