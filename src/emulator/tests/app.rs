//! The Databricks App: who is let in, and what the app sees, streams and echoes.

use super::super::{AppSettings, Operation};
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
    emulator.revoke_tokens();
    assert_eq!(call(&emulator, "GET /api/x", Some(&service), "").await.status, 401);
    let viewer = viewer_token(&emulator, "emea").await;
    assert_eq!(call(&emulator, "GET /api/x", Some(&viewer), "").await.status, 403);
}

#[tokio::test]
async fn a_token_exchanged_for_the_app_opens_the_app_only() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let audience = AppSettings::default().client_id;
    let form = |audience| {
        [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:databricks:params:oauth:token-type:personal-access-token"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token", service.as_str()),
            ("scope", "all-apis"),
            ("audience", audience),
        ]
    };
    assert_eq!(token(&emulator, None, &form("other")).await.text("error"), "invalid_target");
    let own = token(&emulator, None, &form(&audience)).await.text("access_token");
    assert_eq!(emulator.count(Operation::AppToken), 2);
    assert_eq!(call(&emulator, "GET /api/x", Some(&own), "").await.status, 200);
    assert_eq!(token_info(&emulator, &own, DASHBOARD, "").await.status, 401);
}

#[tokio::test]
async fn events_and_bytes_are_streamed() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let events = call(&emulator, "GET /api/sse?events=3&every_ms=1", Some(&service), "").await;
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert_eq!(events.body.matches("data: {\"n\": ").count(), 3);
    let bytes = call(&emulator, "GET /api/bytes?count=100000", Some(&service), "").await;
    assert_eq!(bytes.body.len(), 100_000);
    assert_eq!(call(&emulator, "GET /api/status?code=418", Some(&service), "").await.status, 418);
}

#[tokio::test]
async fn a_request_over_the_limit_is_cut() {
    let app = AppSettings { request_limit: Some(std::time::Duration::from_millis(1)), ..AppSettings::default() };
    let emulator = Emulator::start(Settings { app, ..Settings::default() }).await.expect("free ports and a key");
    let service = service_token(&emulator).await;
    assert_eq!(call(&emulator, "GET /api/slow?ms=60000", Some(&service), "").await.status, 504);
    let cut = call(&emulator, "GET /api/sse?events=100&every_ms=60000", Some(&service), "").await;
    assert!(!cut.body.ends_with("0\r\n\r\n"), "{}", cut.body);
}

#[tokio::test]
async fn a_websocket_echoes_and_passes_the_close_code_back() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    for (origin, status) in [("https://elsewhere".to_owned(), "403"), (emulator.app_url(), "101")] {
        let mut stream = TcpStream::connect(host(&emulator)).await.expect("a connection");
        let request = format!(
            "GET /api/ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        assert_eq!(head.split(' ').nth(1), Some(status), "{head}");
        if status == "101" {
            // The key and its answer are the example of RFC 6455 section 1.3.
            assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
            echoes(&mut stream).await;
        }
    }
}

/// A text frame and a close with code 1000, masked with zeros, come back unmasked.
async fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8").await.expect("sent");
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.expect("an end");
    assert_eq!(back, b"\x81\x02hi\x88\x02\x03\xe8");
}
