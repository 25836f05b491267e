//! Other protocols than WebSocket (T28): none is changed to, and nothing of what follows passes.

use super::scene::{Route, caller, head};
use super::target::Target;

#[tokio::test]
async fn threat_28_no_other_protocol_is_changed_to() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    for headers in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: web_socket\r\n",
        "Connection: Upgrade\r\nUpgrade:\r\n",
        "Connection: Upgrade\r\n",
        "Connection: keep-alive\r\nConnection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "Upgrade: h2c\r\n",
    ] {
        let mut line = caller(&stage).await;
        let hidden = head(&stage, "GET /api/hidden", "");
        line.say(head(&stage, "GET /api/x", headers) + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + &hidden).await;
        let answers = line.answers().await;
        let refusals: Vec<_> = answers.iter().map(|answer| answer.refusal()).collect();
        assert_eq!(refusals, [(400, "malformed_request".to_owned())], "{headers}");
    }
    assert_eq!(target.connections(), 0);
}

/// A word for the next hop alone is no wish, and is not passed on.
#[tokio::test]
async fn threat_28_http2_settings_without_an_upgrade_are_dropped() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    let mut line = caller(&stage).await;
    line.say(head(&stage, "GET /api/x", "Connection: HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n")).await;
    assert_eq!(line.answer().await.map(|answer| answer.status()), Some(200));
    assert_eq!(target.only().head.names(), ["authorization", "host"]);
}

/// Bytes that come ahead of the target's consent are not its to have unless it consents.
#[tokio::test]
async fn threat_28_nothing_follows_a_handshake_that_the_target_declines() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut line = caller(&stage).await;
    line.say(head(&stage, "GET /api/x", handshake) + &head(&stage, "GET /admin", "")).await;
    assert_eq!(line.answer().await.map(|answer| answer.status()), Some(200), "an answer like any");
    let next = line.answer().await.map(|answer| answer.refusal());
    assert!(next.is_none() || next == Some((403, "route_denied".to_owned())), "{next:?}");
    assert_eq!(target.only().head.first, "GET /api/x HTTP/1.1");
}

/// A target that changes protocols without having been asked to is not followed.
#[tokio::test]
async fn threat_28_a_target_cannot_change_the_protocol_by_itself() {
    for (asked, said) in [
        ("", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        ("", "Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        ),
    ] {
        let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{said}\r\n");
        let target = Target::saying(move |_| answer.clone()).await;
        let stage = Route::default().to(&target.url).await;
        let mut line = caller(&stage).await;
        line.say(head(&stage, "GET /api/x", asked)).await;
        let refusal = line.answer().await.map(|answer| answer.refusal());
        assert_eq!(refusal, Some((502, "upstream_malformed".to_owned())), "{asked} {said}");
    }
}
