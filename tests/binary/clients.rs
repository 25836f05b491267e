//! Clients that nobody here wrote: the vendor's own SDK, and a browser.

use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;
use sidemint::emulator::{DatabricksSettings, Fault};

use crate::support::http::send;
use crate::support::{Process, Sidecar, Vendor, outcome, python, words};

const VIEWER: &str = "u-1";

/// What the SDK got, as tests/python/sdk_against_emulator.py tells it.
fn sdk(vendor: &Vendor, variables: &[(&str, String)]) -> Value {
    let databricks = vendor.databricks();
    let mut command = Command::new(python());
    command
        .args(["tests/python/sdk_against_emulator.py", "--host", &vendor.url(), "--dashboard-id", vendor.dashboard()])
        .args(["--viewer-id", VIEWER, "--external-value", "emea"])
        .env_clear()
        .env("DATABRICKS_CLIENT_ID", &databricks.client_id)
        .env("DATABRICKS_CLIENT_SECRET", &databricks.client_secret)
        .envs(variables.iter().cloned());
    let ended = outcome(command);
    serde_json::from_str(ended.out.trim()).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn the_vendors_sdk_gets_a_token_and_token_info() {
    let vendor = Vendor::start();
    let got = sdk(&vendor, &[]);
    assert_eq!(got["ok"], true, "{got}");
    assert_eq!((&got["auth_type"], &got["scheme"]), (&"oauth-m2m".into(), &"Bearer".into()), "{got}");
    assert_eq!(got["custom_claim"], format!("urn:aibi:external_data:emea:{VIEWER}:{}", vendor.dashboard()));
    assert_eq!(got["token_claims"]["sub"], vendor.databricks().client_id.as_str());
}

/// The emulator is no kinder than the vendor: without that document the SDK fails as it is known to.
#[test]
fn row_58_without_databricks_config_the_sdk_needs_the_discovery_url() {
    let vendor = Vendor::start();
    vendor.inject(Fault { path: Some("databricks-config".to_owned()), ..Fault::status("discovery", 404) });
    let got = sdk(&vendor, &[]);
    assert_eq!((&got["ok"], &got["step"]), (&false.into(), &"config".into()), "{got}");
    assert!(got["error"].as_str().is_some_and(|error| error.contains("Invalid URL 'None'")), "{got}");
    let discovery = format!("{}/oidc/.well-known/oauth-authorization-server", vendor.url());
    let got = sdk(&vendor, &[("DATABRICKS_DISCOVERY_URL", discovery)]);
    assert_eq!(got["ok"], true, "{got}");
}

/// RFC 6749 section 2.3.1 wants the two parts form-encoded before they are joined; Go does it, Python does not.
#[test]
fn row_59_credentials_are_understood_raw_and_percent_encoded() {
    let secret = "dose+with/odd&parts=in%41it";
    let vendor = Vendor::of(DatabricksSettings { client_secret: secret.to_owned(), ..Default::default() });
    let got = sdk(&vendor, &[]);
    assert_eq!(got["ok"], true, "raw, by the SDK: {got}");
    let reply = Sidecar::start(&vendor).renew(VIEWER);
    assert_eq!(reply.status, 200, "by the sidecar: {}", reply.text());
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let basic = BASE64_STANDARD.encode(format!("{}:{}", encode(&vendor.databricks().client_id), encode(secret)));
    let headers =
        [("Authorization", format!("Basic {basic}")), ("Content-Type", "application/x-www-form-urlencoded".into())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let reply = send(vendor.addr(), "POST", "/oidc/v1/token", &headers, "grant_type=client_credentials&scope=all-apis");
    assert_eq!(reply.status, 200, "encoded, as Go does it: {}", reply.text());
}

#[test]
fn the_demo_prints_addresses_that_answer() {
    let demo = Process::start(&words("demo --listen 127.0.0.1:0"), []);
    let address = |name: &str| demo.out.line_after(name).trim_start_matches("http://").to_owned();
    let authority =
        |name: &str| address(name).split('/').next().and_then(|host| host.parse().ok()).expect("an address");
    assert_eq!(send(authority("its status"), "GET", "/status", &[], "").status, 200);
    assert_eq!(send(authority("its metrics"), "GET", "/metrics", &[], "").status, 200);
    assert_eq!(send(authority("fake vendors"), "GET", "/", &[], "").status, 200);
    // The line that it suggests to try.
    let curl = demo.out.line_after("-d '");
    let (body, url) = curl.split_once("' http://").expect("a body and an address");
    let (host, path) = url.split_once('/').expect("a path");
    let headers = [("Sidemint-Request", "true"), ("Content-Type", "application/json")];
    let reply = send(host.parse().expect("an address"), "POST", &format!("/{path}"), &headers, body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    demo.signal(rustix::process::Signal::INT);
    assert_eq!(demo.end(crate::support::PATIENCE).code, Some(0));
}
