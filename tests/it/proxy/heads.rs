//! Heads of responses, and the small print of HTTP: HEAD, statuses without a body, trailers, interim responses,
//! redirects, what is taken out.

use http::Method;

use super::scene::{PROOF, Route, ask, caller, get, head, send};
use super::target::Target;

/// A target with one answer.
async fn saying(answer: &str) -> Target {
    let answer = answer.to_owned();
    Target::saying(move |_| answer.clone()).await
}

#[tokio::test]
async fn a_head_has_the_length_of_what_get_would_bring() {
    let target = saying("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"a\"\r\n\r\n").await;
    let stage = Route::default().to(&target.url).await;
    let mut line = caller(&stage).await;
    for _ in 0..3 {
        line.say(head(&stage, "HEAD /api/x", "")).await;
        let head = line.head().await.expect("an answer");
        assert_eq!((head.status(), head.get("content-length"), head.get("etag")), (200, Some("1234"), Some("\"a\"")));
    }
    assert_eq!(target.arrived()[0].head.first, "HEAD /api/x HTTP/1.1");
    assert_eq!(target.connections(), 1);
}

#[tokio::test]
async fn statuses_without_a_body_have_none() {
    for status in ["204 No Content", "304 Not Modified", "205 Reset Content"] {
        let length = if status.starts_with("205") { "Content-Length: 0\r\n" } else { "" };
        let target = saying(&format!("HTTP/1.1 {status}\r\nETag: \"a\"\r\n{length}\r\n")).await;
        let stage = Route::default().to(&target.url).await;
        let mut line = caller(&stage).await;
        for _ in 0..2 {
            line.say(head(&stage, "GET /api/x", "If-None-Match: \"a\"\r\n")).await;
            let answer = line.answer().await.expect("an answer");
            assert_eq!(answer.status(), status[..3].parse::<u16>().expect("a number"));
            assert_eq!((answer.head.get("etag"), answer.head.get("transfer-encoding")), (Some("\"a\""), None));
            assert_eq!(answer.body.data, b"", "{status}");
        }
        assert_eq!(target.connections(), 1, "{status}");
    }
}

const TRAILED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum, Set-Cookie\r\n\r\n\
    5\r\nhello\r\n0\r\nX-Checksum: abc\r\nSet-Cookie: a=b\r\n\r\n";

#[tokio::test]
async fn trailers_come_back_to_those_who_take_them() {
    let target = saying(TRAILED).await;
    let stage = Route::default().to(&target.url).await;
    let answer = ask(&stage, &head(&stage, "GET /api/x", "TE: trailers\r\nConnection: TE\r\n")).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.head.get("trailer").map(str::to_ascii_lowercase).as_deref(), Some("x-checksum"));
    assert_eq!(answer.body.data, b"hello");
    let trailers: Vec<_> =
        answer.body.trailers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    assert_eq!(trailers, [("x-checksum".to_owned(), &"abc".to_owned())]);
    assert_eq!(target.only().head.get("te"), Some("trailers"));
    let answer = ask(&stage, &head(&stage, "GET /api/x", "")).await.expect("an answer");
    assert_eq!((answer.text().as_str(), answer.body.trailers.len(), answer.body.whole), ("hello", 0, true));
    assert_eq!(target.arrived()[1].head.get("te"), None);
}

#[tokio::test]
async fn trailers_go_to_the_target_as_far_as_headers_would() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    let headers = "Transfer-Encoding: chunked\r\nTrailer: X-Checksum, Authorization, X-Forwarded-User\r\n";
    let body = "5\r\nhello\r\n0\r\nX-Checksum: abc\r\nAuthorization: Bearer callers\r\nX-Forwarded-User: admin\r\n\r\n";
    let answer = ask(&stage, &(head(&stage, "POST /api/x", headers) + body)).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let arrived = target.only();
    assert_eq!(arrived.head.get("trailer").map(str::to_ascii_lowercase).as_deref(), Some("x-checksum"));
    let names: Vec<_> = arrived.body.trailers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert_eq!((names, arrived.body.data.as_slice()), (vec!["x-checksum".to_owned()], &b"hello"[..]));
}

/// The caller is told to go on by us, and the word is not passed on: the target would say it a second time.
#[tokio::test]
async fn an_expectation_is_met_here() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    for length in [5, 100_000] {
        let mut line = caller(&stage).await;
        let headers = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n");
        line.say(head(&stage, "POST /api/x", &headers)).await;
        assert_eq!(line.head().await.map(|head| head.status()), Some(100));
        line.say("x".repeat(length)).await;
        assert_eq!(line.answer().await.map(|answer| answer.status()), Some(200));
        let arrived = target.arrived().pop().expect("it arrived");
        assert_eq!((arrived.body.data.len(), arrived.head.get("expect")), (length, None));
    }
    let mut line = caller(&stage).await;
    line.say(head(&stage, "POST /admin", "Content-Length: 5\r\nExpect: 100-continue\r\n")).await;
    let refused = line.answer().await.expect("an answer, and no word to go on");
    assert_eq!(refused.refusal(), (403, "route_denied".to_owned()));
}

#[tokio::test]
async fn interim_responses_end_here() {
    let stage = Route::default().before_app().await;
    let mut line = caller(&stage).await;
    for _ in 0..2 {
        line.say(head(&stage, "GET /api/continue?hints=3", "")).await;
        let answer = line.answer().await.expect("an answer");
        assert_eq!((answer.status(), answer.head.get("link")), (200, None));
    }
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
        HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
    let target = saying(answer).await;
    let stage = Route::default().to(&target.url).await;
    let answer = send(&stage, "POST", "/api/x", "hello").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (201, "ok"));
}

/// Rank 21 and T30: the credential would go along.
#[tokio::test]
async fn t30_rank_21_no_redirect_is_followed() {
    let canary = Target::ok().await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/elsewhere?x=1", canary.url);
        let target = saying(&format!("HTTP/1.1 {status} x\r\nLocation: {to}\r\nContent-Length: 4\r\n\r\nthis")).await;
        let stage = Route::default().to(&target.url).await;
        for (method, body) in [("GET", ""), ("POST", "hello")] {
            let reply = send(&stage, method, "/api/x", body).await;
            assert_eq!((reply.status.as_u16(), reply.header("location")), (status, Some(to.as_str())));
            assert_eq!(reply.text(), "this");
        }
        assert_eq!(target.arrived().len(), 2);
    }
    assert_eq!(canary.connections(), 0);
}

/// T32.
#[tokio::test]
async fn threat_32_what_is_for_the_targets_own_origin_is_taken_out() {
    let stage = Route::default().server("allowed_origins: ['https://ok.example']").before_app().await;
    let origin = ("origin", "https://ok.example");
    let reply = stage.send("GET", "/proxy/app/api/rude-headers", &[PROOF, origin], "").await;
    assert_eq!(reply.status, 200);
    for name in [
        "set-cookie",
        "x-secret",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "alt-svc",
        "strict-transport-security",
        "access-control-allow-credentials",
        "sidemint-cache",
    ] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://ok.example"), "ours, not the target's `*`");
    assert_eq!(reply.json()["app"], "is rude");
    let reply = get(&stage, "/api/rude-headers").await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

/// T32: the head of a response is bounded, and has to be one.
#[tokio::test]
async fn threat_32_heads_that_are_none_become_a_problem() {
    let large = "v".repeat(1 << 20);
    let many: String = (0..3000).map(|number| format!("X-{number}: v\r\n")).collect();
    for (what, head) in [
        ("a header of 1 MiB", format!("HTTP/1.1 200 OK\r\nX-Large: {large}\r\nContent-Length: 2\r\n\r\nok")),
        ("3,000 headers", format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\nok")),
        ("obs-fold", "HTTP/1.1 200 OK\r\nX-A: b\r\n Set-Cookie: c\r\nContent-Length: 2\r\n\r\nok".to_owned()),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok".to_owned()),
        ("no status", "HTTP/1.1 OK\r\n\r\n".to_owned()),
        ("a NUL", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok".to_owned()),
    ] {
        let target = saying(&head).await;
        let stage = Route::default().to(&target.url).await;
        let reply = get(&stage, "/api/x").await;
        assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()), "{what}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{what}");
        assert_eq!(target.arrived().len(), 1, "{what}: not asked again");
    }
}

/// A line that ends in a bare LF is one for us, so what it holds is judged, and framed anew.
#[tokio::test]
async fn threat_32_a_cookie_behind_a_bare_line_feed_is_taken_out() {
    let target = saying("HTTP/1.1 200 OK\r\nX-A: b\nSet-Cookie: c=d\r\nContent-Length: 2\r\n\r\nok").await;
    let stage = Route::default().to(&target.url).await;
    let answer = ask(&stage, &head(&stage, "GET /api/x", "")).await.expect("an answer");
    assert!([200, 502].contains(&answer.status()), "{answer:?}");
    assert_eq!(answer.head.all("set-cookie"), Vec::<&str>::new());
}

#[tokio::test]
async fn ninety_headers_pass() {
    let stage = Route::default().before_app().await;
    let reply = get(&stage, "/api/headers?n=90&size=100").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.headers.keys().filter(|name| name.as_str().starts_with("x-many-")).count(), 90);
}

#[tokio::test]
async fn every_method_that_is_allowed_passes() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
        assert_eq!(send(&stage, method.as_str(), "/api/x", "").await.status, 200, "{method}");
        let arrived = target.arrived().pop().expect("it arrived");
        assert_eq!(arrived.head.first, format!("{method} /api/x HTTP/1.1"));
    }
}

/// RFC 9112 section 6.3: the coding says where the body ends, whatever the length beside it says.
#[tokio::test]
async fn threat_32_a_length_beside_a_coding_cuts_nothing() {
    for length in ["Content-Length: 2", "Content-Length: 200", "Content-Length: 5\r\nContent-Length: 5"] {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{length}\r\n\r\n");
        let target = saying(&format!("{head}5\r\nhello\r\n0\r\n\r\n")).await;
        let stage = Route::default().to(&target.url).await;
        let reply = get(&stage, "/api/x").await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "hello"), "{length}");
        assert_eq!(reply.header("content-length"), None, "{length}");
    }
}

/// Without its coding the body would be taken for what it is not.
#[tokio::test]
async fn threat_32_a_coding_that_nobody_asked_for_is_a_problem() {
    let target = saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    let stage = Route::default().to(&target.url).await;
    assert_eq!(get(&stage, "/api/x").await.refusal(), (502, "upstream_malformed".to_owned()));
}
