//! `sidemint check --live`: each step to the vendor, and what to change where one fails.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use sidemint::emulator::{DatabricksSettings, Federation, FederationKeys};

use crate::support::config::Files;
use crate::support::process::Ended;
use crate::support::{Settings, Vendor, run};

fn check(files: &Files) -> Ended {
    run(&["check", "--live", "--config", &files.config()], [])
}

fn of(vendor: &Vendor) -> Files {
    Files::new(vendor, &Settings::default())
}

/// The failing step; all before it went well, none came after it.
fn failed_at(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.out.trim_end().lines().last().unwrap_or_default();
    assert_eq!(ended.out.matches("FAIL").count(), 1, "{}", ended.out);
    assert!(ended.err.contains("1 of 1 upstream(s) failed"), "{}", ended.err);
    last.strip_prefix("FAIL  ").unwrap_or_else(|| panic!("the last step did not fail: {}", ended.out))
}

#[test]
fn all_steps_of_a_good_config_go_well() {
    let vendor = Vendor::start();
    let ended = check(&of(&vendor));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let steps =
        ["resolve", "connect", "TLS and HTTP", "service token", "token info of embed sales", "mint for embed sales"];
    for step in steps {
        assert!(ended.out.contains(&format!("ok    {step}")), "{step} is missing in\n{}", ended.out);
    }
}

#[test]
fn a_wrong_secret_is_told_apart_and_not_repeated() {
    let vendor = Vendor::start();
    let files = of(&vendor);
    files.write("secret", "dosecanary00wrong");
    let ended = check(&files);
    let said = failed_at(&ended);
    assert!(said.starts_with("service token: ") && said.contains("invalid_client"), "{said}");
    assert!(!format!("{ended:?}").contains("dosecanary"), "{ended:?}");
}

#[test]
fn a_dashboard_that_is_not_there_is_told_apart() {
    let vendor = Vendor::start();
    let files = of(&vendor);
    let text = files.text(&vendor, &Settings::default());
    files.write("config.yaml", &text.replace(vendor.dashboard(), "01f1ffffffffffffffffffffffffffff"));
    let ended = check(&files);
    let said = failed_at(&ended);
    assert!(said.starts_with("token info of embed sales: "), "{said}");
    assert!(said.contains("publish") || said.contains("RESOURCE_DOES_NOT_EXIST"), "{said}");
}

#[test]
fn a_port_where_nothing_listens_is_told_apart() {
    let vendor = Vendor::start();
    let files = of(&vendor);
    drop(vendor);
    let ended = check(&files);
    assert!(failed_at(&ended).starts_with("connect: "), "{ended:?}");
}

#[test]
fn a_host_without_an_address_is_told_apart() {
    let vendor = Vendor::start();
    let files = of(&vendor);
    let text = files.text(&vendor, &Settings::default());
    files.write("config.yaml", &text.replace(&vendor.url(), "https://nowhere.invalid"));
    let ended = check(&files);
    assert!(failed_at(&ended).starts_with("resolve: nowhere.invalid"), "{ended:?}");
}

#[test]
fn a_missing_secret_file_is_named() {
    let vendor = Vendor::start();
    let files = of(&vendor);
    std::fs::remove_file(files.path("secret")).expect("it was there");
    let ended = check(&files);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains(&files.path("secret").display().to_string()), "{ended:?}");
}

/// Row 41: the vendor drops `custom.claim` from tokens that were minted with a federated identity.
#[test]
fn row_41_a_federated_identity_fails_at_the_mint_and_is_told_why() {
    const ISSUER: &str = "https://cluster.example.com";
    const SUBJECT: &str = "system:serviceaccount:default:app";
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key");
    let federation = Federation {
        issuer: ISSUER.to_owned(),
        audiences: vec!["sidemint".to_owned()],
        subject: SUBJECT.to_owned(),
        keys: FederationKeys::Pem(key.public_key_pem()),
    };
    let vendor = Vendor::of(DatabricksSettings { federation: Some(federation), ..Default::default() });
    let exp = jiff::Timestamp::now().as_second() + 600;
    let claims = json!({"iss": ISSUER, "sub": SUBJECT, "aud": ["sidemint"], "exp": exp});
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
    let signer = jsonwebtoken::EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).expect("a private key");
    let files = of(&vendor);
    files.write("federated", &jsonwebtoken::encode(&header, &claims, &signer).expect("a signature"));
    let text = files.text(&vendor, &Settings::default());
    let (secret, token) = (files.path("secret"), files.path("federated"));
    let auth = format!("client_secret_file: {}", secret.display());
    files.write("config.yaml", &text.replace(&auth, &format!("federated_token_file: {}", token.display())));
    let ended = check(&files);
    let said = failed_at(&ended);
    assert!(said.starts_with("mint for embed sales: "), "{said}");
    assert!(said.contains("custom.claim") && said.contains("use an OAuth client secret"), "{said}");
}
