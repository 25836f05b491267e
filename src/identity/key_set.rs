//! An issuer's keys (RFC 7517 section 5), as far as they can be trusted.

use serde_json::{Map, Value};

use super::json;
use super::jwk::Key;
use super::jws::Header;
use crate::config::Algorithm;

/// Bytes of a set.
pub const LARGEST: usize = 256 << 10;
/// Keys of a set.
const MOST: usize = 100;
/// What only who signs may know (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The keys with which an issuer signs.
pub struct KeySet {
    keys: Vec<Key>,
    skipped: usize,
}

impl KeySet {
    /// Reads a set. What is dangerous refuses all of it; a key that is merely of no use here is left out, since
    /// issuers publish keys for other purposes, too.
    ///
    /// # Errors
    /// One sentence without a word of the set.
    pub fn parse(json: &[u8]) -> Result<KeySet, String> {
        if json.len() > LARGEST {
            return Err("the set of keys is over 256 KiB".to_owned());
        }
        let set = json::object(json).ok_or("the set of keys is no JSON object, or has a member twice")?;
        let Some(Value::Array(listed)) = set.get("keys") else {
            return Err("the set of keys has no list `keys`".to_owned());
        };
        if listed.len() > MOST {
            return Err("the set has over 100 keys".to_owned());
        }
        let jwks = listed.iter().map(|key| key.as_object().ok_or("a key of the set is no JSON object"));
        let jwks: Vec<&Map<String, Value>> = jwks.collect::<Result<_, _>>()?;
        check_dangers(&jwks)?;
        let mut set = KeySet { keys: Vec::with_capacity(jwks.len()), skipped: 0 };
        let mut why = "it is empty";
        for jwk in &jwks {
            match Key::read(jwk) {
                Ok(key) => set.keys.push(key),
                Err(unfit) => {
                    set.skipped += 1;
                    why = unfit;
                }
            }
        }
        if set.keys.is_empty() {
            return Err(format!("the set has no key that viewers' tokens could be checked with: {why}"));
        }
        Ok(set)
    }

    /// How many keys there are, and how many were left out.
    pub fn size(&self) -> (usize, usize) {
        (self.keys.len(), self.skipped)
    }

    /// Whether any key is for one of these.
    pub fn fit_any(&self, algorithms: &[Algorithm]) -> bool {
        self.keys.iter().any(|key| algorithms.iter().any(|algorithm| key.fits(*algorithm)))
    }

    /// The key that a header means. One that names none means the only one that fits.
    pub(super) fn find(&self, header: &Header) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(header.algorithm));
        match &header.kid {
            Some(kid) => fitting.find(|key| key.kid.as_ref() == Some(kid)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

/// A secret in public, and two keys of one name, of which the wrong one may be asked: an issuer that publishes
/// such a thing is broken or not the issuer.
fn check_dangers(jwks: &[&Map<String, Value>]) -> Result<(), &'static str> {
    let is_secret = |jwk: &Map<String, Value>| {
        jwk.get("kty").is_some_and(|kty| kty == "oct") || PRIVATE.iter().any(|part| jwk.contains_key(*part))
    };
    if jwks.iter().any(|jwk| is_secret(jwk)) {
        return Err("the set has a symmetric or private key, which everybody could sign with");
    }
    let mut kids = Vec::new();
    for kid in jwks.iter().filter_map(|jwk| jwk.get("kid")) {
        let Some(kid) = kid.as_str() else { return Err("a `kid` of the set is no text") };
        if kids.contains(&kid) {
            return Err("the set has two keys of one `kid`");
        }
        kids.push(kid);
    }
    Ok(())
}
