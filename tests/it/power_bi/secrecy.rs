//! What must not be said is said nowhere, by a vendor that quotes all it was sent.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sidemint::emulator::{EntraSettings, Fault};

use super::scene::{PowerBi, secured};
use crate::support::{Reply, Stage};

const SECRET: &str = "emu8Q~canary0secret0000000000000000";
const VIEWER: &str = "canary-viewer-4711";
const VALUE: &str = "canary-value-emea";
const ROLE: &str = "CanaryRole";

/// The words, what they look like encoded, and how tokens begin.
fn unspeakable() -> Vec<String> {
    let mut words = vec!["eyJ".to_owned(), "H4sI".to_owned()];
    for word in [SECRET, VIEWER, VALUE, ROLE] {
        let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
        words.extend([word.to_owned(), hex, STANDARD.encode(word).replace('=', ""), URL_SAFE_NO_PAD.encode(word)]);
    }
    words
}

#[track_caller]
fn says_nothing(what: &str, text: &str) {
    for word in unspeakable() {
        assert!(!text.contains(&word), "{what} says {word}:\n{text}");
    }
}

fn refusal(reply: &Reply) -> String {
    if reply.status == 200 { String::new() } else { format!("{:?}\n{}", reply.headers, reply.text()) }
}

fn talkative(operation: &str, status: u16) -> Fault {
    let quote = format!("bad {SECRET} {VIEWER} {VALUE} {ROLE} eyJhbGciOi H4sIAAAA");
    let body = if operation == "entra_token" {
        json!({
            "error": quote, "error_description": format!("AADSTS7000215: {quote}"), "error_codes": [quote],
            "trace_id": quote, "access_token": format!("eyJ{SECRET}"),
        })
    } else {
        json!({
            "error": {"code": quote, "message": quote, "pbi.error": {"code": quote, "details": [quote]}},
            "token": format!("H4sI {SECRET}"), "tokenId": quote, "expiration": quote, "embedUrl": quote, "id": quote,
        })
    };
    Fault { body: Some(body.to_string()), ..Fault::status(operation, status) }
}

async fn scene() -> Stage {
    let entra = EntraSettings { client_secret: SECRET.to_owned(), ..EntraSettings::default() };
    let rls = format!(
        "rls: {{username: viewer.value, custom_data: viewer.id, roles: viewer.roles, allowed_roles: [{ROLE}]}}"
    );
    PowerBi::default().entra(entra).upstream("retry: {attempts: 1}").sales(&rls).start().await
}

async fn ask(stage: &Stage, viewer: &str) -> Reply {
    let body = json!({"viewer": {"id": viewer, "value": VALUE, "roles": [ROLE]}, "purpose": "renew"});
    stage.post("sales", &body).await
}

async fn seen_by_operators(stage: &Stage) {
    for path in ["/metrics", "/status", "/readyz", "/startupz"] {
        says_nothing(path, &stage.admin(path).await.text());
    }
    let json = stage.client.get(stage.app.admin(), "/status", &[("accept", "application/json")]).await;
    says_nothing("the status as JSON", &json.text());
}

#[tokio::test]
async fn row_60_nothing_of_a_viewer_is_in_an_error_a_metric_or_the_status() {
    let stage = scene().await;
    ask(&stage, VIEWER).await.token();
    for status in [200, 302, 307, 400, 401, 403, 404, 409, 415, 429, 500, 503] {
        stage.vendor.inject(talkative("generate_token", status).times(1));
        let reply = ask(&stage, &format!("{VIEWER}-{status}")).await;
        says_nothing(&format!("the error of a mint with {status}"), &refusal(&reply));
    }
    for viewer in ["", "\n"] {
        says_nothing("a refusal", &refusal(&ask(&stage, &format!("{VIEWER}{viewer}")).await));
    }
    let foreign = json!({"viewer": {"id": VIEWER, "value": VALUE, "roles": [format!("{ROLE}-2")]}});
    says_nothing("a foreign role", &refusal(&stage.post("sales", &foreign).await));
    seen_by_operators(&stage).await;
}

#[tokio::test]
async fn row_60_nor_of_a_look_up() {
    // Each embed looks its report up once.
    let keys = format!("report_id: {}, rls: {{username: viewer.value, roles: [{ROLE}]}}", secured().report);
    let statuses = [200, 307, 400, 401, 403, 404, 500];
    let scene = PowerBi::default().upstream("retry: {attempts: 1}");
    let scene = statuses.iter().fold(scene, |scene, status| scene.embed(&format!("of-{status}"), &keys));
    let stage = scene.start().await;
    for status in statuses {
        let fault = stage.vendor.inject(talkative("powerbi_report", status));
        let reply = stage.renew_of(&format!("of-{status}"), VIEWER, VALUE).await;
        assert_ne!(reply.status, 200);
        says_nothing(&format!("the error of a look-up with {status}"), &refusal(&reply));
        stage.vendor.remove_fault(fault);
    }
    seen_by_operators(&stage).await;
}

#[tokio::test]
async fn row_60_nor_of_the_secret_when_it_is_refused() {
    for status in [200, 302, 400, 401, 403, 429, 500] {
        let entra = EntraSettings { client_secret: SECRET.to_owned(), ..EntraSettings::default() };
        let scene = PowerBi::default().entra(entra).upstream("retry: {attempts: 1}");
        let vendor = scene.vendor().await;
        vendor.inject(talkative("entra_token", status));
        let stage = scene.beside(vendor).await;
        let reply = stage.renew(VIEWER, VALUE).await;
        assert_ne!(reply.status, 200);
        says_nothing(&format!("the error of Entra with {status}"), &refusal(&reply));
        seen_by_operators(&stage).await;
    }
}
