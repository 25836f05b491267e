//! One public key (RFC 7517 section 4), if it is one that viewers' tokens can be checked with.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};
use serde_json::{Map, Value};

use crate::config::Algorithm;

/// A public key and what it is for.
pub(super) struct Key {
    pub(super) kid: Option<String>,
    /// The one algorithm that the set allows it for, if it says so.
    algorithm: Option<Algorithm>,
    kind: Kind,
    key: DecodingKey,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    fn of(algorithm: Algorithm) -> Kind {
        match algorithm {
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => Kind::Rsa,
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => Kind::Rsa,
            Algorithm::Es256 => Kind::P256,
            Algorithm::Es384 => Kind::P384,
            Algorithm::EdDsa => Kind::Ed25519,
        }
    }
}

/// Why a key is left out.
pub(super) type Unfit = &'static str;

impl Key {
    /// Reads a member of a set.
    ///
    /// # Errors
    /// Why it is of no use for checking the signatures that we take.
    pub(super) fn read(jwk: &Map<String, Value>) -> Result<Key, Unfit> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.get("use").is_some_and(|usage| usage != "sig") {
            return Err("its use is not sig");
        }
        let verifies =
            |operations: &Value| operations.as_array().is_some_and(|list| list.iter().any(|one| one == "verify"));
        if jwk.get("key_ops").is_some_and(|operations| !verifies(operations)) {
            return Err("its key_ops lack verify");
        }
        let part = |name: &str| {
            let bytes = text(name).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
            bytes.ok_or("a part of it is missing or no base64url")
        };
        let (kind, key) = match (text("kty"), text("crv")) {
            (Some("RSA"), None) => {
                let (modulus, exponent) = (part("n")?, part("e")?);
                check_rsa(&modulus, &exponent)?;
                (Kind::Rsa, DecodingKey::from_rsa_raw_components(&modulus, &exponent))
            }
            (Some("EC"), Some("P-256")) => (Kind::P256, point(&part("x")?, &part("y")?, 32, &ECDSA_P256_SHA256_FIXED)?),
            (Some("EC"), Some("P-384")) => (Kind::P384, point(&part("x")?, &part("y")?, 48, &ECDSA_P384_SHA384_FIXED)?),
            (Some("OKP"), Some("Ed25519")) => {
                let x = part("x")?;
                if x.len() != 32 {
                    return Err("its x is not as long as its curve has it");
                }
                (Kind::Ed25519, DecodingKey::from_ed_der(&x))
            }
            _ => return Err("its kty and crv are not RSA, EC with P-256 or P-384, or OKP with Ed25519"),
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => {
                let algorithm =
                    name.as_str().and_then(Algorithm::named).filter(|algorithm| Kind::of(*algorithm) == kind);
                Some(algorithm.ok_or("its alg does not go with its kty and crv, or is unknown")?)
            }
        };
        Ok(Key { kid: text("kid").map(str::to_owned), algorithm, kind, key })
    }

    /// Whether it may check this kind of signature.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind == Kind::of(algorithm) && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether it made this signature, in base64url, of this text.
    pub(super) fn verifies(&self, signature: &str, signed: &[u8], algorithm: Algorithm) -> bool {
        crypto::verify(signature, signed, &self.key, library_name(algorithm)).unwrap_or(false)
    }
}

fn library_name(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

/// Both coordinates in full length (RFC 7518 section 6.2.1.2), as an uncompressed point (SEC 1 section 2.3.3) that is
/// on its curve.
fn point(x: &[u8], y: &[u8], length: usize, curve: &'static EcdsaVerificationAlgorithm) -> Result<DecodingKey, Unfit> {
    if x.len() != length || y.len() != length {
        return Err("its coordinates are not as long as its curve has them");
    }
    let point = [&[4], x, y].concat();
    ParsedPublicKey::new(curve, &point).map_err(|_| "its point is not on its curve")?;
    Ok(DecodingKey::from_ec_der(&point))
}

/// RFC 7518 section 3.3 wants 2048 bits; more than 8192 only cost time.
fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(), Unfit> {
    let bits = match modulus.split_first() {
        // RFC 7518 section 6.3.1.1: without octets of zero in front.
        Some((first, _)) if *first != 0 => modulus.len() * 8 - first.leading_zeros() as usize,
        _ => return Err("its modulus is empty or begins with zero"),
    };
    if !(2048..=8192).contains(&bits) {
        return Err("its modulus is not of 2048 to 8192 bits");
    }
    if modulus.last().is_some_and(|last| last % 2 == 0) {
        return Err("its modulus is even");
    }
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if !is_odd || exponent.first() == Some(&0) || exponent == [1] || exponent.len() > 4 {
        return Err("its exponent is even, 1 or over 32 bits");
    }
    if has_roca_fingerprint(modulus) {
        return Err("its modulus has the fingerprint of ROCA (CVE-2017-15361)");
    }
    Ok(())
}

/// Moduli of the broken generator are powers of 65537 modulo every small prime (Nemec et al., "The Return of
/// Coppersmith's Attack", section 2.3). Of sound ones, one in 2^28 is taken for one.
fn has_roca_fingerprint(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 20] = [3, 5, 7, 11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let generator = 65_537 % prime;
        let mut power = 1;
        loop {
            if power == rest {
                return true;
            }
            power = power * generator % prime;
            if power == 1 {
                return false;
            }
        }
    })
}
