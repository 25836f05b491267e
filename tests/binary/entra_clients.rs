//! The vendor's own Python libraries get tokens from the emulator: it is no kinder and no stranger than Entra, as far as
//! they can tell.

use std::fs;
use std::path::Path;
use std::process::Command;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use sidemint::emulator::{EntraSettings, Federation, FederationKeys, JournalEntry, Settings};

use crate::support::{Vendor, outcome, python};

const ISSUER: &str = "https://cluster.example.com";
const SUBJECT: &str = "system:serviceaccount:default:app";

/// What the clients are given beside the secret.
struct Proofs {
    certificate: String,
    private_key: String,
    issuer: KeyPair,
}

impl Proofs {
    fn new() -> Proofs {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("an RSA key");
        let certificate = CertificateParams::default().self_signed(&key).expect("a certificate").pem();
        let issuer = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a P-256 key");
        Proofs { certificate, private_key: key.serialize_pem(), issuer }
    }

    fn entra(&self) -> EntraSettings {
        let federation = Federation {
            issuer: ISSUER.to_owned(),
            audiences: Vec::new(),
            subject: SUBJECT.to_owned(),
            keys: FederationKeys::Pem(self.issuer.public_key_pem()),
        };
        EntraSettings {
            certificates: vec![self.certificate.clone()],
            federation: Some(federation),
            ..EntraSettings::default()
        }
    }

    fn foreign_jwt(&self) -> String {
        let key = EncodingKey::from_ec_pem(self.issuer.serialize_pem().as_bytes()).expect("a private key");
        let exp = jiff::Timestamp::now().as_second() + 3600;
        let claims = json!({"iss": ISSUER, "sub": SUBJECT, "aud": ["api://AzureADTokenExchange"], "exp": exp});
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &key).expect("a signature")
    }
}

/// What the clients got, as tests/python/entra_clients.py tells it.
fn clients(entra: &Vendor, machine: &Vendor, proofs: &Proofs, folder: &Path) -> Value {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("the folder takes files");
        path
    };
    let settings = entra.entra();
    let mut command = Command::new(python());
    command
        .args(["tests/python/entra_clients.py", "--authority", &entra.url(), "--machine", &machine.url()])
        .args(["--tenant", &settings.tenant_id, "--client-id", &settings.client_id])
        .arg("--ca")
        .arg(file("ca.pem", entra.ca_pem().expect("it serves TLS")))
        .arg("--certificate")
        .arg(file("client.pem", &format!("{}{}", proofs.private_key, proofs.certificate)))
        .arg("--token-file")
        .arg(file("token", &proofs.foreign_jwt()))
        .env_clear()
        .env("AZURE_CLIENT_SECRET", &settings.client_secret)
        .env("IDENTITY_HEADER", &settings.identity_header);
    let ended = outcome(command);
    serde_json::from_str(ended.out.trim()).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// Method and last part of the path.
fn line(entry: &JournalEntry) -> String {
    format!("{} {}", entry.method, entry.path.rsplit('/').next().unwrap_or_default())
}

/// Rows H22, H58 and H59, and the same with a certificate, a federated token, and on a virtual machine.
#[test]
fn rows_h22_h58_h59_the_vendors_libraries_get_tokens() {
    let proofs = Proofs::new();
    let entra = Vendor::with(Settings { tls: true, entra: proofs.entra(), ..Settings::default() });
    let machine = Vendor::start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let got = clients(&entra, &machine, &proofs, folder.path());
    let settings = entra.entra();
    for (client, strength) in [
        ("msal_secret", "1"),
        ("msal_certificate", "2"),
        ("environment_secret", "1"),
        ("environment_certificate", "2"),
        ("workload_identity", "2"),
    ] {
        let claims = &got[client];
        assert_eq!(claims["appid"], settings.client_id.as_str(), "{client}: {claims}");
        assert_eq!((&claims["appidacr"], &claims["tid"]), (&strength.into(), &settings.tenant_id.as_str().into()));
    }
    for client in ["app_service", "virtual_machine"] {
        assert_eq!(got[client]["appid"], machine.entra().managed_identity_id.as_str(), "{client}: {got}");
    }
    let refused = got["msal_wrong_secret"]["failed"].as_str().expect("an error");
    assert!(refused.contains("invalid_client: AADSTS7000215: "), "{refused}");
    let discovered = ["GET openid-configuration", "POST token"];
    // Two calls of one credential are one request for a token, and a federated token is asked for without discovery.
    let expected = [&discovered.repeat(5)[..], &["POST token"]].concat();
    assert_eq!(entra.journal().iter().map(line).collect::<Vec<_>>(), expected);
    let journal = entra.journal();
    let assertions: Vec<_> = journal.iter().filter_map(|entry| entry.assertion.as_ref()).collect();
    let algorithms: Vec<_> = assertions.iter().map(|assertion| assertion["header"]["alg"].as_str()).collect();
    assert_eq!(algorithms, [Some("PS256"), Some("RS256"), Some("ES256")]);
    assert!(assertions[0]["header"]["x5t#S256"].is_string() && assertions[1]["header"]["x5t"].is_string());
    assert_eq!(machine.journal().iter().map(line).collect::<Vec<_>>(), ["GET token", "GET token"]);
}
