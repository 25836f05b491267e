//! Targets that speak HTTP/2: one connection for all, bodies and trailers both ways, WebSockets beside it.

use std::collections::BTreeSet;

use sidemint::emulator::{AppRefusal, Fault};

use super::scene::{Route, ask, at_app, caller, fetched, get, head, refuse, send, with_tls};
use crate::support::{Stage, joined, until};

/// A target by TLS; the folder holds its authority.
async fn scene(http2: bool) -> (Stage, tempfile::TempDir) {
    let (vendor, trust, folder) = with_tls(http2).await;
    let stage = Route::default().upstream(&trust).before_app_of(vendor).await;
    (stage, folder)
}

fn connections(stage: &Stage) -> BTreeSet<u64> {
    at_app(stage).iter().map(|entry| entry.connection).collect()
}

/// So many requests at once share one connection; more open another, so that slow readers do not hold up the rest.
const SHARE: usize = 100;

#[tokio::test]
async fn requests_share_one_connection() {
    let (stage, _folder) = scene(true).await;
    let replies = joined((0..SHARE).map(|_| get(&stage, "/api/x"))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    for _ in 0..20 {
        assert_eq!(get(&stage, "/api/x").await.status, 200);
    }
    assert!(at_app(&stage).iter().all(|entry| entry.version == "HTTP/2.0"));
    assert_eq!(connections(&stage).len(), 1);
}

#[tokio::test]
async fn more_than_share_one_connection_are_all_answered() {
    const MANY: usize = 300;
    let (stage, _folder) = scene(true).await;
    sidemint::edge::raise_file_limit();
    let replies = joined((0..MANY).map(|_| get(&stage, "/api/slow?ms=300"))).await;
    assert!(replies.iter().all(|reply| reply.status == 204), "{:?}", replies.iter().find(|one| one.status != 204));
    let used = connections(&stage).len();
    assert!(used <= MANY.div_ceil(SHARE), "{used}");
}

#[tokio::test]
async fn a_target_without_it_is_spoken_to_in_http_1_1() {
    let (stage, _folder) = scene(false).await;
    for _ in 0..10 {
        assert_eq!(get(&stage, "/api/x").await.status, 200);
    }
    assert!(at_app(&stage).iter().all(|entry| entry.version == "HTTP/1.1"));
    assert_eq!(connections(&stage).len(), 1);
    assert!(joined((0..20).map(|_| get(&stage, "/api/x"))).await.iter().all(|reply| reply.status == 200));
}

/// Row 47 in the words of HTTP/2.
#[tokio::test]
async fn row_47_the_headers_are_the_same_ones() {
    let (stage, _folder) = scene(true).await;
    let lines = "Cookie: a=b\r\nAuthorization: Bearer callers\r\nConnection: x-named, TE\r\nX-Named: 1\r\nX-Viewer: u-1\r\n\
        TE: trailers, gzip\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nX_Viewer: 2\r\nNobody-Knows: this\r\n";
    let answer = ask(&stage, &head(&stage, "GET /api/a%20b?x=%2e%2e&&y", lines)).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let entry = at_app(&stage).remove(0);
    let mut names: Vec<_> = entry.header_lines.iter().map(|(name, _)| name.as_str()).collect();
    names.sort();
    assert_eq!(names, ["authorization", "host", "te", "x-viewer"]);
    assert_eq!(entry.path, "/api/a%20b");
    assert_eq!(entry.headers["te"], "trailers");
    assert_eq!(entry.headers["host"], stage.vendor.app_url().replace("https://", ""));
    let seen: serde_json::Value = serde_json::from_slice(&answer.body.data).expect("JSON");
    assert_eq!(seen["query"], "x=%2e%2e&&y");
}

#[tokio::test]
async fn bodies_go_both_ways() {
    let (stage, _folder) = scene(true).await;
    let body = "0123456789abcdef".repeat(200_000);
    let seen = send(&stage, "POST", "/api/x", &body).await.json();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&seen["body"]["length"], &seen["body"]["sha256"]), (&body.len().into(), &digest.into()));
    let reply = get(&stage, "/api/bytes?count=3000000").await;
    assert_eq!((reply.body.len(), reply.header("content-length")), (3_000_000, Some("3000000")));
    let mut line = caller(&stage).await;
    line.say(head(&stage, "HEAD /api/bytes?count=3000000", "")).await;
    let head_only = line.head().await.expect("an answer");
    assert_eq!((head_only.status(), head_only.get("content-length")), (200, Some("3000000")));
    line.say(head(&stage, "GET /api/status?code=204", "")).await;
    assert_eq!(line.answer().await.map(|answer| (answer.status(), answer.body.data.len())), Some((204, 0)));
    assert_eq!(connections(&stage).len(), 1);
}

#[tokio::test]
async fn both_directions_at_once_and_trailers() {
    let (stage, _folder) = scene(true).await;
    let mut line = caller(&stage).await;
    line.say(head(&stage, "POST /api/duplex", "Transfer-Encoding: chunked\r\n")).await;
    for number in 0..5 {
        line.say(format!("6\r\npart {number}\r\n")).await;
        if number == 0 {
            assert_eq!(line.head().await.map(|head| head.status()), Some(200));
        }
        assert_eq!(line.chunk().await, Some(format!("part {number}").into_bytes()));
    }
    line.say("0\r\n\r\n").await;
    assert_eq!(line.chunk().await.as_deref(), Some(&b""[..]));
    line.trailers().await.expect("the end of the body");
    let headers = "Transfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Sum, Cookie\r\n";
    line.say(head(&stage, "POST /api/trailers", headers) + "5\r\nhello\r\n0\r\nX-Sum: 1\r\nCookie: a=b\r\n\r\n").await;
    let answer = line.answer().await.expect("an answer");
    let seen: serde_json::Value = serde_json::from_slice(&answer.body.data).expect("JSON");
    assert_eq!(seen["trailers"], serde_json::json!({"x-sum": "1"}));
    let names: Vec<_> = answer.body.trailers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert!(names.contains(&"x-checksum".to_owned()) && names.contains(&"x-length".to_owned()), "{names:?}");
}

#[tokio::test]
async fn websockets_have_a_connection_of_http_1_1() {
    let (stage, _folder) = scene(true).await;
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut line = caller(&stage).await;
    line.say(head(&stage, "GET /api/ws?hello=hi", handshake)).await;
    assert_eq!(line.head().await.map(|head| head.status()), Some(101));
    assert_eq!(line.exactly(4).await, b"\x81\x02hi");
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    let versions: Vec<_> = at_app(&stage).into_iter().map(|entry| entry.version).collect();
    assert_eq!(versions, ["HTTP/2.0", "HTTP/1.1", "HTTP/2.0"]);
}

/// GOAWAY (RFC 9113 section 6.8): what is under way is finished, what comes next goes elsewhere.
#[tokio::test]
async fn a_connection_that_is_being_closed_loses_nothing() {
    let (stage, _folder) = scene(true).await;
    for _ in 0..5 {
        let mut line = caller(&stage).await;
        line.say(head(&stage, "GET /api/sse?events=3&every_ms=50", "")).await;
        let under_way = line.head().await.expect("an answer");
        stage.vendor.close_connections();
        assert_eq!(get(&stage, "/api/x").await.status, 200);
        assert_eq!(send(&stage, "POST", "/api/x", "hello").await.status, 200);
        let body = line.body(&under_way).await;
        assert!(body.whole, "{body:?}");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_stream_and_nothing_else() {
    let (stage, _folder) = scene(true).await;
    let mut stays = caller(&stage).await;
    stays.say(head(&stage, "GET /api/sse?events=100000&every_ms=20", "")).await;
    let under_way = stays.head().await.expect("an answer");
    let mut leaves = caller(&stage).await;
    leaves.say(head(&stage, "GET /api/sse?events=100000&every_ms=20", "")).await;
    leaves.head().await.expect("an answer");
    assert_eq!(stage.vendor.app_traffic().requests, 2);
    drop(leaves);
    until("the target is told", async || stage.vendor.app_traffic().requests == 1).await;
    for _ in 0..3 {
        assert!(stays.chunk().await.is_some_and(|event| event.starts_with(b"id:")), "{under_way:?}");
    }
    assert_eq!(stage.vendor.app_traffic().connections, 1);
}

#[tokio::test]
async fn a_stream_that_breaks_off_has_no_clean_end() {
    let (stage, _folder) = scene(true).await;
    stage.vendor.inject(Fault { operation: "app".into(), truncate: true, ..Fault::default() }.times(1));
    let answer = ask(&stage, &head(&stage, "GET /api/bytes?count=100000", "")).await.expect("an answer");
    assert!(!answer.body.whole);
    stage.vendor.inject(Fault { operation: "app".into(), truncate: true, ..Fault::default() }.times(1));
    let answer = ask(&stage, &head(&stage, "GET /api/sse?events=3&every_ms=1", "")).await.expect("an answer");
    assert!(!answer.body.whole);
    assert_eq!(get(&stage, "/api/x").await.status, 200);
}

#[tokio::test]
async fn row_49_and_50_a_refused_token_is_renewed() {
    for refusal in [AppRefusal::Unauthorized, AppRefusal::SignIn] {
        let (stage, _folder) = scene(true).await;
        refuse(&stage, refusal, 1);
        let reply = send(&stage, "POST", "/api/x", "hello").await;
        assert_eq!((reply.status.as_u16(), &reply.json()["body"]["text"]), (200, &"hello".into()));
        assert_eq!(fetched(&stage), (1, 0, 2));
        assert_eq!(connections(&stage).len(), 1);
    }
}

/// A target that resets the connection under a request that can be sent again.
#[tokio::test]
async fn a_connection_that_is_reset_is_replaced() {
    let (stage, _folder) = scene(true).await;
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    stage.vendor.inject(Fault { operation: "app".into(), reset: true, ..Fault::default() }.times(1));
    let status = get(&stage, "/api/x").await.status.as_u16();
    assert!([200, 503].contains(&status), "{status}");
    assert_eq!(get(&stage, "/api/x").await.status, 200);
}

/// The end of a stream is an answer, not the end of a connection that was closing anyway.
#[tokio::test]
async fn a_stream_that_is_reset_is_not_tried_again() {
    let (stage, _folder) = scene(true).await;
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    let long = vec![("x-long".to_owned(), "x".repeat(100_000))];
    let fault = Fault { operation: "app".into(), extra_headers: long, ..Fault::default() };
    stage.vendor.inject(fault.times(1000));
    let before = at_app(&stage).len();
    let reply = get(&stage, "/api/x").await;
    assert!([502, 503].contains(&reply.status.as_u16()), "{}", reply.text());
    assert_eq!(at_app(&stage).len() - before, 1);
}
