//! The service token's own endpoint: for programs to which the config opens it, and for nobody else.

use serde_json::{Value, json};
use sidemint::emulator::Fault;

use crate::support::{Reply, Setup, Stage, claims, joined, until};

const PATH: &str = "/v1/upstreams/acme/token";
const PROOF: (&str, &str) = ("sidemint-request", "true");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn warm() -> Stage {
    Setup::default().upstream("service_token_endpoint: true").start().await.warmed().await
}

async fn ask(stage: &Stage, body: &Value) -> Reply {
    stage.send("POST", PATH, &[PROOF, JSON], body.to_string()).await
}

#[tokio::test]
async fn a_program_is_given_the_broad_token_in_hand() {
    let stage = warm().await;
    let reply = stage.send("POST", PATH, &[PROOF], "").await;
    let token = reply.token();
    let body = reply.json();
    assert_eq!(body["token_type"], "Bearer");
    let (left, again) = (reply.expires_in(), body["refresh_in"].as_i64().expect("a number"));
    assert!((3500..=3600).contains(&left) && (2300..=2400).contains(&again), "{body}");
    let end: jiff::Timestamp = body["expires_at"].as_str().expect("a text").parse().expect("RFC 3339");
    assert!((end.as_second() - jiff::Timestamp::now().as_second() - left).abs() <= 1, "{body}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    for body in [json!({}), json!({"scope": null, "audience": null})] {
        assert_eq!(ask(&stage, &body).await.token(), token, "{body}");
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn closed_is_not_found_and_so_is_an_upstream_that_is_not_there() {
    let stage = Stage::warm().await;
    let reply = ask(&stage, &json!({})).await;
    assert_eq!(reply.refusal(), (404, "not_found".to_owned()));
    assert!(reply.detail().contains("service_token_endpoint"), "{}", reply.detail());
    let other = stage.send("POST", "/v1/upstreams/other/token", &[PROOF], "").await;
    assert_eq!(other.refusal(), (404, "unknown_upstream".to_owned()));
    assert_eq!(stage.send("GET", PATH, &[PROOF], "").await.status, 405);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_nothing_sent() {
    let stage = warm().await;
    for (body, status) in [
        (r#"{"scope": ""}"#, 422),
        (r#"{"scope": "a  b"}"#, 422),
        (r#"{"audience": "a\nb"}"#, 422),
        (r#"{"audience": "é"}"#, 422),
        (r#"{"audience": 5}"#, 422),
        (r#"{"audience": "a", "audience": "b"}"#, 422),
        (r#"{"scopes": "sql"}"#, 422),
        (r#"["a", "b"]"#, 422),
        ("{", 400),
    ] {
        let reply = stage.send("POST", PATH, &[PROOF, JSON], body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text());
    }
    assert_eq!(stage.send("POST", PATH, &[PROOF], "{}").await.status, 415);
    assert_eq!(stage.send("POST", PATH, &[], "").await.refusal(), (403, "missing_request_header".to_owned()));
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn no_page_may_ask_not_even_one_that_may_have_viewer_tokens() {
    let setup = Setup::default().server("allowed_origins: ['https://app.example.com']");
    let stage = setup.upstream("service_token_endpoint: true").start().await.warmed().await;
    let reply = stage.send("POST", PATH, &[PROOF, ("origin", "https://app.example.com")], "").await;
    assert_eq!(reply.refusal(), (403, "forbidden_origin".to_owned()));
}

#[tokio::test]
async fn a_token_of_an_app_is_exchanged_once_for_all_who_ask() {
    let stage = warm().await;
    let app = stage.vendor.app().client_id.clone();
    let body = json!({"audience": app});
    let replies = joined((0..50).map(|_| ask(&stage, &body))).await;
    let token = replies[0].token();
    assert!(replies.iter().all(|reply| reply.token() == token));
    assert_eq!(claims(&token)["aud"], app.as_str());
    assert_eq!(stage.operations(), ["app_token"]);
    let journal = stage.vendor.journal();
    let form = &journal[0].form;
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(form["subject_token_type"], "urn:databricks:params:oauth:token-type:personal-access-token");
    assert_eq!(form["requested_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!((form["scope"].as_str(), form["audience"].as_str()), ("all-apis", app.as_str()));
    assert!(!form.contains_key("client_secret"), "the token is the proof");
}

#[tokio::test]
async fn what_is_asked_for_is_never_mixed_up() {
    let stage = warm().await;
    let app = stage.vendor.app().client_id.clone();
    let asks = [json!({}), json!({"scope": "sql"}), json!({"audience": app}), json!({"audience": app, "scope": "sql"})];
    let mut tokens = Vec::new();
    for body in &asks {
        tokens.push(ask(&stage, body).await.token());
    }
    for (body, token) in asks.iter().zip(&tokens) {
        assert_eq!(&ask(&stage, body).await.token(), token, "{body} is held");
        assert_eq!(tokens.iter().filter(|other| *other == token).count(), 1, "{body}");
    }
    assert_eq!(stage.vendor.journal().len(), 3);
}

#[tokio::test]
async fn an_app_that_is_not_there_and_an_exchange_that_is_refused_are_told_apart() {
    let stage = warm().await;
    let reply = ask(&stage, &json!({"audience": "nobody"})).await;
    assert_eq!(reply.refusal(), (502, "upstream_not_found".to_owned()));
    assert!(reply.detail().contains("oauth2_app_client_id"), "{}", reply.detail());
    let app = stage.vendor.app().client_id.clone();
    stage.vendor.clear_journal();
    let refused = Fault {
        body: Some("oauth".into()),
        error_code: Some("invalid_request".into()),
        ..Fault::status("app_token", 400)
    };
    stage.vendor.inject(refused.times(1));
    ask(&stage, &json!({"audience": app})).await.token();
    let kinds: Vec<_> = stage.vendor.journal().iter().map(|entry| entry.form["subject_token_type"].clone()).collect();
    assert_eq!(
        kinds[1], "urn:ietf:params:oauth:token-type:access_token",
        "the standard's word is tried after the vendor's"
    );
}

#[tokio::test]
async fn a_revoked_broad_token_is_replaced_before_the_exchange() {
    let stage = warm().await;
    stage.vendor.revoke_tokens();
    let app = stage.vendor.app().client_id.clone();
    ask(&stage, &json!({"audience": app})).await.token();
    assert_eq!(stage.operations(), ["app_token", "service_token", "app_token"]);
    until("the new one is handed out", async || stage.send("POST", PATH, &[PROOF], "").await.status == 200).await;
}

#[tokio::test]
async fn the_bare_token_is_given_to_those_who_want_text() {
    let stage = warm().await;
    let reply = stage.send("POST", PATH, &[PROOF, ("accept", "text/plain")], "").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.text(), ask(&stage, &json!({})).await.token());
}

/// A page that a route shows is of our own origin.
#[tokio::test]
async fn no_page_of_our_own_origin_may_ask() {
    let setup = Setup::default().upstream("service_token_endpoint: true, metadata_service: true");
    let stage = setup.start().await.warmed().await;
    let (own, host) = (("sec-fetch-site", "same-origin"), stage.vendor.url());
    assert_eq!(stage.send("POST", PATH, &[PROOF, own], "").await.refusal(), (403, "forbidden_origin".to_owned()));
    let sdk = [("x-databricks-metadata-version", "1"), ("x-databricks-host", host.as_str()), own];
    let reply = stage.send("GET", "/v1/upstreams/acme/databricks-metadata", &sdk, "").await;
    assert_eq!(reply.refusal(), (403, "forbidden_origin".to_owned()));
}

/// Where a mesh may hand requests on, a loopback address says nothing of who asks.
#[tokio::test]
async fn behind_a_mesh_an_sdk_needs_the_callers_secret() {
    let (path, _folder) = crate::support::file_with("a-secret-of-callers");
    for (forwarded, status) in [(false, 200), (true, 401)] {
        let server = format!("caller_token_file: {}, allow_forwarded: {forwarded}", path.display());
        let stage = Setup::default().server(&server).upstream("metadata_service: true").start().await.warmed().await;
        let host = stage.vendor.url();
        let sdk = [("x-databricks-metadata-version", "1"), ("x-databricks-host", host.as_str())];
        let reply = stage.send("GET", "/v1/upstreams/acme/databricks-metadata", &sdk, "").await;
        assert_eq!(reply.status, status, "{forwarded}: {}", reply.text());
    }
}
