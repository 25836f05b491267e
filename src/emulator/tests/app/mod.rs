//! The Databricks App: who is let in, what it answers, how it breaks, and what the journal tells of it.

mod answers;
mod breaks;
mod http2;
mod websocket;

use super::super::{AppRefusal, AppSettings, Fault, Operation};
use super::*;

fn host(emulator: &Emulator) -> String {
    emulator.app_url().replace("http://", "")
}

async fn call(emulator: &Emulator, line: &str, token: Option<&str>, body: &str) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("Cookie", "a=b"), ("X-Forwarded-User", "mallory"), ("X-Viewer", "v-1")];
    headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    ask_at(&host(emulator), line, &headers, body).await.expect("an answer")
}

/// Sends these bytes on a connection of its own, and gives all that comes until its end.
async fn spoken(emulator: &Emulator, request: &str) -> String {
    let mut stream = TcpStream::connect(host(emulator)).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut raw = Vec::new();
    // A reset after the answer is as good an end as any.
    let _ = stream.read_to_end(&mut raw).await;
    String::from_utf8_lossy(&raw).into_owned()
}

/// The head of a request with a good token; `more` is further lines, each with its end.
async fn head(emulator: &Emulator, line: &str, more: &str) -> String {
    let token = service_token(emulator).await;
    format!("{line} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n{more}\r\n", host(emulator))
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect(what);
}

#[tokio::test]
async fn the_app_sees_the_identity_that_the_proxy_gives_and_no_other() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let seen = call(&emulator, "POST /api/predict?x=1", Some(&service), "hello").await.json();
    assert_eq!(
        (&seen["method"], &seen["path"], &seen["query"]),
        (&"POST".into(), &"/api/predict".into(), &"x=1".into())
    );
    assert_eq!((&seen["body"]["length"], &seen["body"]["text"]), (&5.into(), &"hello".into()));
    let headers = &seen["headers"];
    assert!(headers.get("authorization").is_none() && headers.get("cookie").is_none());
    assert!(
        headers["x-forwarded-user"].as_str().is_some_and(|user| user.starts_with(&emulator.databricks().client_id))
    );
    assert_eq!(headers["x-viewer"], "v-1");
    assert_eq!(emulator.count(Operation::App), 1);
}

#[tokio::test]
async fn who_has_no_token_is_sent_to_sign_in() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let place = format!("{}/oidc/oauth2/v2.0/authorize", emulator.app_url());
    for (line, token) in [
        ("GET /api/x", None),
        ("GET /api/ws", None),
        ("GET /api/x", Some("dapi0123")),
        ("GET /", Some(service.as_str())),
    ] {
        let moved = call(&emulator, line, token, "").await;
        assert_eq!(moved.status, 302, "{line}");
        assert!(moved.header("location").is_some_and(|to| to.starts_with(&place)));
    }
    assert!(call(&emulator, "GET /oidc/oauth2/v2.0/authorize", None, "").await.body.contains("Sign in"));
    let viewer = viewer_token(&emulator, "emea").await;
    assert_eq!(call(&emulator, "GET /api/x", Some(&viewer), "").await.status, 403);
}

/// The vendor documents 401 for tokens that are over; 302 was seen.
#[tokio::test]
async fn a_revoked_token_gets_401_or_is_sent_to_sign_in_until_there_is_a_new_one() {
    let emulator = emulator().await;
    let old = service_token(&emulator).await;
    emulator.revoke_tokens();
    assert_eq!(call(&emulator, "GET /api/x", Some(&old), "").await.status, 401);
    emulator.set_app_refusal(AppRefusal::SignIn);
    assert_eq!(call(&emulator, "GET /api/x", Some(&old), "").await.status, 302);
    let new = service_token(&emulator).await;
    assert_eq!(call(&emulator, "GET /api/x", Some(&new), "").await.status, 200);
    let control = |line: &'static str, body: &'static str| ask(&emulator, line, &[], body);
    let changed = control("PUT /_emulator/app", r#"{"refusal": "unauthorized"}"#).await.expect("an answer");
    assert_eq!(changed.status, 204);
    assert_eq!(control("PUT /_emulator/app", r#"{"refusal": "never"}"#).await.expect("an answer").status, 400);
    assert_eq!(control("POST /_emulator/revoke", "").await.expect("an answer").status, 204);
    assert_eq!(call(&emulator, "GET /api/x", Some(&new), "").await.status, 401);
}

async fn exchanged(emulator: &Emulator, subject: &str, kind: &str, audience: &str) -> Answer {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", kind),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token", subject),
        ("scope", "all-apis"),
        ("audience", audience),
    ];
    token(emulator, None, &form).await
}

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const NOTEBOOK_TOKEN: &str = "urn:databricks:params:oauth:token-type:personal-access-token";

#[tokio::test]
async fn a_token_exchanged_for_the_app_opens_the_app_only() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let (own, other) = (emulator.app().client_id.clone(), emulator.app().other_client_ids[0].clone());
    for kind in [ACCESS_TOKEN, NOTEBOOK_TOKEN] {
        assert_eq!(exchanged(&emulator, &service, kind, "nobody").await.text("error"), "invalid_target");
        let answer = exchanged(&emulator, &service, kind, &own).await;
        assert_eq!(answer.text("issued_token_type"), ACCESS_TOKEN);
        let token = answer.text("access_token");
        assert_eq!(call(&emulator, "GET /api/x", Some(&token), "").await.status, 200);
        assert_eq!(token_info(&emulator, &token, DASHBOARD, "").await.status, 401);
        assert_eq!(exchanged(&emulator, &token, kind, &own).await.text("error"), "invalid_grant");
    }
    let foreign = exchanged(&emulator, &service, ACCESS_TOKEN, &other).await.text("access_token");
    assert_eq!(call(&emulator, "GET /api/x", Some(&foreign), "").await.status, 401);
    let viewer = viewer_token(&emulator, "emea").await;
    assert_eq!(exchanged(&emulator, &viewer, ACCESS_TOKEN, &own).await.text("error"), "invalid_grant");
    assert_eq!(emulator.count(Operation::AppToken), 8);
    emulator.inject(Fault { body: Some("oauth".into()), ..Fault::status("app_token", 400) });
    assert_eq!(exchanged(&emulator, &service, ACCESS_TOKEN, &own).await.status, 400);
    let plain = [("grant_type", "client_credentials"), ("scope", "all-apis"), ("audience", own.as_str())];
    let plain = token(&emulator, Some(&own_basic(&emulator)), &plain).await.text("access_token");
    assert_eq!(part(&plain, 1)["aud"], emulator.databricks().workspace_id.as_str());
}

#[tokio::test]
async fn the_journal_keeps_every_line_of_a_head_and_no_secret() {
    let emulator = emulator().await;
    let request = head(&emulator, "POST /api/x", "X-Two: 1\r\nCookie: a=b\r\nx-two: 2\r\nContent-Length: 2\r\n").await;
    let twice = format!("{request}hi{request}ho");
    let mut stream = TcpStream::connect(host(&emulator)).await.expect("a connection");
    stream.write_all(twice.as_bytes()).await.expect("sent");
    until("both answers", || emulator.journal().iter().filter(|entry| entry.status == Some(200)).count() == 3).await;
    call(&emulator, "GET /api/x", None, "").await;
    let entries = emulator.journal();
    let (first, second, last) = (&entries[1], &entries[2], &entries[3]);
    let names: Vec<_> = first.header_lines.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "authorization", "x-two", "x-two", "cookie", "content-length"]);
    let values: Vec<_> =
        first.header_lines.iter().filter(|(name, _)| name == "x-two").map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(Some(&first.header_lines[1].1), first.credential.as_ref());
    assert!(first.header_lines[4].1.starts_with("sha256:"));
    assert_eq!(first.version, "HTTP/1.1");
    assert_eq!(first.connection, second.connection);
    assert_ne!(first.connection, last.connection);
    let received = first.received.expect("the body was read");
    assert_eq!((received.bytes, received.complete), (2, true));
}
