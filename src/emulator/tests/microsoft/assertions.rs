//! A certificate or a foreign issuer in place of the secret.

use aws_lc_rs::digest::{Algorithm as Hash, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::engine::general_purpose::URL_SAFE;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use super::*;
use crate::emulator::{Federation, FederationKeys};

const ASSERTION_TYPE: (&str, &str) =
    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");

/// A key and its certificate.
struct Signer {
    key: KeyPair,
    pem: String,
    der: Vec<u8>,
}

impl Signer {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("an RSA key");
        let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), der: certificate.der().to_vec(), key }
    }

    fn padded(&self, hash: &'static Hash) -> String {
        URL_SAFE.encode(digest(hash, &self.der))
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        let key = EncodingKey::from_rsa_pem(self.key.serialize_pem().as_bytes()).expect("a private key");
        jsonwebtoken::encode(header, claims, &key).expect("a signature")
    }

    /// As the vendor's Python library does it: PS256, padding and all.
    fn header(&self) -> Header {
        Header { x5t_s256: Some(self.padded(&SHA256)), ..Header::new(Algorithm::PS256) }
    }
}

fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}

/// Claims with a fraction of a second and without `nbf`; the `jti` is a new one.
fn claims(emulator: &Emulator) -> Value {
    let entra = emulator.entra();
    let audience = format!("{}/{}/oauth2/v2.0/token", emulator.url(), entra.tenant_id);
    json!({"aud": audience, "iss": entra.client_id, "sub": entra.client_id, "iat": now(), "exp": now() + 600.0,
        "jti": fastrand::u64(..).to_string()})
}

fn changed(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

async fn by_assertion(emulator: &Emulator, jwt: &str) -> Answer {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &emulator.entra().client_id),
        ("scope", &scope()),
        ASSERTION_TYPE,
        ("client_assertion", jwt),
    ];
    entra(emulator, &fields).await
}

async fn with_certificate(signer: &Signer) -> Emulator {
    let mut settings = Settings::default();
    settings.entra.certificates = vec![signer.pem.clone()];
    Emulator::start(settings).await.expect("a free port and a key")
}

/// Row H18.
#[tokio::test]
async fn a_certificate_is_known_by_either_thumbprint() {
    let signer = Signer::new();
    let emulator = with_certificate(&signer).await;
    let old = signer.padded(&SHA1_FOR_LEGACY_USE_ONLY);
    let bare = signer.padded(&SHA256).trim_end_matches('=').to_owned();
    for header in [
        signer.header(),
        Header { x5t_s256: Some(bare), ..Header::new(Algorithm::RS256) },
        Header { x5t: Some(old.clone()), ..Header::new(Algorithm::RS256) },
        Header { x5t: Some(old.trim_end_matches('=').to_owned()), ..Header::new(Algorithm::PS256) },
    ] {
        let answer = by_assertion(&emulator, &signer.sign(&header, &claims(&emulator))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(part(&answer.text("access_token"), 1)["appidacr"], "2");
    }
    let entry = emulator.journal().remove(0);
    let assertion = entry.assertion.expect("an assertion");
    assert_eq!(assertion["header"]["alg"], "PS256");
    assert_eq!(assertion["claims"]["iss"], emulator.entra().client_id.as_str());
    assert!(entry.form["client_assertion"].starts_with("sha256:"));
    assert_eq!(entry.notes, ["authenticated by certificate"]);
}

#[tokio::test]
async fn what_is_wrong_with_an_assertion_is_told_by_number() {
    let signer = Signer::new();
    let emulator = with_certificate(&signer).await;
    let good = claims(&emulator);
    let used = signer.sign(&signer.header(), &good);
    assert_eq!(by_assertion(&emulator, &used).await.status, 200);
    for (name, value, status, error, number) in [
        ("aud", json!("https://login.microsoftonline.com/"), 401, "invalid_client", 700_023),
        ("sub", json!("someone"), 401, "invalid_client", 700_021),
        ("exp", json!(now() - 1.0), 401, "invalid_client", 700_024),
        ("nbf", json!(now() + 60.0), 401, "invalid_client", 700_024),
        ("exp", Value::Null, 400, "invalid_request", 50_027),
        ("jti", Value::Null, 400, "invalid_request", 50_027),
    ] {
        let jwt = signer.sign(&signer.header(), &changed(claims(&emulator), name, value));
        assert_entra_error(&by_assertion(&emulator, &jwt).await, status, error, number);
    }
    let again = by_assertion(&emulator, &used).await;
    assert_entra_error(&again, 400, "invalid_request", 50_027);
    assert_entra_error(&by_assertion(&emulator, "a.b.c").await, 400, "invalid_request", 50_027);
    // Registered, but signed by another key; and not registered at all.
    let other = Signer::new();
    for header in [signer.header(), other.header()] {
        let jwt = other.sign(&header, &claims(&emulator));
        assert_entra_error(&by_assertion(&emulator, &jwt).await, 401, "invalid_client", 700_027);
    }
    let fields = [("grant_type", "client_credentials"), ("client_id", &emulator.entra().client_id as &str)];
    let untyped = entra(&emulator, &[&fields[..], &[("client_assertion", &used)]].concat()).await;
    assert_entra_error(&untyped, 401, "invalid_client", 7_000_218);
}

/// Row H19.
#[tokio::test]
async fn certificates_are_rotated() {
    let (old, new) = (Signer::new(), Signer::new());
    let emulator = with_certificate(&old).await;
    assert!(emulator.set_entra_certificates(&[&new.pem, "none"]).is_err());
    assert_eq!(by_assertion(&emulator, &old.sign(&old.header(), &claims(&emulator))).await.status, 200);
    // A file as clients have it: the private key before the certificate.
    emulator.set_entra_certificates(&[&format!("{}{}", new.key.serialize_pem(), new.pem)]).expect("a certificate");
    let refused = by_assertion(&emulator, &old.sign(&old.header(), &claims(&emulator))).await;
    assert_entra_error(&refused, 401, "invalid_client", 700_027);
    assert_eq!(by_assertion(&emulator, &new.sign(&new.header(), &claims(&emulator))).await.status, 200);
}

#[tokio::test]
async fn an_assertion_may_come_twice_where_that_is_set() {
    let signer = Signer::new();
    let mut settings = Settings::default();
    settings.entra.certificates = vec![signer.pem.clone()];
    settings.entra.assertions_may_repeat = true;
    let emulator = Emulator::start(settings).await.expect("a free port and a key");
    let jwt = signer.sign(&signer.header(), &claims(&emulator));
    for _ in 0..2 {
        assert_eq!(by_assertion(&emulator, &jwt).await.status, 200);
    }
}

/// Rows H20 and H21.
#[tokio::test]
async fn a_foreign_jwt_has_to_fit_the_federated_credential() {
    const SUBJECT: &str = "system:serviceaccount:default:app";
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key");
    let mut settings = Settings::default();
    settings.entra.federation = Some(Federation {
        issuer: "https://cluster.example.com".to_owned(),
        audiences: Vec::new(),
        subject: SUBJECT.to_owned(),
        keys: FederationKeys::Pem(key.public_key_pem()),
    });
    let emulator = Emulator::start(settings).await.expect("a free port and a key");
    let sign = |claims: &Value| {
        let key = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).expect("a private key");
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &key).expect("a signature")
    };
    let good = json!({"iss": "https://cluster.example.com", "sub": SUBJECT, "aud": ["api://AzureADTokenExchange"],
        "exp": now() as i64 + 600});
    let answer = by_assertion(&emulator, &sign(&good)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    // Its life is Entra's, not that of the assertion, and the assertion may come again: it lies in a file.
    assert_eq!(answer.json()["expires_in"], 3600);
    assert_eq!(by_assertion(&emulator, &sign(&good)).await.status, 200);
    assert_eq!(emulator.journal()[0].notes, ["authenticated by federation"]);
    for (name, value, number) in [
        ("iss", json!("https://other.example.com"), 700_213),
        ("sub", json!("system:serviceaccount:default:other"), 700_213),
        ("aud", json!("https://nowhere.example"), 700_213),
        ("exp", json!(now() as i64 - 5), 700_024),
    ] {
        let refused = by_assertion(&emulator, &sign(&changed(good.clone(), name, value))).await;
        assert_entra_error(&refused, 401, "invalid_client", number);
    }
    let tampered = format!("{}AAAA", sign(&good).trim_end_matches(|letter| letter != '.'));
    assert_entra_error(&by_assertion(&emulator, &tampered).await, 401, "invalid_client", 700_027);
}
