//! A federated token in place of the secret.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use sidemint::emulator::{DatabricksSettings, Emulator, Federation, FederationKeys, Operation};

use crate::support::{Setup, Stage, claims, file_with, let_pass, ms, until};

const ISSUER: &str = "https://cluster.example.com";
const SUBJECT: &str = "system:serviceaccount:default:app";

/// A workspace that trusts the issuer, and the issuer's key.
async fn workspace(keeps_custom_claim: bool) -> (Emulator, KeyPair) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key");
    let policy = Federation {
        issuer: ISSUER.to_owned(),
        audiences: Vec::new(),
        subject: SUBJECT.to_owned(),
        keys: FederationKeys::Pem(key.public_key_pem()),
    };
    let settings = DatabricksSettings {
        federation: Some(policy),
        federation_keeps_custom_claim: keeps_custom_claim,
        ..DatabricksSettings::default()
    };
    (Setup::vendor(settings).await, key)
}

/// A token of the issuer for the workspace; `life` in seconds.
fn subject_token(vendor: &Emulator, key: &KeyPair, life: i64) -> String {
    token_for(&format!("{}/oidc/v1/token", vendor.url()), key, jiff::Timestamp::now().as_second() + life)
}

fn token_for(audience: &str, key: &KeyPair, exp: i64) -> String {
    let claims = json!({"iss": ISSUER, "sub": SUBJECT, "aud": [audience], "exp": exp});
    let key = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).expect("a private key");
    jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).expect("a signature")
}

#[tokio::test]
async fn rows_39_and_40_the_file_is_exchanged_and_its_end_is_the_token_s() {
    let (vendor, key) = workspace(true).await;
    let jwt = subject_token(&vendor, &key, 600);
    let (path, _folder) = file_with(&format!("{jwt}\r\n"));
    let setup = Setup::default().federated(&vendor, &path);
    let stage = setup.beside(vendor).await;
    let token = stage.renew("v-1", "emea").await.token();
    let journal = stage.vendor.journal();
    let service = &journal[0];
    assert_eq!((service.operation, service.auth_scheme.as_deref()), (Operation::ServiceToken, None));
    assert_eq!(service.form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(service.form["subject_token_type"], "urn:ietf:params:oauth:token-type:jwt");
    assert_eq!(service.form["client_id"], stage.vendor.databricks().client_id);
    assert_eq!(service.form["scope"], "all-apis");
    // The white space around the token was taken off, or the vendor would have refused it.
    assert_eq!(service.status, Some(200));
    assert!(!service.headers.contains_key("authorization"));
    let exp = claims(&jwt)["exp"].as_f64().expect("exp");
    let series = r#"sidemint_service_token_expiry_timestamp_seconds{upstream="acme"}"#;
    let expiry = stage.metric(series).await.expect("a service token was got");
    assert!((exp - 2.0..=exp).contains(&expiry), "{expiry} is not {exp}");
    assert!(!claims(&token)["custom"]["claim"].is_null());
}

/// The file is read at each use: kubelet rotates it without a word.
#[tokio::test]
async fn row_39_a_rotated_file_is_used_at_once() {
    let (vendor, key) = workspace(true).await;
    let (path, _folder) = file_with(&subject_token(&vendor, &key, 3000));
    let setup = Setup::default().federated(&vendor, &path);
    let stage = setup.beside(vendor).await;
    stage.renew("v-1", "emea").await.token();
    std::fs::write(&path, subject_token(&stage.vendor, &key, 2000)).unwrap();
    stage.renew("v-2", "emea").await.token();
    let journal = stage.vendor.journal();
    let offered: Vec<&String> = journal.iter().filter_map(|entry| entry.form.get("subject_token")).collect();
    let [service, first, second] = offered[..] else { panic!("three exchanges") };
    assert_eq!(service, first);
    assert_ne!(first, second);
}

#[tokio::test]
async fn row_41_a_scoped_token_that_lost_its_claim_is_a_clear_error() {
    let (vendor, key) = workspace(false).await;
    let (path, _folder) = file_with(&subject_token(&vendor, &key, 3000));
    let setup = Setup::default().federated(&vendor, &path);
    let stage = setup.beside(vendor).await;
    for _ in 0..3 {
        let reply = stage.renew("v-1", "emea").await;
        assert_eq!(reply.refusal(), (502, "upstream_rejected".to_owned()));
        let detail = reply.detail();
        assert!(detail.contains("custom.claim") && detail.contains("secret"), "{detail}");
        assert!(!reply.text().contains("eyJ"));
    }
    assert_eq!(stage.counts(), (1, 1, 1));
    // The service token is there, so routes and probes are well.
    assert_eq!(stage.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn row_42_a_subject_token_that_does_not_fit_is_no_storm() {
    let (vendor, key) = workspace(true).await;
    let exp = jiff::Timestamp::now().as_second() + 600;
    let (path, _folder) = file_with(&token_for("https://elsewhere", &key, exp));
    let setup = Setup::default().federated(&vendor, &path);
    let stage = setup.beside(vendor).await;
    for number in 0..20 {
        let reply = stage.renew(&format!("v-{number}"), "emea").await;
        assert_eq!(reply.refusal(), (502, "upstream_credentials_rejected".to_owned()));
        assert!(reply.detail().contains("audience") && reply.detail().contains("invalid_grant"), "{}", reply.detail());
        assert!(!reply.text().contains("eyJ"));
        let_pass(ms(20)).await;
    }
    assert_eq!(stage.operations(), ["service_token"]);
    // One that fits is used as soon as the memory of the failure is over, without a restart.
    std::fs::write(&path, subject_token(&stage.vendor, &key, 3000)).unwrap();
    until("the new token is used", async || stage.renew("v-1", "emea").await.status == 200).await;
}

#[tokio::test]
async fn a_federated_token_that_is_missing_is_named() {
    let (vendor, _) = workspace(true).await;
    let (path, _folder) = file_with("");
    let setup = Setup::default().federated(&vendor, &path);
    let stage: Stage = setup.beside(vendor).await;
    let reply = stage.renew("v-1", "emea").await;
    assert_eq!(reply.refusal(), (502, "upstream_credentials_rejected".to_owned()));
    assert!(reply.detail().contains(&path.display().to_string()), "{}", reply.detail());
    assert_eq!(stage.operations(), Vec::<&str>::new());
}
