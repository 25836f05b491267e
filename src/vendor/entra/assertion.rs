//! The JWT with which an application proves that it has the private key of a certificate that is
//! registered for it. Source: the vendor's page "Microsoft identity platform application
//! authentication certificate credentials".

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;

use crate::model::secret::sha256;
use crate::model::{Code, Fault, Secret};

/// The vendor recommends five to ten minutes; each assertion is used at once, and once.
const LIFE: i64 = 300;
/// Clocks differ, and an assertion of the future is refused.
const SKEW: i64 = 30;

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: i64,
    iat: i64,
    exp: i64,
}

/// Signs a new assertion for this token endpoint with the key in `pem`, which holds the certificate too.
pub(super) fn sign(pem: &Secret, token_endpoint: &str, client_id: &str, now: i64) -> Result<String, Fault> {
    let certificate = CertificateDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|_| unusable("certificate_file holds no certificate in PEM"))?;
    let key = private_key(pem.expose())?;
    let header =
        Header { x5t_s256: Some(URL_SAFE_NO_PAD.encode(sha256(&certificate))), ..Header::new(Algorithm::PS256) };
    let claims = Claims {
        aud: token_endpoint,
        iss: client_id,
        sub: client_id,
        jti: random_id()?,
        nbf: now - SKEW,
        iat: now,
        exp: now + LIFE,
    };
    jsonwebtoken::encode(&header, &claims, &key)
        .map_err(|_| unusable("the private key cannot sign: it must be an RSA key of at least 2048 bits"))
}

/// The first private key in a text that may hold certificates, too.
fn private_key(pem: &str) -> Result<EncodingKey, Fault> {
    if pem.contains("ENCRYPTED") {
        return Err(unusable("the private key is encrypted, and there is no place for its password: decrypt the file"));
    }
    let section = pem.split("-----BEGIN ").find_map(|section| {
        let (label, _) = section.split_once("-----")?;
        let end = format!("-----END {label}-----");
        let body = section.get(..section.find(&end)? + end.len())?;
        label.ends_with("PRIVATE KEY").then(|| format!("-----BEGIN {body}\n"))
    });
    let section = zeroize::Zeroizing::new(section.ok_or_else(|| unusable("there is no private key in PEM"))?);
    EncodingKey::from_rsa_pem(section.as_bytes()).map_err(|_| unusable("the private key is no RSA key in PEM"))
}

/// A UUID would do; so do 128 bits without its dashes.
fn random_id() -> Result<String, Fault> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Fault::new(Code::Internal, "no random numbers can be had"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn unusable(why: &'static str) -> Fault {
    Fault::new(Code::CredentialsRejected, why)
}
