//! WebSockets through a route (row 53): the handshake with our credential and the target's origin, then bytes.

use sidemint::emulator::AppRefusal;

use super::line::{Head, Line};
use super::scene::{Route, at_app, caller, fetched, get, head, refuse};
use super::target::{Bare, Target};
use crate::support::{Stage, let_pass, ms, until};

/// The sample of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn handshake(stage: &Stage, path: &str, more: &str) -> String {
    let headers = format!(
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{more}"
    );
    head(stage, &format!("GET {path}"), &headers)
}

/// An open WebSocket, and how its handshake was answered.
async fn open(stage: &Stage, path: &str, more: &str) -> (Line, Head) {
    let mut line = caller(stage).await;
    line.say(handshake(stage, path, more)).await;
    let head = line.head().await.expect("an answer");
    assert_eq!(head.status(), 101, "{head:?}");
    (line, head)
}

/// Sends a frame as clients do, masked.
async fn send(line: &mut Line, first: u8, data: &[u8]) {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    match (u8::try_from(data.len()), u16::try_from(data.len())) {
        (Ok(length), _) if length < 126 => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((data.len() as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(data.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    line.say(frame).await;
}

/// The next frame; none if the connection ends instead.
async fn receive(line: &mut Line) -> Option<(u8, Vec<u8>)> {
    let head = line.exactly(2).await;
    let [first, short] = head[..] else { return None };
    let length = match short {
        126 => line.exactly(2).await.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)),
        127 => line.exactly(8).await.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)),
        short => usize::from(short),
    };
    Some((first, line.exactly(length).await))
}

#[tokio::test]
async fn row_53_frames_pass_both_ways() {
    let stage = Route::default().before_app().await;
    let (mut line, head) = open(&stage, "/api/ws?hello=good%20day", "").await;
    assert_eq!(head.get("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(head.get("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
    assert_eq!(head.get("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(head.all("content-length"), Vec::<&str>::new());
    assert_eq!(receive(&mut line).await, Some((TEXT, b"good day".to_vec())), "the target may speak first");
    let large: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for (first, data) in
        [(TEXT, &b"hello"[..]), (BINARY, &[0, 255, 10, 13]), (BINARY, &large), (TEXT, b""), (TEXT, b"again")]
    {
        send(&mut line, first, data).await;
        assert_eq!(receive(&mut line).await, Some((first, data.to_vec())));
    }
    send(&mut line, PING, b"are you there").await;
    assert_eq!(receive(&mut line).await, Some((PONG, b"are you there".to_vec())));
    assert_eq!(stage.vendor.app_traffic().connections, 1);
}

#[tokio::test]
async fn row_53_the_handshake_arrives_with_our_credential_and_the_targets_origin() {
    let bare = Bare::new().await;
    let server = "allow_forwarded: true, allowed_origins: ['https://ok.example']";
    let stage = Route::default().server(server).to(&bare.url).await;
    let mut line = caller(&stage).await;
    let more = "Origin: https://ok.example\r\nCookie: a=b\r\nAuthorization: Bearer callers\r\nX-Viewer: u-1\r\n\
        Sec-WebSocket-Protocol: v2.chat, v1.chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
        X-Forwarded-For: 1.2.3.4\r\nHTTP2-Settings: x\r\n";
    line.say(handshake(&stage, "/api/ws?a=b", more)).await;
    let (mut target, head) = bare.request().await;
    assert_eq!(head.first, "GET /api/ws?a=b HTTP/1.1");
    let names = [
        "authorization",
        "connection",
        "host",
        "origin",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "upgrade",
        "x-viewer",
    ];
    assert_eq!(head.names(), names);
    assert!(head.get("authorization").is_some_and(|value| value.starts_with("Bearer eyJ")));
    assert_eq!((head.get("origin"), head.get("host")), (Some(bare.url.as_str()), Some(bare.host())));
    assert_eq!(head.get("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!((head.get("upgrade"), head.get("sec-websocket-key")), (Some("websocket"), Some(KEY)));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: v1.chat\r\nSet-Cookie: a=b\r\nServer: app\r\n\r\n"
    );
    target.say(answer + "\u{1}first bytes at once").await;
    let head = line.head().await.expect("an answer");
    assert_eq!((head.status(), head.get("sec-websocket-protocol")), (101, Some("v1.chat")));
    assert_eq!(head.all("set-cookie"), Vec::<&str>::new());
    assert_eq!(line.exactly(20).await, b"\x01first bytes at once");
    line.say(b"anything at all\r\n\r\n\0").await;
    assert_eq!(target.exactly(20).await, b"anything at all\r\n\r\n\0");
}

#[tokio::test]
async fn row_53_close_codes_pass_both_ways() {
    let stage = Route::default().before_app().await;
    for (code, reason) in [(1000_u16, ""), (1001, "going away"), (4321, "the app's own")] {
        let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
        let (mut line, _) = open(&stage, "/api/ws", "").await;
        send(&mut line, CLOSE, &payload).await;
        assert_eq!(receive(&mut line).await, Some((CLOSE, payload.clone())), "echoed");
        assert_eq!(receive(&mut line).await, None, "and then the connection ends");
        let (mut line, _) =
            open(&stage, &format!("/api/ws?close={code}&reason={}", reason.replace(' ', "+")), "").await;
        assert_eq!(receive(&mut line).await, Some((CLOSE, payload.clone())), "by the target");
        send(&mut line, CLOSE, &payload).await;
        assert_eq!(receive(&mut line).await, None);
    }
    let (mut line, _) = open(&stage, "/api/ws?drop=1", "").await;
    assert_eq!(receive(&mut line).await, None, "no code where there is none");
    until("nothing is left", async || stage.vendor.app_traffic().connections == 0).await;
}

#[tokio::test]
async fn a_caller_that_leaves_closes_the_targets_side() {
    let stage = Route::default().before_app().await;
    let (line, _) = open(&stage, "/api/ws?silent=1", "").await;
    assert_eq!(stage.vendor.app_traffic().connections, 1);
    drop(line);
    until("the target is told", async || stage.vendor.app_traffic().connections == 0).await;
}

#[tokio::test]
async fn a_subprotocol_is_agreed_on_by_the_two() {
    let stage = Route::default().before_app().await;
    let (_, head) = open(&stage, "/api/ws", "Sec-WebSocket-Protocol: v2.chat, v1.chat\r\n").await;
    assert_eq!(head.get("sec-websocket-protocol"), Some("v2.chat"));
    let (_, head) = open(&stage, "/api/ws", "").await;
    assert_eq!(head.get("sec-websocket-protocol"), None);
}

#[tokio::test]
async fn what_is_no_handshake_is_refused() {
    let target = Target::ok().await;
    let closed = "allow: ['GET /api/**'], websocket: false";
    let stage = Route::default().also("closed", closed).to(&target.url).await;
    let good = handshake(&stage, "/api/ws", "");
    for (what, bytes) in [
        ("an old version", good.replace("Version: 13", "Version: 8")),
        ("two versions", good.replace("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8")),
        ("no version", good.replace("Sec-WebSocket-Version: 13\r\n", "")),
        ("no key", good.replace(&format!("Sec-WebSocket-Key: {KEY}\r\n"), "")),
        ("a short key", good.replace(KEY, "c2hvcnQ=")),
        ("no base64", good.replace(KEY, "!!!!!!!!!!!!!!!!!!!!!!==")),
        ("two keys", good.replace(KEY, &format!("{KEY}\r\nSec-WebSocket-Key: {KEY}"))),
        ("POST", good.replace("GET ", "POST ")),
        ("HEAD", good.replace("GET ", "HEAD ")),
        ("a body", good.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nok")),
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0")),
    ] {
        let mut line = caller(&stage).await;
        line.say(&bytes).await;
        assert_eq!(line.head().await.map(|head| head.status()), Some(400), "{what}");
    }
    let mut line = caller(&stage).await;
    line.say(good.replace("/proxy/app/", "/proxy/closed/")).await;
    assert_eq!(line.answer().await.map(|answer| answer.refusal()), Some((403, "route_denied".to_owned())));
    let mut line = caller(&stage).await;
    line.say(good.replace("/api/ws", "/ws")).await;
    assert_eq!(line.answer().await.map(|answer| answer.refusal()), Some((403, "route_denied".to_owned())));
    assert_eq!(target.connections(), 0);
}

/// What a target says instead of 101 is an answer like any other.
#[tokio::test]
async fn a_handshake_that_the_target_declines_is_passed_on() {
    let stage = Route::default().before_app().await;
    for status in [400_u16, 403, 404, 426] {
        stage.vendor.inject(sidemint::emulator::Fault::status("app", status).times(1));
        let mut line = caller(&stage).await;
        line.say(handshake(&stage, "/api/ws", "")).await;
        assert_eq!(line.answer().await.map(|answer| answer.status()), Some(status));
    }
    open(&stage, "/api/ws", "").await;
}

#[tokio::test]
async fn row_53_a_refused_token_is_renewed_for_a_handshake_too() {
    for refusal in [AppRefusal::SignIn, AppRefusal::Unauthorized] {
        let stage = Route::default().before_app().await;
        refuse(&stage, refusal, 1);
        let (mut line, _) = open(&stage, "/api/ws", "").await;
        send(&mut line, TEXT, b"hello").await;
        assert_eq!(receive(&mut line).await, Some((TEXT, b"hello".to_vec())));
        assert_eq!(fetched(&stage), (1, 0, 2));
        let entries = at_app(&stage);
        assert_ne!(entries[0].credential, entries[1].credential);
    }
}

/// Silence ends it after `timeouts.idle`; frames in either direction keep it.
#[tokio::test]
async fn silence_ends_it_and_frames_keep_it() {
    let stage = Route::default().keys("timeouts: {idle: 600ms}").before_app().await;
    let (mut silent, _) = open(&stage, "/api/ws?silent=1", "").await;
    let (mut busy, _) = open(&stage, "/api/ws", "").await;
    let (mut sending, _) = open(&stage, "/api/ws?silent=1", "").await;
    // Longer than three times the bound in all.
    for _ in 0..10 {
        send(&mut busy, PING, b"x").await;
        assert_eq!(receive(&mut busy).await, Some((PONG, b"x".to_vec())));
        send(&mut sending, TEXT, b"x").await;
        let_pass(ms(200)).await;
    }
    assert_eq!(receive(&mut silent).await, None);
    send(&mut busy, PING, b"y").await;
    assert_eq!(receive(&mut busy).await, Some((PONG, b"y".to_vec())));
    until("the other is still open", async || stage.vendor.app_traffic().connections == 2).await;
}

/// A stop lets it go on to the end of the drain, and no longer.
#[tokio::test]
async fn rank_38_a_stop_ends_it() {
    let stage = Route::default().server("drain_timeout: 300ms").before_app().await;
    let (mut line, _) = open(&stage, "/api/ws", "").await;
    stage.app.tasks().stop().begin();
    send(&mut line, TEXT, b"still").await;
    assert_eq!(receive(&mut line).await, Some((TEXT, b"still".to_vec())), "what is open goes on");
    let (_, ended) = tokio::join!(stage.app.run(), receive(&mut line));
    assert_eq!(ended, None);
    until("nothing is left", async || stage.vendor.app_traffic().connections == 0).await;
}

/// A connection that became a WebSocket is not given to a request.
#[tokio::test]
async fn requests_beside_it_have_connections_of_their_own() {
    let stage = Route::default().before_app().await;
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    let (mut line, _) = open(&stage, "/api/ws", "").await;
    for _ in 0..3 {
        assert_eq!(get(&stage, "/api/x").await.status, 200);
        send(&mut line, TEXT, b"hello").await;
        assert_eq!(receive(&mut line).await, Some((TEXT, b"hello".to_vec())));
    }
}
