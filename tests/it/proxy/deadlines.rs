//! Targets that cannot be reached, hang, fall silent or talk nonsense. Each is told in the contract's words.

use std::time::Instant;

use super::line::Line;
use super::scene::{Route, ask, caller, get, head, send, with_tls};
use super::target::{Bare, OK, Target};
use crate::support::{Reply, let_pass, ms, until};

#[track_caller]
fn told(reply: &Reply, status: u16, code: &str, says: &str) {
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{}", reply.text());
    assert!(reply.detail().contains(says), "{says} is missing in: {}", reply.detail());
    assert!(!reply.text().contains("eyJ"), "{}", reply.text());
    if status > 502 {
        assert_eq!(reply.json()["class"], "retry");
    }
}

/// A server that accepts and never says a word of TLS.
#[tokio::test]
async fn a_target_that_cannot_be_connected_to_in_time() {
    let bare = Bare::new().await;
    let stage = Route::default().keys("timeouts: {connect: 300ms}").to(&bare.url.replace("http", "https")).await;
    let begin = Instant::now();
    told(&get(&stage, "/api/x").await, 504, "upstream_timeout", "timeouts.connect");
    assert!((ms(250)..ms(4000)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_target_that_hangs_is_given_up_and_told_so() {
    let bare = Bare::new().await;
    let stage = Route::default().keys("timeouts: {response_headers: 300ms}").to(&bare.url).await;
    let begin = Instant::now();
    let hanging = async {
        let (mut line, _) = bare.request().await;
        line.rest().await
    };
    let (reply, rest) = tokio::join!(get(&stage, "/api/x"), hanging);
    told(&reply, 504, "upstream_timeout", "timeouts.response_headers");
    assert_eq!(rest, b"", "its connection is closed");
    assert!((ms(250)..ms(4000)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// The wait for the head begins with the end of the request, however long that took to send.
#[tokio::test]
async fn an_upload_may_take_longer_than_the_answer_may() {
    let bare = Bare::new().await;
    let stage = Route::default().keys("timeouts: {response_headers: 400ms, idle: 2s}").to(&bare.url).await;
    let mut caller = caller(&stage).await;
    caller.say(head(&stage, "POST /api/x", "Transfer-Encoding: chunked\r\n")).await;
    let (mut target, _) = bare.request().await;
    for _ in 0..5 {
        let_pass(ms(150)).await;
        caller.say(chunk("part")).await;
        assert_eq!(target.chunk().await.as_deref(), Some(&b"part"[..]));
    }
    caller.say("0\r\n\r\n").await;
    assert_eq!(target.chunk().await.as_deref(), Some(&b""[..]));
    let begin = Instant::now();
    let answer = caller.answer().await.expect("an answer");
    assert_eq!(answer.refusal(), (504, "upstream_timeout".to_owned()));
    assert!(begin.elapsed() > ms(300), "{:?}", begin.elapsed());
}

/// An upload that stops is not waited for for ever.
#[tokio::test]
async fn an_upload_that_stops_is_given_up() {
    let bare = Bare::new().await;
    let stage = Route::default().keys("timeouts: {idle: 300ms}").to(&bare.url).await;
    for (headers, part) in [("Transfer-Encoding: chunked", "3\r\none\r\n"), ("Content-Length: 100000", "one")] {
        let mut caller = caller(&stage).await;
        caller.say(head(&stage, "POST /api/x", &format!("{headers}\r\n")) + part).await;
        let (mut target, _) = bare.request().await;
        let (answer, rest) = tokio::join!(caller.answer(), target.rest());
        let status = answer.expect("an answer").status();
        assert!([400, 408, 504].contains(&status), "{headers}: {status}");
        assert!(!String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"), "no clean end");
    }
    // One that is kept has not been sent to anybody.
    let mut caller = caller(&stage).await;
    caller.say(head(&stage, "POST /api/x", "Content-Length: 10\r\n") + "one").await;
    assert_eq!(caller.answer().await.map(|answer| answer.refusal()), Some((400, "malformed_request".to_owned())));
}

#[tokio::test]
async fn a_body_that_falls_silent_is_cut() {
    for framing in ["Content-Length: 10\r\n\r\nonly", "Transfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n"] {
        let bare = Bare::new().await;
        let stage = Route::default().keys("timeouts: {idle: 300ms}").to(&bare.url).await;
        let mut caller = caller(&stage).await;
        caller.say(head(&stage, "GET /api/x", "")).await;
        let (mut target, _) = bare.request().await;
        target.say(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        let begin = Instant::now();
        let answer = caller.answer().await.expect("the head was passed on");
        assert!(!answer.body.whole && answer.body.data == b"only", "{answer:?}");
        assert!(begin.elapsed() > ms(200), "{:?}", begin.elapsed());
        assert_eq!(target.rest().await, b"", "the target is told");
    }
}

/// Row 52: there is no bound on the whole, only on silence.
#[tokio::test]
async fn row_52_slow_events_pass_for_longer_than_any_deadline() {
    let keys = "timeouts: {connect: 300ms, response_headers: 300ms, idle: 600ms}";
    let stage = Route::default().keys(keys).before_app().await;
    let begin = Instant::now();
    let reply = get(&stage, "/api/sse?events=8&every_ms=250").await;
    assert!(begin.elapsed() > ms(1500), "{:?}", begin.elapsed());
    assert_eq!(reply.text().matches("data:").count(), 8);
}

#[tokio::test]
async fn a_target_that_is_not_there() {
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let url = bare.url.clone();
    drop(bare);
    told(&get(&stage, "/api/x").await, 503, "upstream_unavailable", &url);
    let stage = Route::default().to("https://no-such-name.invalid").await;
    told(&get(&stage, "/api/x").await, 503, "upstream_unavailable", "no-such-name.invalid");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for() {
    let (other, trusted, _folder) = with_tls(false).await;
    let stage = Route::default().to(&other.app_url()).await;
    told(&get(&stage, "/api/x").await, 503, "upstream_unavailable", "ca_file");
    assert_eq!(other.journal().len(), 0, "no token was sent");
    // The same with the authority, but under a name that the certificate does not have.
    let (vendor, _, _) = (crate::support::emulator().await, (), ());
    let elsewhere = other.app_url().replace("127.0.0.1", "127.0.0.2");
    let stage = Route::default().upstream(&trusted).beside(vendor, &elsewhere).await;
    let reply = get(&stage, "/api/x").await;
    assert_eq!(reply.refusal(), (503, "upstream_unavailable".to_owned()), "{}", reply.text());
    assert_eq!(other.journal().len(), 0);
}

#[tokio::test]
async fn a_target_that_talks_no_http() {
    for bytes in
        ["\u{15}\u{3}\u{1}\0\u{2}\u{2}(", "SSH-2.0-OpenSSH_9.6\r\n", "hello\r\n\r\n", "HTTP/3.0 200 OK\r\n\r\n"]
    {
        let target = Target::saying(move |_| format!("{bytes}Connection: close")).await;
        let stage = Route::default().to(&target.url).await;
        told(&get(&stage, "/api/x").await, 502, "upstream_malformed", &target.url);
        assert_eq!(target.arrived().len(), 1, "{bytes:?}: not asked again");
    }
}

/// On a kept connection, too: what came was an answer to this request.
#[tokio::test]
async fn a_target_that_stops_talking_http() {
    let target = Target::saying(|arrived| match arrived.head.first.as_str() {
        "GET /api/first HTTP/1.1" => OK.to_owned(),
        _ => "no HTTP\r\n\r\nConnection: close".to_owned(),
    })
    .await;
    let stage = Route::default().to(&target.url).await;
    assert_eq!(get(&stage, "/api/first").await.status, 200);
    told(&get(&stage, "/api/x").await, 502, "upstream_malformed", &target.url);
    assert_eq!((target.arrived().len(), target.connections()), (2, 1));
}

/// Answers a request and lets the connection go.
async fn once(bare: &Bare) -> String {
    let (mut line, head) = bare.request().await;
    let body = line.body(&head).await;
    line.say(OK).await;
    format!("{} {}", head.first, String::from_utf8_lossy(&body.data))
}

/// A kept connection that the target has closed meanwhile is no reason for a caller to hear of it.
#[tokio::test]
async fn a_kept_connection_that_is_closed_between_two_requests() {
    for (method, body) in [("GET", ""), ("POST", "hello"), ("POST", ""), ("DELETE", "")] {
        let bare = Bare::new().await;
        let stage = Route::default().to(&bare.url).await;
        for number in 0..5 {
            let path = format!("/api/{number}");
            let (reply, seen) = tokio::join!(send(&stage, method, &path, body), once(&bare));
            assert_eq!(reply.status, 200, "{method} {number}: {}", reply.text());
            assert_eq!(seen, format!("{method} {path} HTTP/1.1 {body}"));
        }
    }
}

/// One that is closed with the request already on it may have been the server's idle timer; to ask again can do no
/// harm where the method says so, and once is enough.
#[tokio::test]
async fn a_kept_connection_that_is_closed_on_a_request() {
    for (method, wanted) in [("GET", 200), ("PUT", 200), ("POST", 503)] {
        let bare = Bare::new().await;
        let stage = Route::default().to(&bare.url).await;
        let first = async {
            let (mut line, _) = bare.request().await;
            line.say(OK).await;
            line
        };
        let (reply, mut line) = tokio::join!(get(&stage, "/api/first"), first);
        assert_eq!(reply.status, 200);
        let then = async {
            let head = line.head().await.expect("the connection is used again");
            line.body(&head).await;
            drop(line);
            if wanted == 200 { Some(once(&bare).await) } else { None }
        };
        let body = if method == "GET" { "" } else { "hello" };
        let (reply, again) = tokio::join!(send(&stage, method, "/api/x", body), then);
        assert_eq!(reply.status.as_u16(), wanted, "{method}: {}", reply.text());
        assert_eq!(again, (wanted == 200).then(|| format!("{method} /api/x HTTP/1.1 {body}")));
    }
}

/// On a connection that was made for it, a request is not sent twice.
#[tokio::test]
async fn a_new_connection_that_is_closed_on_a_request() {
    let target = Target::saying(|_| String::new()).await;
    let stage = Route::default().to(&target.url).await;
    told(&get(&stage, "/api/x").await, 503, "upstream_unavailable", &target.url);
    assert_eq!(target.arrived().len(), 1);
}

/// A caller that is slow to read is not silent: the target waits for it.
#[tokio::test]
async fn a_caller_that_reads_slowly_is_not_cut_off() {
    let stage = Route::default().keys("timeouts: {idle: 1s}").before_app().await;
    let mut line: Line = caller(&stage).await;
    line.say(head(&stage, "GET /api/bytes?count=30000000", "")).await;
    line.head().await.expect("an answer");
    for _ in 0..10 {
        // Enough to make room for more, so that bytes move.
        line.exactly(2_500_000).await;
        let_pass(ms(250)).await;
    }
    assert_eq!(line.exactly(5_000_000).await.len(), 5_000_000);
}

/// One that takes nothing holds the target's connection, and is cut off as a silent target is.
#[tokio::test]
async fn a_caller_that_takes_nothing_is_cut_off() {
    let stage = Route::default().keys("timeouts: {idle: 400ms}").before_app().await;
    let mut line: Line = caller(&stage).await;
    line.say(head(&stage, "GET /api/bytes?count=30000000", "")).await;
    line.head().await.expect("an answer");
    until("the target is let go", async || stage.vendor.app_traffic().requests == 0).await;
}

/// The time of a target's own gate passes through like any answer.
#[tokio::test]
async fn a_delay_within_bounds_is_no_fault() {
    let stage = Route::default().keys("timeouts: {response_headers: 2s}").before_app().await;
    let answer = ask(&stage, &head(&stage, "GET /api/slow?ms=400", "")).await.expect("an answer");
    assert_eq!(answer.status(), 204);
}

/// A short body, which is taken whole before it is sent, has the time that any other has.
#[tokio::test]
async fn a_short_body_that_comes_slowly_is_not_silent() {
    let target = Target::ok().await;
    let stage = Route::default().keys("timeouts: {idle: 600ms}").to(&target.url).await;
    let mut line: Line = caller(&stage).await;
    line.say(head(&stage, "POST /api/x", "Content-Length: 5\r\n")).await;
    for byte in "hello".as_bytes() {
        let_pass(ms(200)).await;
        line.say([*byte]).await;
    }
    assert_eq!(line.answer().await.map(|answer| answer.status()), Some(200));
    assert_eq!(target.only().body.data, b"hello");
    // And no more than that.
    let mut line: Line = caller(&stage).await;
    line.say(head(&stage, "POST /api/x", "Content-Length: 5\r\n")).await;
    line.say("he").await;
    assert_eq!(line.answer().await.map(|answer| answer.status()), Some(400));
}
