//! A foreign JWT in place of the secret; TLS.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;

use super::super::{DatabricksSettings, Federation, FederationKeys};
use super::*;

const ISSUER: &str = "https://cluster.example.com";
const SUBJECT: &str = "system:serviceaccount:default:app";
const GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
const JWT_TYPE: (&str, &str) = ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");

async fn federated(keep: bool) -> (Emulator, KeyPair) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key");
    let policy = Federation {
        issuer: ISSUER.to_owned(),
        audiences: Vec::new(),
        subject: SUBJECT.to_owned(),
        keys: FederationKeys::Pem(key.public_key_pem()),
    };
    let databricks =
        DatabricksSettings { federation: Some(policy), federation_keeps_custom_claim: keep, ..Default::default() };
    let emulator = Emulator::start(Settings { databricks, ..Settings::default() }).await.expect("a port and a key");
    (emulator, key)
}

fn subject(key: &KeyPair, audience: &str, issuer: &str, exp: i64) -> String {
    let claims = json!({"iss": issuer, "sub": SUBJECT, "aud": [audience], "exp": exp});
    let key = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).expect("a private key");
    jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).expect("a signature")
}

fn in_ten_minutes() -> i64 {
    jiff::Timestamp::now().as_second() + 600
}

#[tokio::test]
async fn a_fitting_jwt_gets_a_service_token_that_dies_with_it() {
    let (emulator, key) = federated(false).await;
    let audience = format!("{}/oidc/v1/token", emulator.url());
    let exp = in_ten_minutes();
    let jwt = subject(&key, &audience, ISSUER, exp);
    let client = emulator.databricks().client_id.clone();
    let form = [GRANT, JWT_TYPE, ("scope", "all-apis"), ("subject_token", &jwt), ("client_id", &client)];
    let answer = token(&emulator, None, &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let claims = part(&answer.text("access_token"), 1);
    assert_eq!((&claims["exp"], &claims["sub"]), (&exp.into(), &client.as_str().into()));
    assert!(answer.json()["expires_in"].as_i64().is_some_and(|left| (590..=600).contains(&left)));
    assert!(token_info(&emulator, &answer.text("access_token"), DASHBOARD, "").await.status == 200);
    assert!(emulator.journal()[0].form["subject_token"].starts_with("sha256:"));
}

/// databricks.md section 10, row 42.
#[tokio::test]
async fn a_jwt_that_does_not_fit_is_an_invalid_grant() {
    let (emulator, key) = federated(false).await;
    let audience = format!("{}/oidc/v1/token", emulator.url());
    let stranger = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key");
    for jwt in [
        subject(&key, "https://elsewhere", ISSUER, in_ten_minutes()),
        subject(&key, &audience, "https://elsewhere", in_ten_minutes()),
        subject(&key, &audience, ISSUER, 1_000_000_000),
        subject(&stranger, &audience, ISSUER, in_ten_minutes()),
        "not.a.jwt".to_owned(),
    ] {
        let form = [GRANT, JWT_TYPE, ("scope", "all-apis"), ("subject_token", &jwt)];
        let refused = token(&emulator, None, &form).await;
        assert_eq!((refused.status, refused.text("error").as_str()), (400, "invalid_grant"));
    }
}

/// databricks.md section 0.6: the scoped token minted by exchange has lost its claim.
#[tokio::test]
async fn an_exchange_drops_the_custom_claim_unless_told_otherwise() {
    for keep in [false, true] {
        let (emulator, key) = federated(keep).await;
        let audience = format!("{}/oidc/v1/token", emulator.url());
        let jwt = subject(&key, &audience, ISSUER, in_ten_minutes());
        let claim = format!("urn:aibi:external_data:emea:v-1:{DASHBOARD}");
        let scope = "dashboards.query-execution";
        let form = [GRANT, JWT_TYPE, ("scope", scope), ("subject_token", &jwt), ("custom_claim", &claim)];
        let minted = token(&emulator, None, &form).await.text("access_token");
        assert_eq!(part(&minted, 1).get("custom").is_some(), keep);
    }
}

#[tokio::test]
async fn tls_is_trusted_by_who_trusts_its_authority() {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider};

    let emulator = Emulator::start(Settings { tls: true, ..Settings::default() }).await.expect("a port and a key");
    let pem = emulator.ca_pem().expect("an authority");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("an authority");
    let config = ClientConfig::builder_with_provider(std::sync::Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    for name in ["localhost", "127.0.0.1"] {
        let stream = TcpStream::connect(emulator.addr()).await.expect("a connection");
        let name = ServerName::try_from(name).expect("a name");
        let mut stream = connector.connect(name, stream).await.expect("a trusted certificate");
        stream.write_all(b"GET /_emulator/ca.pem HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
    }
    assert!(emulator.url().starts_with("https://127.0.0.1:"));
}
