//! Faults and the journal, over the control endpoints and from Rust.

use super::super::{Fault, Operation};
use super::*;

async fn post_fault(emulator: &Emulator, fault: &str) -> Answer {
    ask(emulator, "POST /_emulator/faults", &[("Content-Type", "application/json")], fault).await.expect("an answer")
}

async fn try_token(emulator: &Emulator) -> io::Result<Answer> {
    let headers =
        [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", &own_basic(emulator) as &str)];
    ask(emulator, "POST /oidc/v1/token", &headers, "grant_type=client_credentials&scope=all-apis").await
}

#[tokio::test]
async fn a_fault_answers_so_many_times_in_the_shape_asked_for() {
    let emulator = emulator().await;
    let fault = r#"{"operation": "token", "times": 2, "status": 429, "body": "oauth", "error_code": "slow_down", "retry_after": "soon"}"#;
    assert_eq!(post_fault(&emulator, fault).await.status, 201);
    for _ in 0..2 {
        let refused = try_token(&emulator).await.expect("an answer");
        assert_eq!((refused.status, refused.text("error").as_str()), (429, "slow_down"));
        assert_eq!(refused.header("retry-after"), Some("soon"));
    }
    assert_eq!(try_token(&emulator).await.expect("an answer").status, 200);
    let journal = emulator.journal();
    assert_eq!(journal.iter().map(|entry| entry.fault).collect::<Vec<_>>(), [true, true, false]);
}

#[tokio::test]
async fn bodies_come_in_every_shape() {
    let emulator = emulator().await;
    for (fault, kind, body) in [
        (r#"{"status": 400, "body": "empty"}"#, None, ""),
        (r#"{"status": 200, "body": "html"}"#, Some("text/html; charset=utf-8"), "<html><head><title>Sign in"),
        (r#"{"status": 503}"#, Some("application/json"), r#"{"details":[],"error_code":"TEMPORARILY_UNAVAILABLE""#),
        (r#"{"status": 403, "error_code": 7}"#, Some("application/json"), r#"{"details":[],"error_code":7"#),
        (r#"{"status": 200, "body": "{\"a\": 1}"}"#, Some("application/json"), r#"{"a": 1}"#),
        (r#"{"status": 500, "body": "text"}"#, Some("text/plain"), "UNKNOWN: "),
    ] {
        emulator.clear_faults();
        post_fault(&emulator, fault).await;
        let answer = try_token(&emulator).await.expect("an answer");
        assert_eq!(answer.header("content-type"), kind, "{fault}");
        assert!(answer.body.starts_with(body), "{fault}: {}", answer.body);
    }
    emulator.clear_faults();
    post_fault(&emulator, r#"{"location": "/login.html?error=private-link-validation-error"}"#).await;
    let moved = try_token(&emulator).await.expect("an answer");
    assert_eq!(
        (moved.status, moved.header("location")),
        (302, Some("/login.html?error=private-link-validation-error"))
    );
}

#[tokio::test]
async fn connections_are_reset_truncated_or_left_hanging() {
    let emulator = emulator().await;
    let once = |fault: Fault| emulator.inject(Fault { times: Some(1), ..fault });
    once(Fault { reset: true, ..Fault::default() });
    assert_eq!(try_token(&emulator).await.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
    once(Fault { truncate: true, ..Fault::default() });
    assert_eq!(try_token(&emulator).await.expect_err("half a body").kind(), io::ErrorKind::UnexpectedEof);
    once(Fault { garbage: true, ..Fault::default() });
    let garbage = try_token(&emulator).await.expect("an answer");
    assert!(garbage.status == 200 && serde_json::from_str::<Value>(&garbage.body).is_err());
    once(Fault { hang: true, ..Fault::default() });
    tokio::select! {
        answer = try_token(&emulator) => panic!("answered {answer:?}"),
        () = async { while emulator.count(Operation::ServiceToken) < 4 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(try_token(&emulator).await.expect("an answer").status, 200);
    assert_eq!(emulator.journal()[3].status, None);
}

#[tokio::test]
async fn lives_of_tokens_can_be_bent() {
    let emulator = emulator().await;
    let bend = |fault: Fault| emulator.inject(fault.times(1));
    let life = |answer: &Answer| {
        let claims = part(&answer.text("access_token"), 1);
        claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat)
    };
    bend(Fault { token_life: Some(320), ..Fault::default() });
    let short = try_token(&emulator).await.expect("an answer");
    assert_eq!((life(&short), &short.json()["expires_in"]), (Some(320), &320.into()));
    bend(Fault { expires_in: Some("3600".into()), jwt_exp_life: Some(600), ..Fault::default() });
    let split = try_token(&emulator).await.expect("an answer");
    assert_eq!((life(&split), &split.json()["expires_in"]), (Some(600), &"3600".into()));
    bend(Fault { expires_in: Some("omit".into()), ..Fault::default() });
    let without = try_token(&emulator).await.expect("an answer").json();
    assert!(without.get("expires_in").is_none());
}

#[tokio::test]
async fn fields_are_added_and_claims_dropped() {
    let emulator = emulator().await;
    let extra_fields = serde_json::from_str(r#"{"foo": "bar", "n": 6}"#).expect("an object");
    emulator.inject(Fault { extra_fields, ..Fault::default() }.times(1));
    let more = try_token(&emulator).await.expect("an answer").json();
    assert_eq!((&more["foo"], &more["n"]), (&"bar".into(), &6.into()));
    let drops = Fault { operation: "mint".to_owned(), drop_custom_claim: true, ..Fault::default() };
    emulator.inject(drops);
    assert!(part(&viewer_token(&emulator, "emea").await, 1).get("custom").is_none());
}

#[tokio::test]
async fn journal_and_faults_are_read_and_emptied_over_http() {
    let emulator = emulator().await;
    service_token(&emulator).await;
    let listed = get(&emulator, "/_emulator/requests?operation=service_token", &[]).await;
    assert_eq!(listed.json().as_array().map(Vec::len), Some(1));
    assert!(!listed.body.contains("dose") && !listed.body.contains(&own_basic(&emulator)));
    let id = post_fault(&emulator, r#"{"operation": "mint", "status": 500}"#).await.json()["id"].clone();
    assert_eq!(get(&emulator, "/_emulator/faults", &[]).await.json()[0]["fault"]["status"], 500);
    ask(&emulator, &format!("DELETE /_emulator/faults?id={id}"), &[], "").await.expect("an answer");
    assert_eq!(get(&emulator, "/_emulator/faults", &[]).await.body, "[]");
    ask(&emulator, "DELETE /_emulator/requests", &[], "").await.expect("an answer");
    assert!(emulator.journal().is_empty());
    assert_eq!(post_fault(&emulator, r#"{"statsu": 500}"#).await.status, 400);
    assert_eq!(get(&emulator, "/_emulator/loads", &[]).await.json()["limit_per_second"], 20);
}

#[tokio::test]
async fn a_dropped_emulator_frees_its_port() {
    let emulator = emulator().await;
    let addr = emulator.addr();
    drop(emulator);
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
