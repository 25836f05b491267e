//! Requests whose ends are in doubt (rank 17, T27): refused, or one canonical request at the target, and nothing that
//! follows them is misread.

use super::line::Answer;
use super::scene::{Route, caller, head};
use super::target::Target;
use crate::support::{Stage, until};

async fn scene() -> (Target, Stage) {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    (target, stage)
}

/// The answers to a POST with this framing and body, and a hidden request behind it.
async fn answers(stage: &Stage, headers: &str, body: &str) -> Vec<Answer> {
    let hidden = head(stage, "GET /api/hidden", "Connection: close\r\n");
    let mut line = caller(stage).await;
    line.say(head(stage, "POST /api/x", &format!("{headers}\r\n")) + body + &hidden).await;
    line.hush().await;
    line.answers().await
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(Answer::status).collect()
}

/// Requests that ended as their heads said.
fn whole(target: &Target) -> Vec<String> {
    let all = target.arrived().into_iter().filter(|arrived| arrived.body.whole);
    all.map(|arrived| format!("{} {}", arrived.head.first, String::from_utf8_lossy(&arrived.body.data))).collect()
}

#[tokio::test]
async fn t27_rank_17_a_length_or_coding_in_doubt_is_refused() {
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    for (headers, body) in [
        ("Content-Length: 5\r\nContent-Length: 0", "hello"),
        ("Content-Length: 5, 0", "hello"),
        ("Content-Length: +5", "hello"),
        ("Content-Length: 0x5", "hello"),
        ("Content-Length: -1", "hello"),
        ("Content-Length: 5 5", "hello"),
        ("Content-Length: 99999999999999999999999", "hello"),
        ("Content-Length: 0\r\nTransfer-Encoding: gzip, chunked", chunked),
        ("Transfer-Encoding: gzip, chunked", chunked),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunked),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", chunked),
        ("Transfer-Encoding: chunked, chunked", chunked),
        ("Transfer-Encoding: ,chunked", chunked),
        ("Transfer-Encoding: chunked,", chunked),
        ("Transfer-Encoding: chunked, identity", chunked),
        ("Transfer-Encoding: xchunked", chunked),
        ("Transfer-Encoding: \"chunked\"", chunked),
        ("Transfer-Encoding:\u{b}chunked", chunked),
        ("Transfer-Encoding:", chunked),
        ("Transfer-Encoding : chunked", chunked),
        (" Transfer-Encoding: chunked", chunked),
        ("X-A: b\r\n Transfer-Encoding: chunked", chunked),
        ("X-Nul: a\0b\r\nContent-Length: 5", "hello"),
    ] {
        let (target, stage) = scene().await;
        let answers = answers(&stage, headers, body).await;
        assert_eq!(statuses(&answers), [400], "{headers:?}");
        assert_eq!(target.arrived().len(), 0, "{headers:?}");
    }
}

/// RFC 9112 section 6.3: the chunks count, and the connection ends with the answer.
#[tokio::test]
async fn rank_17_a_length_beside_chunks_makes_one_canonical_request_at_most() {
    for length in ["0", "5", "15", "10000"] {
        for headers in [
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
            format!("Transfer-Encoding: CHUNKED\r\nContent_Length: {length}\r\nContent-Length: {length}"),
        ] {
            let (target, stage) = scene().await;
            let answers = answers(&stage, &headers, "5\r\nhello\r\n0\r\n\r\n").await;
            let arrived = target.arrived();
            match statuses(&answers)[..] {
                [400] => assert_eq!(arrived.len(), 0, "{headers}"),
                [200] => {
                    assert_eq!(whole(&target), ["POST /api/x HTTP/1.1 hello"], "{headers}");
                    assert_eq!(arrived[0].head.all("content-length"), Vec::<&str>::new(), "{headers}");
                    assert_eq!(arrived[0].head.get("transfer-encoding"), Some("chunked"), "{headers}");
                }
                ref other => panic!("{headers}: {other:?}"),
            }
        }
    }
}

/// What was sent before the mistake is at the target already; its request never ends as if it were whole.
#[tokio::test]
async fn rank_17_a_body_that_breaks_the_rules_of_chunks_is_no_request() {
    for body in [
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n",
    ] {
        let (target, stage) = scene().await;
        let answers = answers(&stage, "Transfer-Encoding: chunked", body).await;
        assert!(statuses(&answers).iter().all(|status| *status == 400), "{body:?}: {:?}", statuses(&answers));
        assert!(answers.len() <= 1, "{body:?}");
        assert_eq!(whole(&target), Vec::<String>::new(), "{body:?}");
    }
}

#[tokio::test]
async fn rank_17_a_bare_line_feed_makes_no_second_request() {
    let (target, stage) = scene().await;
    let good = head(&stage, "GET /api/x", "X-A: b\r\nConnection: close\r\n");
    for bytes in [
        good.replace("\r\n", "\n"),
        good.replace("X-A: b\r\n", "X-A: b\n"),
        good.replace("X-A: b\r\n", "X-A: b\nCookie: c\n"),
        good.replace("X-A: b\r\n", "X-A: b\rCookie: c\r\n"),
        good.replace("X-A: b\r\n", "X-A: b\n\nGET /proxy/app/api/hidden HTTP/1.1\n"),
        good.replace(" HTTP/1.1\r\n", " HTTP/1.1\r\r\n"),
    ] {
        let before = target.arrived().len();
        let mut line = caller(&stage).await;
        line.say(&bytes).await;
        line.hush().await;
        let answers = line.answers().await;
        let arrived = &target.arrived()[before..];
        match statuses(&answers)[..] {
            [] | [400 | 403] => assert_eq!(arrived.len(), 0, "{bytes:?}"),
            [200] | [200, 400] => {
                // What is read of a target is read strictly: one head, each line with its CRLF.
                assert_eq!(arrived.len(), 1, "{bytes:?}");
                assert_eq!(arrived[0].head.first, "GET /api/x HTTP/1.1", "{bytes:?}");
                assert_eq!(arrived[0].head.all("cookie"), Vec::<&str>::new(), "{bytes:?}");
            }
            ref other => panic!("{bytes:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn rank_17_chunks_need_http_1_1() {
    let (target, stage) = scene().await;
    let old = |line: &str, headers: &str| head(&stage, line, headers).replace("HTTP/1.1", "HTTP/1.0");
    let mut line = caller(&stage).await;
    line.say(old("POST /api/x", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n").await;
    line.hush().await;
    assert_eq!(statuses(&line.answers().await), [400]);
    assert_eq!(target.arrived().len(), 0);
    let mut line = caller(&stage).await;
    line.say(old("POST /api/x", "Content-Length: 5\r\n") + "hello" + &old("GET /api/hidden", "")).await;
    assert_eq!(statuses(&line.answers().await), [200], "the connection ends with the answer");
    assert_eq!(whole(&target), ["POST /api/x HTTP/1.1 hello"]);
}

/// Whatever way a body comes, it is framed anew, and the request behind it is the next one.
#[tokio::test]
async fn rank_17_sound_requests_on_one_connection_stay_apart() {
    let (target, stage) = scene().await;
    let long = "x".repeat(70_000);
    let get = head(&stage, "GET /api/inner", "");
    let bodies = [
        ("Transfer-Encoding: chunked", "5;ext=1\r\nhello\r\n0\r\n\r\n".to_owned(), "hello".to_owned()),
        ("Transfer-Encoding: Chunked", "005\r\nhello\r\n1\r\n!\r\n000\r\n\r\n".to_owned(), "hello!".to_owned()),
        ("Transfer-Encoding: chunked", format!("{:x}\r\n{get}\r\n0\r\n\r\n", get.len()), get.clone()),
        ("Content-Length: 5", "hello".to_owned(), "hello".to_owned()),
        ("Content-Length: 0", String::new(), String::new()),
        ("Content-Length: 70000", long.clone(), long),
    ];
    let mut line = caller(&stage).await;
    let mut wanted = Vec::new();
    for (headers, body, seen) in &bodies {
        line.say(head(&stage, "POST /api/x", &format!("{headers}\r\n")) + body).await;
        line.say(head(&stage, "GET /api/next", "")).await;
        wanted.extend([format!("POST /api/x HTTP/1.1 {seen}"), "GET /api/next HTTP/1.1 ".to_owned()]);
    }
    for number in 0..wanted.len() {
        assert_eq!(line.answer().await.map(|answer| answer.status()), Some(200), "answer {number}");
    }
    assert_eq!(whole(&target), wanted);
    for arrived in target.arrived() {
        let framings = arrived.head.all("content-length").len() + arrived.head.all("transfer-encoding").len();
        assert!(framings <= 1, "{:?}", arrived.head);
    }
}

/// T31: what a refusal leaves unread is no request.
#[tokio::test]
async fn threat_31_the_tail_of_a_refused_body_is_no_request() {
    let (target, stage) = scene().await;
    let hidden = head(&stage, "GET /api/hidden", "");
    let body = "x".repeat(1 << 20) + &hidden;
    for (line, status) in [("POST /admin", 403), ("GET /api/x", 400), ("POST /api/../x", 400), ("BREW /api/x", 405)] {
        let mut caller = caller(&stage).await;
        caller.say(head(&stage, line, &format!("Content-Length: {}\r\n", body.len())) + &body).await;
        caller.hush().await;
        let answers = caller.answers().await;
        assert_eq!(statuses(&answers), [status], "{line}");
    }
    assert_eq!(target.connections(), 0);
    let mut line = caller(&stage).await;
    line.say(head(&stage, "GET /api/x", "")).await;
    assert_eq!(line.answer().await.map(|answer| answer.status()), Some(200));
}

/// A caller that goes away in the middle of a body leaves no whole request behind.
#[tokio::test]
async fn a_body_that_ends_early_is_no_request() {
    for (framing, body) in
        [("Content-Length: 100000", "x".repeat(70_000)), ("Transfer-Encoding: chunked", "5\r\nhello\r\n".to_owned())]
    {
        let (target, stage) = scene().await;
        let mut line = caller(&stage).await;
        line.say(head(&stage, "POST /api/x", &format!("{framing}\r\n")) + &body).await;
        until("it is under way", async || target.connections() == 1).await;
        drop(line);
        until("the target is told", async || !target.arrived().is_empty()).await;
        assert!(!target.only().body.whole, "{framing}");
    }
}
