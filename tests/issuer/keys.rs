//! Signing keys: each is made once for each process and never written down.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use super::tokens::{base64, unbase64};

/// A private key, its algorithm and the name that it is published under.
pub struct SigningKey {
    pub kid: &'static str,
    pub alg: &'static str,
    pair: Pair,
}

/// By which an RSA key may sign.
const RSA_NAMES: [&str; 6] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// RSA of 2048 bits; the usual key.
pub fn rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::rsa("rsa-1"))
}

/// Another one, which is published where a test does so.
pub fn other_rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::rsa("rsa-2"))
}

pub fn p256() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::ec("ec-1", "ES256", &ECDSA_P256_SHA256_FIXED_SIGNING))
}

/// Another one, which is published where a test does so.
pub fn other_p256() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::ec("ec-2", "ES256", &ECDSA_P256_SHA256_FIXED_SIGNING))
}

pub fn p384() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::ec("ec-384", "ES384", &ECDSA_P384_SHA384_FIXED_SIGNING))
}

pub fn ed25519() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = Ed25519KeyPair::generate().expect("a new key");
        SigningKey { kid: "ed-1", alg: "EdDSA", pair: Pair::Ed(pair) }
    })
}

impl SigningKey {
    /// A key of somebody else, who has published its private half; none of a kind that nobody here signs with. Where the
    /// algorithm that it is published for is not one of its kind, it signs by the usual one.
    pub fn of_jwk(jwk: &Value) -> Option<&'static SigningKey> {
        let part = |name: &str| jwk[name].as_str().map(unbase64);
        let kid = &*Box::leak(jwk["kid"].as_str()?.to_owned().into_boxed_str());
        let alg = jwk["alg"].as_str().and_then(|alg| RSA_NAMES.into_iter().find(|name| *name == alg));
        let (pair, alg) = match (jwk["kty"].as_str()?, jwk["crv"].as_str()) {
            ("RSA", None) => {
                let public_key = PublicKeyComponents { n: part("n")?, e: part("e")? };
                let components = KeyPairComponents {
                    public_key,
                    d: part("d")?,
                    p: part("p")?,
                    q: part("q")?,
                    dP: part("dp")?,
                    dQ: part("dq")?,
                    qInv: part("qi")?,
                };
                (Pair::Rsa(Box::new(RsaKeyPair::from_components(&components).ok()?)), alg.unwrap_or("RS256"))
            }
            ("EC", Some("P-256")) => {
                let point = [vec![4], part("x")?, part("y")?].concat();
                let made = EcdsaKeyPair::from_private_key_and_public_key;
                (Pair::Ec(made(&ECDSA_P256_SHA256_FIXED_SIGNING, &part("d")?, &point).ok()?), "ES256")
            }
            _ => return None,
        };
        Some(Box::leak(Box::new(SigningKey { kid, alg, pair })))
    }

    fn rsa(kid: &'static str) -> SigningKey {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a new key");
        SigningKey { kid, alg: "RS256", pair: Pair::Rsa(Box::new(pair)) }
    }

    fn ec(kid: &'static str, alg: &'static str, algorithm: &'static EcdsaSigningAlgorithm) -> SigningKey {
        SigningKey { kid, alg, pair: Pair::Ec(EcdsaKeyPair::generate(algorithm).expect("a new key")) }
    }

    /// The public half as it is published.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.bare_jwk();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.alg);
        jwk
    }

    /// The same under another name.
    pub fn jwk_named(&self, kid: &str) -> Value {
        self.jwk_with("kid", kid)
    }

    /// The same with a member of the test's own; null takes it away.
    pub fn jwk_with(&self, name: &str, value: impl Into<Value>) -> Value {
        let mut jwk = self.jwk();
        let members = jwk.as_object_mut().expect("a key is an object");
        match value.into() {
            Value::Null => members.remove(name),
            value => members.insert(name.to_owned(), value),
        };
        jwk
    }

    /// The public half with nothing but the key itself.
    pub fn bare_jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let [n, e] = integers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": base64(n), "e": base64(e)})
            }
            Pair::Ec(pair) => {
                // `04 || x || y` (SEC 1 section 2.3.3).
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(point.len() / 2);
                let crv = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": crv, "x": base64(x), "y": base64(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(pair.public_key().as_ref())}),
        }
    }

    /// The private number of a key on a curve, which nobody should ever publish.
    pub fn private_part(&self) -> String {
        match &self.pair {
            Pair::Rsa(_) => panic!("this library does not give it away"),
            Pair::Ec(pair) => {
                let private: aws_lc_rs::encoding::EcPrivateKeyBin<'_> =
                    pair.private_key().as_be_bytes().expect("a private key has a number");
                base64(private.as_ref())
            }
            Pair::Ed(pair) => {
                let seed = pair.seed().expect("a private key has a seed");
                base64(seed.as_be_bytes().expect("a seed is bytes").as_ref())
            }
        }
    }

    /// A signature by the key's own algorithm.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.sign_as(self.alg, message)
    }

    /// A signature by this algorithm, which has to be one of the key's kind.
    pub fn sign_as(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding(alg), &random, message, &mut signature).expect("2048 bits sign any digest");
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

fn padding(alg: &str) -> &'static dyn RsaEncoding {
    match alg {
        "RS256" => &RSA_PKCS1_SHA256,
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        other => panic!("no RSA key signs by {other}"),
    }
}

/// The two integers of an RSAPublicKey (RFC 8017 appendix A.1.1), without the zero that keeps DER positive.
fn integers(der: &[u8]) -> [&[u8]; 2] {
    let (sequence, _) = element(der);
    let (n, rest) = element(sequence);
    let (e, _) = element(rest);
    [n, e].map(|number| number.strip_prefix(&[0]).unwrap_or(number))
}

/// The content of the first element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (head, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let digits = &der[2..2 + usize::from(long & 0x7f)];
            (2 + digits.len(), digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)))
        }
    };
    der[head..].split_at(length)
}
