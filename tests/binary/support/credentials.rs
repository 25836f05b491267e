//! What an application proves itself with to Microsoft Entra.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::json;
use sidemint::emulator::{EntraSettings, Federation, FederationKeys};

use super::Vendor;
use super::power_bi::tenant;

/// A self-signed certificate with an RSA key, as an application is registered with: both in PEM, and the thumbprint.
pub struct Certificate {
    pub public: String,
    pub private: String,
    pub thumbprint: String,
}

pub fn certificate() -> Certificate {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("an RSA key");
    let params = CertificateParams::new(Vec::new()).expect("no names are valid names");
    let certificate = params.self_signed(&key).expect("a certificate");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
    Certificate { public: certificate.pem(), private: key.serialize_pem(), thumbprint: URL_SAFE_NO_PAD.encode(digest) }
}

/// A cluster that issues tokens for its workloads.
pub struct Cluster(KeyPair);

impl Cluster {
    const ISSUER: &str = "https://cluster.example.com";
    const SUBJECT: &str = "system:serviceaccount:default:app";

    pub fn new() -> Cluster {
        Cluster(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key"))
    }

    /// A tenant whose application takes its tokens.
    pub fn vendor(&self) -> Vendor {
        let federation = Federation {
            issuer: Cluster::ISSUER.to_owned(),
            audiences: Vec::new(),
            subject: Cluster::SUBJECT.to_owned(),
            keys: FederationKeys::Pem(self.0.public_key_pem()),
        };
        tenant(EntraSettings { federation: Some(federation), ..EntraSettings::default() })
    }

    /// A token that lives so long yet, and has a number.
    pub fn token(&self, number: u32, seconds: i64) -> String {
        let exp = jiff::Timestamp::now().as_second() + seconds;
        let claims = json!({
            "iss": Cluster::ISSUER, "sub": Cluster::SUBJECT, "aud": ["api://AzureADTokenExchange"], "exp": exp,
            "jti": format!("n-{number}"),
        });
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        let signer = jsonwebtoken::EncodingKey::from_ec_pem(self.0.serialize_pem().as_bytes()).expect("a private key");
        jsonwebtoken::encode(&header, &claims, &signer).expect("a signature")
    }
}
