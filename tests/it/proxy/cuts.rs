//! What is cut on one side is cut on the other: nobody takes a part for the whole.

use sidemint::emulator::Fault;

use super::line::Line;
use super::scene::{Route, caller, get, head};
use super::target::{Bare, OK};
use crate::support::{Stage, until};

async fn scene(line: &str, headers: &str) -> (Stage, Bare, Line, Line) {
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let mut caller = caller(&stage).await;
    caller.say(head(&stage, line, headers)).await;
    let (target, _) = bare.request().await;
    (stage, bare, caller, target)
}

#[tokio::test]
async fn a_response_that_breaks_off_has_no_clean_end() {
    for (head, part) in [
        ("Content-Length: 100", "only this"),
        ("Transfer-Encoding: chunked", "9\r\nonly this\r\n"),
        ("Transfer-Encoding: chunked", "ff\r\nonly this"),
    ] {
        let (_stage, _bare, mut caller, mut target) = scene("GET /api/x", "").await;
        target.say(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}")).await;
        let answer = caller.head().await.expect("the head was passed on");
        assert_eq!(answer.status(), 200);
        drop(target);
        let body = caller.body(&answer).await;
        assert!(!body.whole, "{head}: {body:?}");
    }
}

#[tokio::test]
async fn nor_has_one_that_breaks_the_rules_of_chunks() {
    for part in ["zz\r\nonly this\r\n0\r\n\r\n", "9\r\nonly this!\r\n0\r\n\r\n", "fffffffffffffffff\r\nonly this\r\n"] {
        let (_stage, _bare, mut caller, mut target) = scene("GET /api/x", "").await;
        target.say(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n{part}")).await;
        let answer = caller.head().await.expect("the head was passed on");
        let body = caller.body(&answer).await;
        assert!(!body.whole, "{part}: {body:?}");
    }
}

/// The connection goes no further, so that the next request is not answered with the rest of this one.
#[tokio::test]
async fn a_connection_that_was_cut_is_not_used_again() {
    let stage = Route::default().before_app().await;
    for _ in 0..3 {
        stage.vendor.inject(Fault { operation: "app".into(), truncate: true, ..Fault::default() }.times(1));
        let mut line = caller(&stage).await;
        line.say(head(&stage, "GET /api/bytes?count=100000", "")).await;
        let answer = line.answer().await.expect("the head was passed on");
        assert!(answer.status() == 200 && !answer.body.whole);
        assert_eq!(get(&stage, "/api/x").await.status, 200);
        // A reset in place of an answer may have been meant for the kept connection.
        stage.vendor.inject(Fault { operation: "app".into(), reset: true, ..Fault::default() }.times(1));
        assert_eq!(get(&stage, "/api/x").await.status, 200);
    }
}

/// More than was announced is the beginning of nothing.
#[tokio::test]
async fn what_a_target_says_behind_its_answer_is_no_answer() {
    let (stage, bare, mut caller, mut target) = scene("GET /api/x", "").await;
    target.say(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")).await;
    assert_eq!(caller.answer().await.map(|answer| answer.text()).as_deref(), Some("ok"));
    caller.say(head(&stage, "GET /api/y", "")).await;
    let (mut second, next) = bare.request().await;
    assert_eq!(next.first, "GET /api/y HTTP/1.1", "on a connection of its own");
    second.say(OK).await;
    assert_eq!(caller.answer().await.map(|answer| answer.text()).as_deref(), Some("ok"));
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_targets_request() {
    // Before the head of the response …
    let (_stage, _bare, caller, mut target) = scene("GET /api/x", "").await;
    drop(caller);
    assert_eq!(target.rest().await, b"");
    // … in the middle of its body …
    let (_stage, _bare, mut caller, mut target) = scene("GET /api/x", "").await;
    target.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
    caller.head().await.expect("the head was passed on");
    assert_eq!(caller.chunk().await.as_deref(), Some(&b"one"[..]));
    drop(caller);
    assert_eq!(target.rest().await, b"");
    // … and while it is sending itself.
    let (_stage, _bare, mut caller, mut target) = scene("POST /api/x", "Transfer-Encoding: chunked\r\n").await;
    caller.say("3\r\none\r\n").await;
    assert_eq!(target.chunk().await.as_deref(), Some(&b"one"[..]));
    drop(caller);
    assert_eq!(target.chunk().await, None, "no last chunk");
}

/// The same with many at once: nothing is left over at the target.
#[tokio::test]
async fn callers_that_leave_leave_nothing_behind() {
    let stage = Route::default().before_app().await;
    let mut lines = Vec::new();
    for _ in 0..30 {
        let mut line = caller(&stage).await;
        line.say(head(&stage, "GET /api/sse?events=100000&every_ms=1000", "")).await;
        line.head().await.expect("an answer");
        lines.push(line);
    }
    assert_eq!(stage.vendor.app_traffic().requests, 30);
    drop(lines);
    until("the target is told", async || {
        let traffic = stage.vendor.app_traffic();
        traffic.requests == 0 && traffic.connections == 0
    })
    .await;
}
