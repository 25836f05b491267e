//! A signed JWT in place of the secret: with a registered certificate, or from a foreign issuer.

use std::fmt::{self, Debug};
use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::client::Proof;
use super::{Directory, errors};
use crate::emulator::federation::{self, Mismatch};
use crate::emulator::wire::{Asked, Reply};

/// The audience of a federated assertion where the credential names no other.
const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// A certificate that is registered for the app.
pub(super) struct Certificate {
    key: DecodingKey,
    /// SHA-256 and SHA-1 of the whole certificate, base64url: `x5t#S256` and `x5t`.
    thumbprints: [String; 2],
}

impl Certificate {
    /// The first certificate of a PEM text, which may hold a private key and a chain beside it.
    pub fn read(pem: &str) -> io::Result<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(io::Error::other)?;
        let alone = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&der));
        let key = DecodingKey::from_rsa_pem(alone.as_bytes()).map_err(io::Error::other)?;
        let thumbprints =
            [&SHA256, &SHA1_FOR_LEGACY_USE_ONLY].map(|algorithm| URL_SAFE_NO_PAD.encode(digest(algorithm, &der)));
        Ok(Self { key, thumbprints })
    }
}

impl Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("thumbprints", &self.thumbprints).finish_non_exhaustive()
    }
}

/// Checks an assertion of either kind.
pub(super) fn verify(directory: &Directory, asked: &Asked, jwt: &str) -> Result<Proof, Reply> {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(jwt)
        .map_err(|error| errors::error(50_027, &error.to_string()))?;
    let header = &claims.header;
    let own = claims.claims["iss"] == directory.settings.client_id.as_str();
    if own || header.x5t.is_some() || header.x5t_s256.is_some() {
        signed(directory, asked, jwt).map(|()| Proof::Certificate)
    } else {
        federated(directory, jwt).map(|()| Proof::Federation)
    }
}

fn federated(directory: &Directory, jwt: &str) -> Result<(), Reply> {
    let policy = directory.settings.federation.as_ref();
    let policy = policy.ok_or_else(|| errors::error(700_213, "The app has no federated credential."))?;
    let mismatch = match federation::verify(policy, jwt, EXCHANGE_AUDIENCE) {
        Ok(_) => return Ok(()),
        Err(mismatch) => mismatch,
    };
    let number = match mismatch {
        Mismatch::Malformed(_) => 50_027,
        Mismatch::Time(_) => 700_024,
        Mismatch::Signature(_) => 700_027,
        Mismatch::Policy(_) => 700_213,
    };
    Err(errors::error(number, &mismatch.to_string()))
}

/// Signed by the app itself (powerbi-boldbi.md section B1).
fn signed(directory: &Directory, asked: &Asked, jwt: &str) -> Result<(), Reply> {
    let claims = signed_claims(directory, jwt)?;
    let own = |name: &str| claims[name] == directory.settings.client_id.as_str();
    if !own("iss") || !own("sub") {
        return Err(errors::plain(700_021));
    }
    let audience = format!("{}{}", asked.base_url, asked.path);
    let is_ours = |one: &Value| one == audience.as_str();
    if !is_ours(&claims["aud"]) && !claims["aud"].as_array().is_some_and(|all| all.iter().any(is_ours)) {
        return Err(errors::error(700_023, &format!("It is to be {audience}.")));
    }
    // Numbers of these claims may have a fraction, and some clients write one.
    let now = Timestamp::now().as_duration().as_secs_f64();
    let expires = claims["exp"].as_f64().ok_or_else(|| errors::error(50_027, "'exp' is missing."))?;
    let begins = claims["nbf"].as_f64().unwrap_or(now);
    if now >= expires || now < begins {
        return Err(errors::error(700_024, &format!("Now: {now}, valid from {begins} to {expires}.")));
    }
    let id = claims["jti"].as_str().ok_or_else(|| errors::error(50_027, "'jti' is missing."))?;
    let mut live = directory.live();
    live.seen.retain(|_, end| *end > now);
    if live.seen.insert(id.to_owned(), expires).is_some() && !directory.settings.assertions_may_repeat {
        return Err(errors::error(50_027, "An assertion of this 'jti' was used before."));
    }
    Ok(())
}

/// Finds the certificate by its thumbprint, with or without padding, and checks the signature.
fn signed_claims(directory: &Directory, jwt: &str) -> Result<Value, Reply> {
    let header = jsonwebtoken::decode_header(jwt).map_err(|error| errors::error(50_027, &error.to_string()))?;
    if !matches!(header.alg, Algorithm::PS256 | Algorithm::RS256) {
        return Err(errors::error(50_027, "Only PS256 and RS256 are accepted."));
    }
    let named = header.x5t_s256.as_deref().or(header.x5t.as_deref()).unwrap_or_default().trim_end_matches('=');
    let live = directory.live();
    let known = live.certificates.iter().find(|one| one.thumbprints.iter().any(|thumbprint| thumbprint == named));
    let Some(certificate) = known else {
        return Err(errors::error(700_027, &format!("[Reason - The key was not found., Thumbprint: '{named}']")));
    };
    let mut rules = Validation::new(header.alg);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    let token = jsonwebtoken::decode::<Value>(jwt, &certificate.key, &rules);
    token.map(|token| token.claims).map_err(|error| errors::error(700_027, &error.to_string()))
}
