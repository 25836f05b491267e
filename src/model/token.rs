//! Tokens as opaque texts, and the little that may be read from them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::secret::{ShortHex, sha256};

/// A token of a vendor. It is handed to those who may have it and to nobody else: no `Display`,
/// and a `Debug` that shows only the fingerprint.
#[derive(Clone)]
pub struct Token {
    text: Box<str>,
    fingerprint: ShortHex,
}

impl Token {
    /// Takes a token as it came.
    pub fn new(text: &str) -> Token {
        Token { fingerprint: ShortHex::of(&sha256(text.as_bytes())), text: text.into() }
    }

    /// The token itself. Each use is a place to review.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// A short digest that identifies the token in logs and the audit trail.
    pub fn fingerprint(&self) -> &str {
        self.fingerprint.as_str()
    }

    /// The claims of a JWT (RFC 7519), unverified: they are only used to be *more* careful with a
    /// token that the vendor gave us over TLS. `None` for opaque tokens.
    pub fn claims(&self) -> Option<Claims> {
        let bytes = URL_SAFE_NO_PAD.decode(self.payload()?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whether a browser's `atob` fails on the payload. The vendor's page client reads `exp` with
    /// `atob`, which knows no base64url: `-` or `_` in the payload makes it give up the dashboard
    /// (measured with aibi-client 1.0.3).
    pub fn breaks_atob(&self) -> bool {
        self.payload().is_some_and(|payload| payload.contains(['-', '_']))
    }

    fn payload(&self) -> Option<&str> {
        let mut parts = self.text.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(payload)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.text);
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.fingerprint())
    }
}

/// What is read from a JWT's payload.
#[derive(Deserialize, Default)]
pub struct Claims {
    /// End of life in Unix seconds; vendors send integers, RFC 7519 allows fractions.
    #[serde(default)]
    exp: Option<serde_json::Value>,
    #[serde(default)]
    custom: Option<serde_json::Value>,
}

impl Claims {
    /// `exp` in whole Unix seconds, rounded down.
    pub fn exp(&self) -> Option<i64> {
        let exp = self.exp.as_ref()?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and the value is an upper bound")]
        exp.as_i64().or_else(|| exp.as_f64().map(|seconds| seconds as i64))
    }

    /// Whether `custom.claim` is there as a non-empty text.
    pub fn has_custom_claim(&self) -> bool {
        let claim = self.custom.as_ref().and_then(|custom| custom.get("claim"));
        claim.and_then(|claim| claim.as_str()).is_some_and(|claim| !claim.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> Token {
        Token::new(&format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn reads_exp_and_the_custom_claim() {
        let claims = jwt(r#"{"exp":1795284000,"custom":{"claim":"urn:x"}}"#).claims().unwrap_or_default();
        assert_eq!(claims.exp(), Some(1_795_284_000));
        assert!(claims.has_custom_claim());
        let claims = jwt(r#"{"exp":17.9}"#).claims().unwrap_or_default();
        assert_eq!(claims.exp(), Some(17));
        assert!(!claims.has_custom_claim());
        assert!(Token::new("opaque").claims().is_none());
        assert!(Token::new("a.b.c.d").claims().is_none());
    }

    #[test]
    fn row_46_a_payload_that_breaks_atob_is_noticed() {
        // `?` at an offset of 2 modulo 3 becomes `_` or `/`, depending on the alphabet.
        assert!(jwt(r#"{"a":"??????"}"#).breaks_atob());
        assert!(!jwt(r#"{"a":"emea"}"#).breaks_atob());
        assert!(!Token::new("not-a_jwt").breaks_atob());
    }

    #[test]
    fn debug_shows_the_fingerprint_only() {
        let token = Token::new("eyJhbGciOi.secret.part");
        assert_eq!(format!("{token:?}"), format!("Token({})", token.fingerprint()));
        assert_eq!(token.fingerprint().len(), 16);
    }
}
