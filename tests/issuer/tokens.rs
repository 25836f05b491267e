//! Tokens, right and wrong.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::keys::SigningKey;
use super::{AUDIENCE, Issuer};

/// A token that is yet to be signed. As it begins it is right in everything: alice, from `emea`, for an hour.
#[derive(Clone)]
pub struct Token {
    key: &'static SigningKey,
    alg: &'static str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// Seconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Base64url without padding.
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a text in base64url.
pub fn unbase64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// A token of these texts, signed by this key's algorithm whatever the header says.
pub fn joined(key: &SigningKey, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", base64(header), base64(payload));
    let signature = key.sign(message.as_bytes());
    format!("{message}.{}", base64(signature))
}

/// A part of a token, decoded.
pub fn opened(token: &str, part: usize) -> Vec<u8> {
    unbase64(token.split('.').nth(part).expect("a token has three parts"))
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("no object: {other}"),
    }
}

impl Token {
    /// By this key, of this issuer.
    pub fn by(key: &'static SigningKey, issuer: &Issuer) -> Token {
        Token::of(key, &issuer.url())
    }

    /// By this key, of an issuer of this name.
    pub fn of(key: &'static SigningKey, issuer: &str) -> Token {
        let header = json!({"alg": key.alg, "kid": key.kid, "typ": "JWT"});
        let claims = json!({
            "iss": issuer, "aud": AUDIENCE, "sub": "alice", "region": "emea", "iat": now(), "exp": now() + 3600,
        });
        Token { key, alg: key.alg, header: members(header), claims: members(claims) }
    }

    /// With this member in the header; null is a value as well.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Token {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    pub fn no_header(mut self, name: &str) -> Token {
        self.header.remove(name);
        self
    }

    /// With this claim; null is a value as well.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Token {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub fn no_claim(mut self, name: &str) -> Token {
        self.claims.remove(name);
        self
    }

    /// Of this viewer.
    pub fn viewer(self, id: &str, value: &str) -> Token {
        self.claim("sub", id).claim("region", value)
    }

    /// With a name of the key that the test chooses.
    pub fn kid(self, kid: &str) -> Token {
        self.header("kid", kid)
    }

    /// Signed by another algorithm of the key's kind, which the header names.
    pub fn alg(mut self, alg: &'static str) -> Token {
        self.alg = alg;
        self.header("alg", alg)
    }

    /// Signed by another key than the header names.
    pub fn really_by(mut self, key: &'static SigningKey) -> Token {
        self.key = key;
        self.alg = key.alg;
        self
    }

    /// The header's text.
    pub fn header_text(&self) -> String {
        Value::Object(self.header.clone()).to_string()
    }

    /// The payload's text.
    pub fn payload_text(&self) -> String {
        Value::Object(self.claims.clone()).to_string()
    }

    /// The signed token.
    pub fn text(&self) -> String {
        let message = format!("{}.{}", base64(self.header_text()), base64(self.payload_text()));
        let signature = self.key.sign_as(self.alg, message.as_bytes());
        format!("{message}.{}", base64(signature))
    }

    /// What an Authorization header has to say.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.text())
    }
}
