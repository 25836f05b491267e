//! Row 60: what must not be said is said nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sidemint::emulator::{DatabricksSettings, Fault};

use crate::support::{Setup, Stage};

const SECRET: &str = "dose0canary0secret0000000000000000";
const VIEWER: &str = "canary-viewer-4711";
const VALUE: &str = "canary-value-emea";

/// The words, and what they look like encoded.
fn unspeakable() -> Vec<String> {
    let mut words = vec!["eyJ".to_owned(), "dapi".to_owned()];
    for word in [SECRET, VIEWER, VALUE] {
        let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
        words.extend([word.to_owned(), hex, STANDARD.encode(word).replace('=', ""), URL_SAFE_NO_PAD.encode(word)]);
    }
    words
}

fn says_nothing(what: &str, text: &str) {
    for word in unspeakable() {
        assert!(!text.contains(&word), "{what} says {word}:\n{text}");
    }
}

/// A vendor that quotes what it was sent, in its words and in its codes.
fn talkative(operation: &str, status: u16) -> Fault {
    let quote = format!("bad {SECRET} {VIEWER} {VALUE} eyJhbGciOi");
    let body = json!({
        "error": quote, "error_code": quote, "error_description": quote, "message": quote,
        "access_token": format!("eyJ{SECRET}"), "details": [quote],
    });
    Fault { body: Some(body.to_string()), ..Fault::status(operation, status) }
}

#[tokio::test]
async fn row_60_no_secret_token_value_or_viewer_is_in_an_error_a_metric_or_the_status() {
    let settings = DatabricksSettings { client_secret: SECRET.to_owned(), ..DatabricksSettings::default() };
    let stage = Setup::default().upstream("retry: {attempts: 1}").beside(Setup::vendor(settings).await).await;
    stage.renew(VIEWER, VALUE).await.token();
    for (number, (operation, status)) in ["token_info", "mint"]
        .into_iter()
        .flat_map(|operation| [200, 302, 400, 401, 403, 404, 409, 429, 500, 503].map(|status| (operation, status)))
        .enumerate()
    {
        stage.vendor.inject(talkative(operation, status).times(1));
        let reply = stage.renew(&format!("{VIEWER}-{number}"), VALUE).await;
        says_nothing(&format!("the error of {operation} {status}"), &error_text(&reply));
    }
    for viewer in [format!("{VIEWER}:"), format!("{VIEWER}@example.com"), format!("{VIEWER}\n")] {
        says_nothing("a refusal", &error_text(&stage.renew(&viewer, VALUE).await));
    }
    let misspelt = json!({"viewer": {"id": VIEWER, "value": VALUE, VALUE: 1}, "purpose": VIEWER});
    says_nothing("a refusal", &error_text(&stage.post("sales", &misspelt).await));
    seen_by_operators(&stage).await;
}

/// The body and headers, unless it is the token that was asked for.
fn error_text(reply: &crate::support::Reply) -> String {
    if reply.status == 200 { String::new() } else { format!("{:?}\n{}", reply.headers, reply.text()) }
}

async fn seen_by_operators(stage: &Stage) {
    for path in ["/metrics", "/status", "/readyz", "/startupz", "/livez", "/nowhere"] {
        says_nothing(path, &stage.admin(path).await.text());
    }
    let json = stage.client.get(stage.app.admin(), "/status", &[("accept", "application/json")]).await;
    says_nothing("the status as JSON", &json.text());
    let status = json.json();
    assert_eq!(status["upstreams"][0]["name"], "acme");
    assert!(status["cache"]["viewer_tokens"].as_u64().is_some_and(|tokens| tokens >= 1), "{status}");
    assert!(!status["recent_errors"].as_array().expect("recent errors").is_empty());
}

#[tokio::test]
async fn row_60_nor_when_the_credential_itself_is_refused() {
    let settings = DatabricksSettings { client_secret: SECRET.to_owned(), ..DatabricksSettings::default() };
    let vendor = Setup::vendor(settings).await;
    vendor.inject(talkative("service_token", 401));
    let stage = Setup::default().beside(vendor).await;
    let reply = stage.renew(VIEWER, VALUE).await;
    assert_eq!(reply.refusal(), (502, "upstream_credentials_rejected".to_owned()));
    says_nothing("the error", &error_text(&reply));
    says_nothing("the status", &stage.admin("/status").await.text());
}
