//! The vendor's own SDKs, unmodified, take their token from the sidecar: two variables, and no credential.

use std::process::Command;

use serde_json::{Value, json};
use sidemint::emulator::Operation;

use crate::support::http::send;
use crate::support::{Settings, Sidecar, Vendor, outcome, python, tool};

type Sdk = fn(&Vendor, &[(&str, String)]) -> Value;

const SDKS: [(&str, Sdk); 2] = [("Python", python_sdk), ("JavaScript", javascript_sdk)];

/// What the Python SDK got, as tests/python/sdk_against_emulator.py tells it.
fn python_sdk(vendor: &Vendor, variables: &[(&str, String)]) -> Value {
    let mut command = Command::new(python());
    command.args(["tests/python/sdk_against_emulator.py", "--dashboard-id", vendor.dashboard()]).args([
        "--viewer-id",
        "u-1",
        "--external-value",
        "emea",
    ]);
    told(command, variables)
}

/// What the JavaScript SDK got, as tests/node/sdk_against_sidecar.mjs tells it.
fn javascript_sdk(_: &Vendor, variables: &[(&str, String)]) -> Value {
    let mut command = Command::new(tool("SIDEMINT_TEST_NODE"));
    command.arg("tests/node/sdk_against_sidecar.mjs").arg(tool("SIDEMINT_TEST_DATABRICKS_SDK"));
    told(command, variables)
}

/// The line of a program that has these variables and no others.
fn told(mut command: Command, variables: &[(&str, String)]) -> Value {
    command.env_clear().envs(variables.iter().cloned());
    let ended = outcome(command);
    serde_json::from_str(ended.out.trim()).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn opened(vendor: &Vendor, server: &'static str) -> Sidecar {
    let settings = Settings { server, upstream: "metadata_service: true".to_owned(), ..Settings::default() };
    Sidecar::with(vendor, &settings).ready()
}

fn url(sidecar: &Sidecar) -> String {
    format!("http://{}/v1/upstreams/acme/databricks-metadata", sidecar.listen)
}

/// The two variables that the README names.
fn two(host: &str, sidecar: &Sidecar) -> [(&'static str, String); 2] {
    [("DATABRICKS_HOST", host.to_owned()), ("DATABRICKS_METADATA_SERVICE_URL", url(sidecar))]
}

/// The token is good for real calls, and it is the sidecar's: the vendor was asked for one only once.
#[test]
fn row_57_an_sdk_program_runs_unchanged_with_two_variables() {
    let vendor = Vendor::start();
    let sidecar = opened(&vendor, "");
    for (name, sdk) in SDKS {
        let got = sdk(&vendor, &two(&vendor.url(), &sidecar));
        assert_eq!((&got["ok"], &got["error"]), (&json!(true), &json!(null)), "{name}: {got}");
        assert_eq!((&got["auth_type"], &got["scheme"]), (&json!("metadata-service"), &json!("Bearer")), "{name}");
        assert_eq!(got["token_claims"]["sub"], vendor.databricks().client_id.as_str(), "{name}: {got}");
        assert!(got["me"].as_str().is_some_and(|me| !me.is_empty()), "{name}: {got}");
    }
    assert_eq!((vendor.count(Operation::ServiceToken), vendor.count(Operation::Me)), (1, 2));
}

/// `localhost` is the other name that the SDKs take; a slash behind the host says nothing. A program may also have
/// credentials that are no good, as long as it says what it wants, and a caller secret is no matter of an SDK.
#[test]
fn row_57_nor_do_other_variables_and_names_get_in_the_way() {
    let vendor = Vendor::start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let secret = folder.path().join("caller");
    std::fs::write(&secret, "correct-horse-battery").expect("a file can be written");
    let server = format!("caller_token_file: {}", secret.display());
    let sidecar = opened(&vendor, server.leak());
    let variables = [
        ("DATABRICKS_HOST", format!("{}/", vendor.url())),
        ("DATABRICKS_METADATA_SERVICE_URL", url(&sidecar).replace("127.0.0.1", "localhost")),
        ("DATABRICKS_AUTH_TYPE", "metadata-service".to_owned()),
        ("DATABRICKS_CLIENT_ID", "nobody".to_owned()),
        ("DATABRICKS_CLIENT_SECRET", "wrong".to_owned()),
    ];
    for (name, sdk) in SDKS {
        let got = sdk(&vendor, &variables);
        assert_eq!((&got["ok"], &got["auth_type"]), (&json!(true), &json!("metadata-service")), "{name}: {got}");
    }
}

/// The SDKs ask as they always do, and understand the refusal as one.
#[test]
fn row_56_an_sdk_of_another_host_or_upstream_gets_no_token() {
    let vendor = Vendor::start();
    let other = Vendor::start();
    let sidecar = opened(&vendor, "");
    let closed = Sidecar::start(&vendor).ready();
    vendor.clear_journal();
    for (name, sdk) in SDKS {
        for (what, variables) in [("host", two(&other.url(), &sidecar)), ("closed", two(&vendor.url(), &closed))] {
            // Without it they would go on to look for other clouds' credentials, over the network.
            let only = ("DATABRICKS_AUTH_TYPE", "metadata-service".to_owned());
            let got = sdk(&vendor, &[variables.as_slice(), &[only]].concat());
            assert_eq!((&got["ok"], &got["token_claims"]), (&json!(false), &json!(null)), "{name}, {what}: {got}");
            assert!(["config", "authenticate"].contains(&got["step"].as_str().unwrap_or_default()), "{name}: {got}");
        }
    }
    assert_eq!((vendor.count(Operation::ServiceToken), vendor.count(Operation::Me)), (0, 0));
    assert_eq!((other.count(Operation::ServiceToken), other.count(Operation::Me)), (0, 0));
    let refused = r#"sidemint_refused_requests_total{code="invalid_parameters"}"#;
    assert!(sidecar.metric(refused) >= 2.0, "both asked");
    assert!(closed.metric(r#"sidemint_refused_requests_total{code="not_found"}"#) >= 2.0, "both asked");
}

/// What no client says, byte by byte.
#[test]
fn row_55_a_request_without_the_version_gets_no_token() {
    let vendor = Vendor::start();
    let sidecar = opened(&vendor, "");
    vendor.clear_journal();
    let (target, host) = ("/v1/upstreams/acme/databricks-metadata", vendor.url());
    let version = ("X-Databricks-Metadata-Version", "1");
    for headers in [
        &[][..],
        &[("X-Databricks-Host", host.as_str())],
        &[("X-Databricks-Host", &host), ("Sidemint-Request", "true")],
        &[("X-Databricks-Host", &host), version, version],
        &[("X-Databricks-Host", &host), version, ("X_Databricks_Metadata_Version", "1")],
        &[("X-Databricks-Host", &host), ("X-Databricks-Metadata-Version", "1,1")],
    ] {
        let reply = send(sidecar.listen, "GET", target, headers, "");
        assert_eq!((reply.status, reply.code().as_str()), (403, "missing_request_header"), "{headers:?}");
        assert!(!reply.text().contains("eyJ"), "{}", reply.text());
    }
    let reply = send(sidecar.listen, "GET", target, &[("X-Databricks-Host", &host), version], "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(vendor.asked(), 0);
}
