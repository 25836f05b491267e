//! Bodies go through as they come: each side reads what the other has said before that has said all.

use http_body_util::BodyExt;

use super::line::{Line, patiently};
use super::scene::{Route, at_app, caller, get, head, send};
use super::target::{Bare, OK};
use crate::support::{Stage, until};

/// A caller and a target with a request between them.
async fn scene(line: &str, headers: &str) -> (Stage, Line, Line) {
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let mut caller = caller(&stage).await;
    caller.say(head(&stage, line, headers)).await;
    let (target, _) = bare.request().await;
    (stage, caller, target)
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// Row 52. The second event is not sent before the first was read.
#[tokio::test]
async fn row_52_events_come_one_by_one() {
    let (_stage, mut caller, mut target) = scene("GET /api/sse", "Accept: text/event-stream\r\n").await;
    target.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let head = caller.head().await.expect("the head comes before any event");
    assert_eq!(head.get("content-type"), Some("text/event-stream"));
    for number in 0..20 {
        let event = format!("id: {number}\ndata: {{}}\n\n");
        target.say(chunk(&event)).await;
        assert_eq!(caller.chunk().await.as_deref(), Some(event.as_bytes()));
    }
    target.say("0\r\n\r\n").await;
    assert_eq!(caller.chunk().await.as_deref(), Some(&b""[..]));
}

/// A target that frames by the end of the connection streams as well.
#[tokio::test]
async fn row_52_events_without_a_framing_come_one_by_one() {
    let (_stage, mut caller, mut target) = scene("GET /api/sse", "").await;
    target.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
    assert_eq!(caller.head().await.map(|head| head.status()), Some(200));
    for number in 0..3 {
        let event = format!("data: {number}\n\n");
        target.say(&event).await;
        assert_eq!(caller.chunk().await.as_deref(), Some(event.as_bytes()));
    }
    drop(target);
    assert_eq!(caller.chunk().await.as_deref(), Some(&b""[..]), "the end of the connection is that of the body");
}

#[tokio::test]
async fn an_upload_arrives_while_it_is_sent() {
    let (_stage, mut caller, mut target) = scene("POST /api/x", "Transfer-Encoding: chunked\r\n").await;
    for number in 0..5 {
        let part = format!("part {number}");
        caller.say(chunk(&part)).await;
        assert_eq!(target.chunk().await.as_deref(), Some(part.as_bytes()));
    }
    caller.say("0\r\n\r\n").await;
    assert_eq!(target.chunk().await.as_deref(), Some(&b""[..]));
    target.say(OK).await;
    assert_eq!(caller.answer().await.map(|answer| answer.text()).as_deref(), Some("ok"));
}

#[tokio::test]
async fn an_upload_of_a_known_length_keeps_it_and_streams() {
    const LENGTH: usize = 1 << 20;
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let mut caller = caller(&stage).await;
    caller.say(head(&stage, "PUT /api/x", &format!("Content-Length: {LENGTH}\r\n"))).await;
    let (mut target, head) = bare.request().await;
    assert_eq!((head.get("content-length"), head.get("transfer-encoding")), (Some("1048576"), None));
    for _ in 0..4 {
        caller.say("x".repeat(LENGTH / 4)).await;
        assert_eq!(target.exactly(LENGTH / 4).await.len(), LENGTH / 4);
    }
    target.say(OK).await;
    assert_eq!(caller.answer().await.map(|answer| answer.text()).as_deref(), Some("ok"));
}

#[tokio::test]
async fn both_directions_at_once() {
    let (_stage, mut caller, mut target) = scene("POST /api/duplex", "Transfer-Encoding: chunked\r\n").await;
    caller.say(chunk("first")).await;
    assert_eq!(target.chunk().await.as_deref(), Some(&b"first"[..]));
    target.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(caller.head().await.map(|head| head.status()), Some(200), "before the request has ended");
    for number in 0..10 {
        caller.say(chunk(&format!("question {number}"))).await;
        assert_eq!(target.chunk().await, Some(format!("question {number}").into_bytes()));
        target.say(chunk(&format!("answer {number}"))).await;
        assert_eq!(caller.chunk().await, Some(format!("answer {number}").into_bytes()));
    }
    caller.say("0\r\n\r\n").await;
    assert_eq!(target.chunk().await.as_deref(), Some(&b""[..]));
    target.say("0\r\n\r\n").await;
    assert_eq!(caller.chunk().await.as_deref(), Some(&b""[..]));
}

/// The app answers and reads no further: the caller has the answer, whatever it still wanted to say.
#[tokio::test]
async fn an_answer_that_comes_early_is_passed_on() {
    let (_stage, mut caller, mut target) = scene("POST /api/x", "Content-Length: 10000000\r\n").await;
    caller.say("x".repeat(1000)).await;
    target.say("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge").await;
    let answer = caller.answer().await.expect("an answer");
    assert_eq!((answer.status(), answer.text().as_str()), (413, "large"));
}

/// A connection on which a request is still being sent is in nobody's way.
#[tokio::test]
async fn an_early_answer_leaves_the_rest_of_the_upload_behind() {
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let mut slow = caller(&stage).await;
    slow.say(head(&stage, "POST /api/x", "Transfer-Encoding: chunked\r\n") + &chunk("first")).await;
    let (mut target, _) = bare.request().await;
    target.say(OK).await;
    assert_eq!(slow.answer().await.map(|answer| answer.text()).as_deref(), Some("ok"));
    let mut next = caller(&stage).await;
    next.say(head(&stage, "GET /api/next", "")).await;
    let (mut other, head_of_next) = bare.request().await;
    assert_eq!(head_of_next.first, "GET /api/next HTTP/1.1");
    other.say(OK).await;
    assert_eq!(next.answer().await.map(|answer| answer.text()).as_deref(), Some("ok"));
}

/// Even one that is still being sent as fast as it can be.
#[tokio::test]
async fn an_early_answer_reaches_a_caller_who_is_busy_sending() {
    let stage = Route::default().before_app().await;
    let mut caller = caller(&stage).await;
    let length = 200_000;
    caller.say(head(&stage, "POST /api/early?code=403", &format!("Content-Length: {length}\r\n"))).await;
    caller.say("x".repeat(length / 2)).await;
    let answer = caller.answer().await.expect("an answer");
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("did not read"), "{}", answer.text());
    assert_eq!(get(&stage, "/api/x").await.status, 200, "the pool is well");
}

/// Compressed bodies are bodies: nothing is opened, nothing is packed.
#[tokio::test]
async fn an_encoding_is_left_alone() {
    let (_stage, mut caller, mut target) = scene("GET /api/x", "Accept-Encoding: gzip, br\r\n").await;
    target.say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n").await;
    target.say([0x1f, 0x8b, 0x00, 0xff]).await;
    let answer = caller.answer().await.expect("an answer");
    assert_eq!(
        (answer.head.get("content-encoding"), &answer.body.data[..]),
        (Some("gzip"), &[0x1f, 0x8b, 0, 0xff][..])
    );
}

/// Row 54 in little; that the memory does not grow with it is a test of the binary.
#[tokio::test]
async fn row_54_what_is_large_arrives_whole() {
    const LENGTH: usize = 8 << 20;
    let stage = Route::default().before_app().await;
    let reply = get(&stage, &format!("/api/bytes?count={LENGTH}")).await;
    assert_eq!((reply.body.len(), reply.header("content-length")), (LENGTH, Some("8388608")));
    assert!(reply.body.iter().all(|byte| *byte == b'.'));
    let body: String = (0..LENGTH / 8).map(|number| format!("{number:08}")).collect();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let seen = send(&stage, "POST", "/api/x", &body).await.json();
    assert_eq!((&seen["body"]["length"], &seen["body"]["sha256"]), (&LENGTH.into(), &digest.into()));
    assert!(at_app(&stage).iter().all(|entry| entry.status == Some(200)));
}

/// A caller that does not read is not read for: the target has to wait, and what waits here is bounded.
#[tokio::test]
async fn a_slow_reader_holds_the_target_up() {
    const LENGTH: u64 = 1 << 30;
    let stage = Route::default().before_app().await;
    let mut caller = caller(&stage).await;
    caller.say(head(&stage, &format!("GET /api/bytes?count={LENGTH}"), "")).await;
    assert_eq!(caller.head().await.map(|head| head.status()), Some(200));
    // A gigabyte would be through in the time that this takes if somebody took it in.
    assert_eq!(caller.exactly(1 << 20).await.len(), 1 << 20);
    assert_eq!(stage.vendor.app_traffic().requests, 1, "it is still being sent");
    drop(caller);
    until("the target is told", async || stage.vendor.app_traffic().requests == 0).await;
}

/// `server.max_body` is for the token API.
#[tokio::test]
async fn the_bound_of_bodies_is_not_for_routes() {
    let stage = Route::default().server("max_body: 1KiB").before_app().await;
    let reply = send(&stage, "POST", "/api/x", &"x".repeat(100_000)).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["body"]["length"]), (200, &100_000.into()));
}

/// A response that is streamed to a client of the ordinary kind.
#[tokio::test]
async fn a_client_reads_frames_as_they_come() {
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let asking = client.request(super::scene::request(&stage, "GET", "/api/x"));
    let serving = async {
        let (mut target, _) = bare.request().await;
        target.say(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk("one"))).await;
        target
    };
    let (response, mut target) = patiently(async { tokio::join!(asking, serving) }).await;
    let mut body = response.expect("a response").into_body();
    for (number, wanted) in ["one", "two", "three"].iter().enumerate() {
        if number > 0 {
            target.say(chunk(wanted)).await;
        }
        let frame = patiently(body.frame()).await.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), wanted);
    }
}
