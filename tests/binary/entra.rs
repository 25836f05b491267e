//! Every way to prove oneself to Microsoft Entra, and what happens when the proof changes.

use std::time::{Duration, Instant};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use sidemint::emulator::{EntraSettings, Operation};

use crate::support::credentials::{Certificate, Cluster, certificate};
use crate::support::power_bi::{PowerBi, asked, tenant};
use crate::support::{PATIENCE, Sidecar, Vendor, run};

fn knowing(certificates: &[&Certificate]) -> Vendor {
    let certificates = certificates.iter().map(|one| one.public.clone()).collect();
    tenant(EntraSettings { certificates, ..EntraSettings::default() })
}

/// A viewer for whom the service token has to be got anew, since the vendor takes the old one no more.
fn with_another_service_token(vendor: &Vendor, sidecar: &Sidecar, viewer: &str) -> u16 {
    vendor.revoke_entra_tokens();
    vendor.clear_journal();
    sidecar.renew(viewer).status
}

#[test]
fn row_h18_a_certificate_signs_a_new_assertion_each_time() {
    let own = certificate();
    let vendor = knowing(&[&own]);
    let client_id = vendor.entra().client_id.clone();
    let two_files = "certificate_file: FOLDER/cert.pem, private_key_file: FOLDER/key.pem";
    for (auth, cert) in [
        (two_files, own.public.clone()),
        ("certificate_file: FOLDER/cert.pem", format!("{}{}", own.public, own.private)),
        ("certificate_file: FOLDER/cert.pem", format!("{}{}", own.private, own.public)),
    ] {
        vendor.clear_journal();
        let scene = PowerBi { auth: format!("auth: {{client_id: {client_id}, {auth}}}"), ..PowerBi::of(&vendor) };
        let files = scene.files(&vendor);
        files.write("cert.pem", &cert);
        files.write("key.pem", &own.private);
        let sidecar = Sidecar::of(files, &[]).ready();
        assert_eq!(sidecar.renew("u-1").status, 200);
        let mut all = asked(&vendor, Operation::EntraToken);
        assert_eq!(with_another_service_token(&vendor, &sidecar, "u-2"), 200);
        all.extend(asked(&vendor, Operation::EntraToken));
        assert_eq!(all.len(), 2);
        let mut ids = Vec::new();
        for entry in &all {
            assert_eq!(entry.notes, ["authenticated by certificate"]);
            assert_eq!(entry.form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            assert!(!entry.form.contains_key("client_secret"));
            let assertion = entry.assertion.as_ref().expect("an assertion");
            let (header, claims) = (&assertion["header"], &assertion["claims"]);
            assert_eq!((&header["alg"], &header["typ"]), (&json!("PS256"), &json!("JWT")));
            assert_eq!(header["x5t#S256"], own.thumbprint.as_str());
            assert_eq!(claims["aud"], format!("{}{}", vendor.url(), entry.path));
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!(client_id), &json!(client_id)));
            let life = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
            assert!(life.is_some_and(|life| (300..=600).contains(&life)), "{claims}");
            ids.push(claims["jti"].clone());
        }
        assert_ne!(ids[0], ids[1]);
    }
}

#[test]
fn row_h19_a_certificate_that_was_rotated_is_read_again_when_the_old_one_is_refused() {
    let (old, new) = (certificate(), certificate());
    let vendor = knowing(&[&old]);
    let auth = "certificate_file: FOLDER/cert.pem, private_key_file: FOLDER/key.pem";
    let auth = format!("auth: {{client_id: {}, {auth}}}", vendor.entra().client_id);
    let files = PowerBi { auth, ..PowerBi::of(&vendor) }.files(&vendor);
    files.write("cert.pem", &old.public);
    files.write("key.pem", &old.private);
    let sidecar = Sidecar::of(files, &[]).ready();
    assert_eq!(sidecar.renew("u-1").status, 200);
    vendor.set_entra_certificates(&[&new.public]).expect("an RSA certificate");
    sidecar.files.write("cert.pem", &new.public);
    sidecar.files.write("key.pem", &new.private);
    assert_eq!(with_another_service_token(&vendor, &sidecar, "u-2"), 200);
    let thumbprints: Vec<_> = asked(&vendor, Operation::EntraToken)
        .into_iter()
        .map(|entry| entry.assertion.map(|assertion| assertion["header"]["x5t#S256"].clone()).unwrap_or_default())
        .collect();
    // One, if the files were looked at in just this moment.
    assert!(matches!(thumbprints.len(), 1 | 2), "{thumbprints:?}");
    assert_eq!(thumbprints.last(), Some(&json!(new.thumbprint)));
}

#[test]
fn row_h19_a_certificate_that_stays_refused_is_offered_once() {
    let own = certificate();
    let vendor = knowing(&[]);
    let auth = format!("auth: {{client_id: {}, certificate_file: FOLDER/cert.pem}}", vendor.entra().client_id);
    let files = PowerBi { auth, ..PowerBi::of(&vendor) }.files(&vendor);
    files.write("cert.pem", &format!("{}{}", own.public, own.private));
    let sidecar = Sidecar::of(files, &[]);
    for number in 0..20 {
        let reply = sidecar.renew(&format!("u-{number}"));
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_credentials_rejected"), "{}", reply.text());
        let detail = reply.json()["detail"].as_str().map(str::to_owned).unwrap_or_default();
        assert!(detail.contains("AADSTS700027") && detail.contains("the certificate is not registered"), "{detail}");
    }
    assert_eq!(vendor.count(Operation::EntraToken), 1);
}

/// What is no certificate, no key, or no pair is told before anything is sent.
#[test]
fn a_certificate_that_cannot_sign_is_told_apart() {
    let own = certificate();
    let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key").serialize_pem();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let vendor = knowing(&[&own]);
    let auth = "auth: {client_id: c, certificate_file: FOLDER/cert.pem, private_key_file: FOLDER/key.pem}".to_owned();
    let files = PowerBi { auth, ..PowerBi::of(&vendor) }.files(&vendor);
    for (cert, key, says) in [
        ("no PEM", own.private.as_str(), "certificate_file holds no certificate in PEM"),
        (own.public.as_str(), "no PEM", "there is no private key in PEM"),
        (&own.public, &curve, "no RSA key"),
        (&own.public, encrypted, "encrypted"),
    ] {
        files.write("cert.pem", cert);
        files.write("key.pem", key);
        let ended = run(&["check", "--live", "--config", &files.config()], []);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.out.contains("FAIL  service token: ") && ended.out.contains(says), "{says}: {ended:?}");
        assert!(!format!("{ended:?}").contains("PRIVATE KEY-----"), "{ended:?}");
    }
    assert_eq!(vendor.count(Operation::EntraToken), 0);
}

fn federated(vendor: &Vendor) -> PowerBi {
    let id = &vendor.entra().client_id;
    let auth = format!("auth: {{client_id: {id}, federated_token_file: FOLDER/federated}}");
    PowerBi { auth, ..PowerBi::of(vendor) }
}

#[test]
fn row_h20_the_file_of_a_federated_token_is_read_each_time() {
    let cluster = Cluster::new();
    let vendor = cluster.vendor();
    let files = federated(&vendor).files(&vendor);
    files.write("federated", &cluster.token(1, 600));
    let sidecar = Sidecar::of(files, &[]).ready();
    assert_eq!(sidecar.renew("u-1").status, 200);
    assert_eq!(asked(&vendor, Operation::EntraToken)[0].notes, ["authenticated by federation"]);
    sidecar.files.write("federated", &format!("{}\n", cluster.token(2, 600)));
    assert_eq!(with_another_service_token(&vendor, &sidecar, "u-2"), 200);
    let asked = asked(&vendor, Operation::EntraToken);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].assertion.as_ref().map(|jwt| jwt["claims"]["jti"].clone()), Some(json!("n-2")));
}

#[test]
fn row_h21_a_stale_federated_token_is_told_with_a_hint_at_the_clock() {
    let cluster = Cluster::new();
    let vendor = cluster.vendor();
    let files = federated(&vendor).files(&vendor);
    files.write("federated", &cluster.token(1, -60));
    let sidecar = Sidecar::of(files, &[]);
    for number in 0..20 {
        let reply = sidecar.renew(&format!("u-{number}"));
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_credentials_rejected"), "{}", reply.text());
        let detail = reply.json()["detail"].as_str().map(str::to_owned).unwrap_or_default();
        assert!(detail.contains("AADSTS700024") && detail.contains("check the clock"), "{detail}");
        assert!(detail.contains("federated_token_file is still renewed"), "{detail}");
    }
    assert!(vendor.count(Operation::EntraToken) <= 2);
}

#[test]
fn row_h16_a_new_secret_in_the_file_ends_a_rejection_without_a_restart() {
    let vendor = Vendor::start();
    let secret = vendor.entra().client_secret.clone();
    vendor.expire_entra_secret(&secret);
    vendor.set_entra_secrets(&["emu8Q~new"]);
    let sidecar = PowerBi::of(&vendor).start(&vendor, &[]);
    let reply = sidecar.renew("u-1");
    assert!(reply.status == 502 && reply.text().contains("AADSTS7000222"), "{}", reply.text());
    sidecar.files.write("secret", "emu8Q~new");
    let deadline = Instant::now() + PATIENCE;
    while sidecar.renew("u-1").status != 200 {
        assert!(Instant::now() < deadline, "the new secret is not used");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(vendor.count(Operation::EntraToken), 2, "one no, one yes");
}
