//! What Bold BI refuses, breaks off or leads elsewhere. It documents neither statuses nor words.

use sidemint::emulator::Fault;

use super::scene::{BoldBi, READER, VIEWER, calls, told};
use crate::support::{Stage, until};

pub(super) fn answers(status: u16, body: &str) -> Fault {
    Fault { body: Some(body.to_owned()), ..Fault::status("boldbi_authorize", status) }
}

pub(super) fn says(message: &str) -> Fault {
    Fault { message: Some(message.to_owned()), ..answers(200, "boldbi") }
}

/// Asks again and again: all are told the same, and Bold BI is asked once.
async fn refused_once(fault: Fault, code: &str, words: &str) {
    let stage = BoldBi::default().start().await;
    stage.vendor.inject(fault.clone());
    for _ in 0..10 {
        let reply = stage.renew(VIEWER, "emea").await;
        told(&reply, 502, code, words);
        assert_eq!(reply.json()["class"], "configuration");
    }
    assert_eq!(calls(&stage), 1, "{fault:?}");
}

#[tokio::test]
async fn row_b8_a_status_of_200_with_status_false_is_a_failure_told_by_its_words() {
    for (message, code, words) in [
        ("Something went wrong", "upstream_rejected", "refused the request"),
        ("Object reference not set to an instance of an object.", "upstream_not_found", "check dashboard_id"),
        ("User not found", "upstream_rejected", "does not know the viewer"),
        ("The email is not valid", "upstream_rejected", "does not know the viewer"),
        ("Invalid embed secret key", "upstream_credentials_rejected", "Settings > Embed"),
        ("EmbedCodeValidation failed", "upstream_credentials_rejected", "the clock of this machine"),
    ] {
        refused_once(says(message), code, words).await;
        refused_once(Fault { body: Some("boldbi_error".into()), ..says(message) }, code, words).await;
    }
}

/// The words are looked into, and not repeated: they may quote. Nobody's name or filter may bring the secret into
/// disrepute, for all the others.
#[tokio::test]
async fn row_b8_what_the_vendor_quotes_of_a_viewer_is_no_word_of_its_own() {
    for (id, value, message) in [
        ("secret.signature@example.com", "emea", "Secret.Signature@example.com may not see this"),
        (VIEWER, "Secret Services", "there is no region secret services"),
        // One that is a part of the vendor's own words takes nothing away from them.
        ("e", "emea", "e may not see this"),
    ] {
        let stage = BoldBi::default().users(&[id]).start().await;
        stage.vendor.inject(says(message).times(1));
        told(&stage.renew(id, value).await, 502, "upstream_rejected", "refused the request");
        stage.renew(READER, "emea").await.token();
    }
    refused_once_for("e", "Invalid embed secret key").await;
}

async fn refused_once_for(id: &str, message: &str) {
    let stage = BoldBi::default().start().await;
    stage.vendor.inject(says(message));
    for viewer in [id, READER, VIEWER] {
        told(&stage.renew(viewer, "emea").await, 502, "upstream_credentials_rejected", "Settings > Embed");
    }
    assert_eq!(calls(&stage), 1);
}

#[tokio::test]
async fn row_b8_both_words_for_success_and_a_token_are_needed() {
    for body in [
        r#"{"ApiStatus": false, "Data": {"access_token": "t"}, "Status": true}"#,
        r#"{"ApiStatus": true, "Data": {"access_token": "t"}, "Status": false}"#,
        r#"{"ApiStatus": "true", "Data": {"access_token": "t"}, "Status": true}"#,
        r#"{"Data": {"access_token": "t"}, "Status": true}"#,
        r#"{"ApiStatus": true, "Data": {"access_token": ""}, "Status": true}"#,
        r#"{"ApiStatus": true, "Data": {"access_token": null}, "Status": true}"#,
        r#"{"ApiStatus": true, "Data": null, "Status": true}"#,
        r#"{"ApiStatus": true, "access_token": "t", "Status": true}"#,
    ] {
        let stage = BoldBi::default().start().await;
        stage.vendor.inject(answers(200, body));
        assert_eq!(stage.renew(VIEWER, "emea").await.refusal(), (502, "upstream_rejected".to_owned()), "{body}");
    }
    // Nor is any other status than 200 a success.
    refused_once(
        answers(201, r#"{"ApiStatus": true, "Data": {"access_token": "t"}, "Status": true}"#),
        "upstream_rejected",
        "",
    )
    .await;
}

#[tokio::test]
async fn row_b9_no_json_is_a_failure() {
    for (body, words) in [
        ("null", "no JSON object"),
        ("html", "is url the URL of the server with its path"),
        ("empty", "no JSON object"),
        ("text", "no JSON object"),
        ("[]", "no JSON object"),
        ("{", "its JSON is not a token"),
        ("{}", "there is no token in it"),
    ] {
        refused_once(answers(200, body), "upstream_malformed", words).await;
    }
    refused_once(
        Fault { garbage: true, operation: "boldbi_authorize".into(), ..Fault::default() },
        "upstream_malformed",
        "",
    )
    .await;
    // What cannot be put into a header or JSON is no token.
    let token = r#"{"ApiStatus": true, "Data": {"access_token": "a b\"c"}, "Status": true}"#;
    refused_once(answers(200, token), "upstream_malformed", "its token is no token").await;
}

/// Statuses that no page of the vendor names, by what any server means by them.
#[tokio::test]
async fn other_statuses_are_told_apart() {
    for (status, body, code, words) in [
        (400, "empty", "upstream_rejected", "HTTP 400"),
        (401, "html", "upstream_credentials_rejected", "Settings > Embed"),
        (403, "empty", "upstream_denied", "Manage permissions"),
        (404, "html", "upstream_not_found", "check url and site"),
        (405, "empty", "upstream_rejected", "HTTP 405"),
    ] {
        refused_once(answers(status, body), code, words).await;
    }
    let away = Fault { location: Some("https://login.example.net/sign-in?secret=1".into()), ..Fault::status("*", 302) };
    refused_once(away, "upstream_malformed", "login.example.net").await;
}

#[tokio::test]
async fn a_site_or_a_dashboard_that_is_not_there_is_told_apart() {
    let stage = BoldBi::default().place("/bi", "site2").start().await;
    told(&stage.renew(VIEWER, "emea").await, 502, "upstream_not_found", "check url and site");
    let stage = BoldBi::default().settings(|settings| settings.dashboards.clear()).start().await;
    told(&stage.renew(VIEWER, "emea").await, 502, "upstream_not_found", "check dashboard_id");
    let stage = BoldBi::default().start().await;
    told(&stage.renew("nobody@example.com", "emea").await, 502, "upstream_rejected", "does not know the viewer");
}

/// A server before v14.1 takes no JSON, one that has dropped the older flow no query.
#[tokio::test]
async fn the_wrong_flow_is_a_refusal() {
    let old = BoldBi::default().settings(|settings| settings.object_model = false).start().await;
    told(
        &old.renew(VIEWER, "emea").await,
        502,
        "upstream_credentials_rejected",
        "flow (signed_query is for servers before v14.1)",
    );
    let new = BoldBi::signed().settings(|settings| settings.signed_query = false).start().await;
    told(&new.renew(VIEWER, "emea").await, 502, "upstream_rejected", "refused the request");
}

async fn asks_again(stage: &Stage) {
    until("the vendor is asked again", async || {
        told(&stage.renew(VIEWER, "emea").await, 502, "upstream_rejected", "");
        calls(stage) == 2
    })
    .await;
}

/// What was mended there shows within seconds.
#[tokio::test]
async fn row_b8_a_refusal_is_remembered_for_five_seconds_and_for_its_viewer_alone() {
    let stage = BoldBi::default().start().await;
    stage.vendor.inject(says("Something went wrong").times(2));
    let begin = std::time::Instant::now();
    told(&stage.renew(VIEWER, "emea").await, 502, "upstream_rejected", "");
    asks_again(&stage).await;
    assert!(begin.elapsed() >= std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
    stage.renew(READER, "emea").await.token();
    assert_eq!(calls(&stage), 3);
}
