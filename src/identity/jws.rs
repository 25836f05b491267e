//! One token in the compact serialization (RFC 7515 section 7.1): its shape, its header, its signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{KeySet, Refusal, json};
use crate::config::Algorithm;

/// Bytes of a token. An 8 MiB one costs 100 ms of a core before its signature is looked at.
pub const LONGEST: usize = 16 << 10;
/// Bytes of a key id.
const LONGEST_KID: usize = 256;

/// A token whose signature is yet to be checked: nothing that it says is to be believed.
pub struct Unverified<'a> {
    header: Header,
    signed: &'a str,
    signature: &'a str,
    payload: Vec<u8>,
}

/// What a header says that matters here.
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// The first gate of shape and header that it does not fit.
    pub fn read(token: &'a str, algorithms: &[Algorithm]) -> Result<Unverified<'a>, Refusal> {
        if token.len() > LONGEST {
            return Err(Refusal::TooLong);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Shape);
        };
        // Strict: bits behind the end would let one token be written in several ways.
        let decode =
            |part: &str| URL_SAFE_NO_PAD.decode(part).ok().filter(|bytes| !bytes.is_empty()).ok_or(Refusal::Shape);
        decode(signature)?;
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let header = read_header(&decode(header)?, algorithms)?;
        Ok(Unverified { header, signed, signature, payload: decode(payload)? })
    }

    /// The payload, if one of these keys has signed it. Keys come from the issuer alone: what a header offers
    /// (`jwk`, `jku`, `x5u`, `x5c`) is never looked at.
    ///
    /// # Errors
    /// The key is not there, or did not sign this.
    pub fn payload(&self, keys: &KeySet) -> Result<&[u8], Refusal> {
        let key = keys.find(&self.header).ok_or(Refusal::UnknownKey)?;
        let is_sound = key.verifies(self.signature, self.signed.as_bytes(), self.header.algorithm);
        if is_sound { Ok(&self.payload) } else { Err(Refusal::Signature) }
    }
}

fn read_header(json: &[u8], algorithms: &[Algorithm]) -> Result<Header, Refusal> {
    let header = json::object(json).ok_or(Refusal::Header("is no JSON object, or has a member twice"))?;
    // What we do not understand and must (RFC 7515 section 4.1.11), a payload that is not encoded (RFC 7797), a
    // token in a token, and encryption.
    for (name, refusal) in [
        ("crit", "has `crit`, of which nothing is supported"),
        ("b64", "has `b64`"),
        ("cty", "has `cty`: nested tokens are not taken"),
        ("zip", "has `zip`"),
        ("enc", "has `enc`: encrypted tokens are not taken"),
    ] {
        if header.contains_key(name) {
            return Err(Refusal::Header(refusal));
        }
    }
    let typ = header.get("typ").map(|typ| typ.as_str().unwrap_or_default());
    if typ.is_some_and(|typ| !is_accepted(typ)) {
        return Err(Refusal::Header("has a `typ` other than JWT and at+jwt"));
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= LONGEST_KID => Some(kid.clone()),
        Some(_) => return Err(Refusal::Header("has a `kid` that is no text of at most 256 bytes")),
    };
    let named = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
    let algorithm = named.filter(|algorithm| algorithms.contains(algorithm));
    let algorithm = algorithm.ok_or(Refusal::Header("has an `alg` that is not in viewers.jwt.algorithms"))?;
    Ok(Header { algorithm, kid })
}

/// RFC 7519 section 5.1, RFC 9068 section 2.1; `application/` may stand before it (RFC 7515 section 4.1.9).
fn is_accepted(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}
