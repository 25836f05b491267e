//! A vendor's signing key: RS256 tokens out, verified claims in, the public half as a JWKS.

use std::fmt::{self, Debug};
use std::io;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::journal::fingerprint;

/// An RSA key of 2048 bits, made at start and never written down.
pub(super) struct SigningKey {
    pair: RsaKeyPair,
    public: DecodingKey,
    jwk: Value,
    header: String,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not a token that this key signed.
    Invalid,
    /// Its time is over.
    Expired,
}

impl SigningKey {
    /// Makes a new key for tokens of this `typ` (RFC 7515 section 4.1.9).
    pub fn generate(typ: &str) -> io::Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
        // `as_ref` of the public key is the RSAPublicKey of RFC 8017 appendix A.1.1, which is what jsonwebtoken reads.
        let der = pair.public_key().as_ref();
        let public = DecodingKey::from_rsa_der(der);
        let kid = fingerprint(der);
        let mut jwk = Jwk::from_decoding_key(&public, Some(Algorithm::RS256)).map_err(io::Error::other)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let jwk = serde_json::to_value(&jwk).map_err(io::Error::other)?;
        let header = encode(&json!({"alg": "RS256", "typ": typ, "kid": kid}));
        Ok(Self { pair, public, jwk, header })
    }

    /// The published keys (RFC 7517 section 5).
    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk]})
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Value) -> String {
        let signed = format!("{}.{}", self.header, encode(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("a key of 2048 bits signs any SHA-256 digest");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a token of ours, if it is still alive.
    pub fn verify(&self, token: &str) -> Result<Value, Refused> {
        let mut rules = Validation::new(Algorithm::RS256);
        rules.leeway = 0;
        rules.validate_aud = false;
        match jsonwebtoken::decode::<Value>(token, &self.public, &rules) {
            Ok(token) => Ok(token.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(Refused::Expired),
            Err(_) => Err(Refused::Invalid),
        }
    }
}

impl Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("jwk", &self.jwk).finish_non_exhaustive()
    }
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}
