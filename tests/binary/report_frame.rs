//! The emulator's page for embedded reports, in a browser.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::send;
use crate::support::{Vendor, outcome, python, tool};

/// An answer in JSON to a POST.
fn post(vendor: &Vendor, path: &str, kind: &str, authorization: &str, body: &str) -> Value {
    let headers = [("Content-Type", kind), ("Authorization", authorization)];
    let reply = send(vendor.addr(), "POST", path, &headers, body);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// The token of a user for the second report, which is secured.
fn embed_token(vendor: &Vendor, bearer: &str, user: &str) -> String {
    let (report, dataset) = (&vendor.powerbi().reports[1].id, &vendor.powerbi().datasets[1].id);
    let identity = json!({"username": user, "roles": ["Customer"], "datasets": [dataset]});
    let body =
        json!({"reports": [{"id": report}], "datasets": [{"id": dataset}], "identities": [identity]}).to_string();
    let answer = post(vendor, "/v1.0/myorg/GenerateToken", "application/json", bearer, &body);
    answer["token"].as_str().expect("a token").to_owned()
}

#[test]
fn the_report_frame_speaks_the_protocol_of_the_vendors_script() {
    let vendor = Vendor::start();
    let entra = vendor.entra();
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &entra.client_id)
        .append_pair("client_secret", &entra.client_secret)
        .append_pair("scope", "https://analysis.windows.net/powerbi/api/.default")
        .finish();
    let path = format!("/{}/oauth2/v2.0/token", entra.tenant_id);
    let answer = post(&vendor, &path, "application/x-www-form-urlencoded", "", &body);
    let bearer = format!("Bearer {}", answer["access_token"].as_str().expect("a token"));
    let [first, second] = ["emea", "apac"].map(|user| embed_token(&vendor, &bearer, user));
    vendor.set_embed_life(Some(Duration::ZERO));
    let expired = embed_token(&vendor, &bearer, "emea");
    for variable in ["SIDEMINT_TEST_CHROMIUM", "SIDEMINT_TEST_CHROMEDRIVER"] {
        tool(variable);
    }
    let report = &vendor.powerbi().reports[1].id;
    let mut walk = Command::new(python());
    walk.args(["tests/browser/report_frame.py", &format!("{}/reportEmbed?reportId={report}", vendor.url()), report])
        .envs([("FIRST", first), ("SECOND", second), ("EXPIRED", expired)]);
    let ended = outcome(walk);
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    for promise in ["another token without another load", "an expired token is told", "loaded again"] {
        assert!(ended.out.contains(promise), "{promise} is missing in\n{}", ended.out);
    }
}
