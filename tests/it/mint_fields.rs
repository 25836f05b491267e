//! What goes to the vendor in a mint, and what comes back from it.

use serde_json::{Value, json};
use sidemint::emulator::{Fault, Operation};

use crate::support::{Setup, Stage, claim, claims};

fn of_token_info(fields: &Value) -> Fault {
    let extra_fields = fields.as_object().expect("fields").clone();
    Fault { operation: "token_info".into(), extra_fields, ..Fault::default() }
}

/// The form of the only mint.
fn mint_form(stage: &Stage) -> std::collections::BTreeMap<String, String> {
    let journal = stage.vendor.journal();
    let mut mints = journal.iter().filter(|entry| entry.operation == Operation::Mint);
    let form = mints.next().expect("a mint").form.clone();
    assert!(mints.next().is_none(), "one mint only");
    form
}

#[tokio::test]
async fn row_12_fields_of_tomorrow_go_into_the_mint() {
    let stage = Stage::warm().await;
    stage.vendor.inject(of_token_info(&json!({"foo": "bar", "n": 5, "deep": {"a": [1, null]}, "nothing": null})));
    let token = stage.renew("v-1", "emea").await.token();
    let form = mint_form(&stage);
    assert_eq!((form["foo"].as_str(), form["n"].as_str()), ("bar", "5"));
    assert_eq!(serde_json::from_str::<Value>(&form["deep"]).unwrap(), json!({"a": [1, null]}));
    assert_eq!(form["x_future"], "keep-me");
    assert_eq!(claims(&token)["x_future"], "keep-me");
}

/// Token info must not be able to speak for us, whatever it brings one day.
#[tokio::test]
async fn row_12_token_info_cannot_take_our_own_parameters() {
    let stage = Stage::warm().await;
    stage.vendor.inject(of_token_info(&json!({"grant_type": "password", "client_id": "someone-else"})));
    stage.renew("v-1", "emea").await.token();
    let form = mint_form(&stage);
    assert_eq!(form["grant_type"], "client_credentials");
    assert!(!form.contains_key("client_id"));
}

#[tokio::test]
async fn row_13_without_custom_claim_the_mint_goes_on_and_warns() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { operation: "token_info".into(), drop_custom_claim: true, ..Fault::default() });
    let token = stage.renew("v-1", "emea").await.token();
    assert!(!mint_form(&stage).contains_key("custom_claim"));
    assert_eq!(claim(&token), "");
    let series = r#"sidemint_viewer_token_warnings_total{embed="sales",reason="missing_claim"}"#;
    assert_eq!(stage.metric(series).await, Some(1.0));
}

#[tokio::test]
async fn row_14_authorization_details_stay_what_they_were() {
    let stage = Stage::warm().await;
    let details = json!([
        {"type": "workspace_rule_set", "resource_name": "Zürich/東京 \"a\\b\" & c+d=e%20", "x": {"deep": [1.5, true, null, {}]}},
        {"type": "other", "big": 12345678901234567890_u64, "empty": ""},
    ]);
    stage.vendor.inject(of_token_info(&json!({"authorization_details": details})));
    let token = stage.renew("v-1", "emea").await.token();
    let sent: Value = serde_json::from_str(&mint_form(&stage)["authorization_details"]).unwrap();
    assert_eq!(sent, details);
    assert_eq!(claims(&token)["authorization_details"], details);
}

#[tokio::test]
async fn row_15_odd_texts_reach_the_vendor_as_they_are() {
    let stage = Stage::warm().await;
    for (viewer, value) in [("v/1", "a b&c=é"), ("a+b", "1+1=2 %20 #?"), ("日本", "\"'<>\\{}"), ("..", "~-._")] {
        stage.vendor.clear_journal();
        let token = stage.renew(viewer, value).await.token();
        let journal = stage.vendor.journal();
        let info = journal.iter().find(|entry| entry.operation == Operation::TokenInfo).expect("token info");
        assert_eq!(info.query["external_viewer_id"], viewer);
        assert_eq!(info.query["external_value"], value);
        assert!(claim(&token).contains(&format!(":{value}:{viewer}:")), "{}", claim(&token));
    }
}

#[tokio::test]
async fn row_46_a_payload_that_browsers_cannot_read_is_counted() {
    let stage = Stage::warm().await;
    let series = r#"sidemint_viewer_token_warnings_total{embed="sales",reason="browser_unsafe_payload"}"#;
    let mut unsafe_ones = 0.0;
    // Whether a payload has such a letter depends on what the vendor puts around the value, so each is looked at.
    for viewer in 0..8 {
        let token = stage.renew(&format!("v-{viewer}"), "???>>>???~~~").await.token();
        let payload = token.split('.').nth(1).expect("a payload");
        unsafe_ones += if payload.contains(['-', '_']) { 1.0 } else { 0.0 };
        assert_eq!(stage.metric(series).await, Some(unsafe_ones));
    }
    assert!(unsafe_ones > 0.0);
}

/// The table of `expires_in` forms: what is handed out, or the refusal; and nothing is kept for ever.
#[tokio::test]
async fn rows_24_to_26_and_rank_12_the_life_of_a_token() {
    let stage = Setup::default().embed("min_ttl: 301s").start().await.warmed().await;
    let cases = [
        (json!({"expires_in": "3600"}), Ok(3600)),
        (json!({"expires_in": 3600.7}), Ok(3600)),
        (json!({"expires_in": "omit", "jwt_exp_life": 1800}), Ok(1800)),
        (json!({"expires_in": 3600, "jwt_exp_life": 600}), Ok(600)),
        (json!({"expires_in": 600, "jwt_exp_life": 3600}), Ok(600)),
        (json!({"expires_in": 1_000_000_000_000_u64, "jwt_exp_life": 1_000_000_000}), Ok(86_400)),
        (json!({"expires_in": 0}), Err(502)),
        (json!({"expires_in": -1}), Err(502)),
        (json!({"expires_in": null}), Err(502)),
        (json!({"expires_in": "soon"}), Err(502)),
        (json!({"expires_in": 3600, "jwt_exp_life": -10}), Err(502)),
    ];
    for (number, (tuned, expected)) in cases.into_iter().enumerate() {
        stage.vendor.clear_faults();
        let mut fault: Fault = serde_json::from_value(tuned.clone()).expect("a fault");
        fault.operation = "mint".into();
        // A `null` in a fault would be taken for none.
        fault.expires_in = tuned.get("expires_in").cloned();
        stage.vendor.inject(fault);
        stage.vendor.clear_journal();
        let viewer = format!("v-{number}");
        let first = stage.renew(&viewer, "emea").await;
        match expected {
            Ok(life) => {
                let left = first.expires_in();
                assert!((life - 2..=life).contains(&left), "{tuned}: {left}");
                let refresh = first.json()["refresh_in"].as_i64().expect("refresh_in");
                assert!((1..=left - 300).contains(&refresh), "{tuned}: refresh in {refresh} of {left}");
            }
            Err(status) => {
                assert_eq!(first.refusal(), (status, "upstream_malformed".to_owned()), "{tuned}");
                assert!(!first.text().contains("eyJ"));
            }
        }
        stage.renew(&viewer, "emea").await;
        assert_eq!(stage.counts(), (0, 1, 1), "{tuned}: asked again, the vendor is not");
    }
}

/// One expiry without `expires_in` and without a JWT to look into cannot be known.
#[tokio::test]
async fn row_25_an_opaque_token_without_expires_in_is_refused() {
    let stage = Stage::warm().await;
    let body = json!({"access_token": "opaque", "token_type": "Bearer"}).to_string();
    stage.vendor.inject(Fault { body: Some(body), ..Fault::status("mint", 200) });
    let reply = stage.renew("v-1", "emea").await;
    assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()));
    assert!(reply.detail().contains("expires_in"), "{}", reply.detail());
}

#[tokio::test]
async fn row_27_tokens_that_are_too_short_are_handed_out_truthfully_and_not_asked_for_in_a_loop() {
    let stage = Stage::warm().await;
    stage.vendor.set_token_life(std::time::Duration::from_secs(200));
    let first = stage.renew("v-1", "emea").await;
    for _ in 0..20 {
        let reply = stage.renew("v-1", "emea").await;
        assert_eq!(reply.token(), first.token());
        assert!((195..=200).contains(&reply.expires_in()));
        // The page is not told to come back at once.
        assert!(reply.json()["refresh_in"].as_i64().is_some_and(|refresh| (60..200).contains(&refresh)));
    }
    let asked_for_more = json!({"viewer": {"id": "v-1", "value": "emea"}, "purpose": "renew", "min_ttl": "15m"});
    assert_eq!(stage.post("sales", &asked_for_more).await.token(), first.token());
    assert_eq!(stage.counts(), (0, 1, 1));
    let series = r#"sidemint_viewer_token_warnings_total{embed="sales",reason="short_lived"}"#;
    assert_eq!(stage.metric(series).await, Some(1.0));
}
