//! Paths and methods that no rule lets through, and forms of a request that mean another host. Nothing of them is
//! seen at the target, not even a connection.

use super::scene::{Route, ask, caller, head, host, raw};
use super::target::Target;
use crate::support::Stage;

async fn scene() -> (Target, Stage) {
    let target = Target::ok().await;
    let stage = Route::default().allow("GET /api/**, POST /api/predict, GET /models/*/card").to(&target.url).await;
    (target, stage)
}

/// The answer to this first line. A refusal is a problem that repeats nothing of what was asked.
async fn refusal(stage: &Stage, line: &str) -> (u16, String) {
    let answer = ask(stage, &raw(stage, line, "")).await;
    let answer = answer.unwrap_or_else(|| panic!("{line}: closed without an answer"));
    // hyper refuses what it cannot read with a status alone.
    if answer.status() >= 400 && !answer.body.data.is_empty() {
        assert_eq!(answer.head.get("content-type"), Some("application/problem+json"), "{line}");
        assert!(!answer.text().contains("evil") && !answer.text().contains("secret"), "{}", answer.text());
    }
    answer.refusal()
}

/// Rank 19 and T23.
#[tokio::test]
async fn rank_19_a_path_with_two_meanings_is_refused() {
    let (target, stage) = scene().await;
    let (malformed, denied) = ((400, "malformed_request"), (403, "route_denied"));
    for (path, wanted) in [
        ("/api/../admin", malformed),
        ("/api/./x", malformed),
        ("/api/..", malformed),
        ("/api/x/..", malformed),
        ("/api/.../x", malformed),
        ("/api/%2e%2e/admin", malformed),
        ("/api/%2E./admin", malformed),
        ("/api/%252e%252e/admin", malformed),
        ("/api/%2fadmin", malformed),
        ("/api/x%2F..%2Fadmin", malformed),
        ("/api%2fx", malformed),
        ("/api/%5c..%5cadmin", malformed),
        ("/api\\x", malformed),
        ("/api/..\\admin", malformed),
        ("/api/..;/admin", malformed),
        ("/api/x;jsessionid=1", malformed),
        ("/api/%3b", malformed),
        ("//evil.example/api/x", malformed),
        ("/api//x", malformed),
        ("//", malformed),
        ("/api/%00", malformed),
        ("/api/%0d%0aSet-Cookie:x", malformed),
        ("/api/%", malformed),
        ("/api/%zz", malformed),
        ("/api/%u002e%u002e", malformed),
        ("/api/%61", malformed),
        // Overlong forms of `.` and `/`, which lenient decoders take for these, and what is no UTF-8 at all.
        ("/api/%c0%ae%c0%ae/admin", malformed),
        ("/api/%c0%ae%c0%ae%c0%afadmin", malformed),
        ("/api/%e0%80%ae/x", malformed),
        ("/api/%c1%9cx", malformed),
        ("/api/%ff", malformed),
        ("/api/%c3", malformed),
        // What looks like a dot or a slash, and is folded to one by some.
        ("/api/%ef%bc%8e%ef%bc%8e/admin", malformed),
        ("/api/%ef%bc%8fadmin", malformed),
        ("/api/%e2%81%84admin", malformed),
        ("/api/%c3%a9", (200, "")),
        ("/api/%25", malformed),
        ("/api/%23", malformed),
        ("/api/%3fx", malformed),
        ("/admin?/api/x", denied),
        ("/admin?x=/api/", denied),
        ("/", denied),
        ("/api", denied),
        ("/apix", denied),
        ("/API/x", denied),
        ("/x/api/y", denied),
        ("/models/a", denied),
        ("/models/a/b/card", denied),
        ("/api/predict/x", (200, "")),
        ("/models/a/card", (200, "")),
    ] {
        let before = target.arrived().len();
        let (status, code) = refusal(&stage, &format!("GET /proxy/app{path} HTTP/1.1")).await;
        assert_eq!((status, code.as_str()), wanted, "{path}");
        assert_eq!(target.arrived().len() - before, usize::from(status == 200), "{path}");
    }
}

#[tokio::test]
async fn rank_19_nor_does_one_that_hides_in_the_name_of_the_route() {
    let (target, stage) = scene().await;
    for (path, code) in [
        ("/proxy/other/api/x", "unknown_route"),
        ("/proxy/APP/api/x", "unknown_route"),
        ("/proxy/app%2f/api/x", "unknown_route"),
        ("/proxy/%61pp/api/x", "unknown_route"),
        ("/proxy/../proxy/app/api/x", "unknown_route"),
        ("/proxy/app;x/api/x", "unknown_route"),
        ("/proxy//app/api/x", "unknown_route"),
        ("/proxy/app", "not_found"),
        ("/proxy", "not_found"),
        ("//proxy/app/api/x", "not_found"),
        ("/Proxy/app/api/x", "not_found"),
        ("/./proxy/app/api/x", "not_found"),
    ] {
        let said = refusal(&stage, &format!("GET {path} HTTP/1.1")).await;
        assert_eq!(said, (404, code.to_owned()), "{path}");
    }
    assert_eq!(target.connections(), 0);
}

/// What some servers cut off at `#`, and what no line of HTTP may hold.
#[tokio::test]
async fn threat_23_characters_that_no_path_has_are_refused() {
    let (target, stage) = scene().await;
    for path in ["/api/x#y", "/api/x y", "/api/\u{e9}", "/api/x\ty", "/api/\u{7f}", "/api/\"x\"", "/api/<x>", "/api/`"]
    {
        let answer = ask(&stage, &raw(&stage, &format!("GET /proxy/app{path} HTTP/1.1"), "")).await;
        // A fragment is cut off before we could see it; then what is left is the path for all.
        let cut = path.contains('#') && answer.as_ref().is_some_and(|answer| answer.status() == 200);
        if cut {
            assert_eq!(target.only().head.first, "GET /api/x HTTP/1.1");
        } else {
            assert_eq!(answer.map(|answer| answer.status()), Some(400), "{path}");
        }
    }
}

/// T24: the target is the config's to say.
#[tokio::test]
async fn threat_24_no_form_of_a_request_leads_elsewhere() {
    let (target, stage) = scene().await;
    let own = host(&stage);
    for line in [
        format!("GET http://{own}/proxy/app/api/x HTTP/1.1"),
        "GET http://169.254.169.254/proxy/app/api/x HTTP/1.1".to_owned(),
        "GET https://evil.example/proxy/app/api/x HTTP/1.1".to_owned(),
        "GET http://user@evil.example/proxy/app/api/x HTTP/1.1".to_owned(),
        format!("GET {own} HTTP/1.1"),
        format!("CONNECT {own} HTTP/1.1"),
        "CONNECT evil.example:443 HTTP/1.1".to_owned(),
        "OPTIONS * HTTP/1.1".to_owned(),
        "GET proxy/app/api/x HTTP/1.1".to_owned(),
        "GET @evil.example/proxy/app/api/x HTTP/1.1".to_owned(),
        "GET  /proxy/app/api/x HTTP/1.1".to_owned(),
        "GET /proxy/app/api/x HTTP/2.0".to_owned(),
        "PRI * HTTP/2.0".to_owned(),
    ] {
        let answer = ask(&stage, &raw(&stage, &line, "")).await;
        assert!(answer.is_none_or(|answer| answer.status() == 400), "{line}");
    }
    for name in ["evil.example", "169.254.169.254", &format!("{own}@evil.example")] {
        let bytes = head(&stage, "GET /api/x", "").replace(&format!("Host: {own}"), &format!("Host: {name}"));
        let answer = ask(&stage, &bytes).await.expect("an answer");
        assert_eq!(answer.refusal(), (403, "forbidden_host".to_owned()), "{name}");
    }
    assert_eq!(target.connections(), 0);
}

/// T29. Those of WebDAV, of caches, of HTTP/2, and what is none.
#[tokio::test]
async fn threat_29_odd_methods_do_not_pass() {
    let (target, stage) = scene().await;
    let odd = [
        "CONNECT",
        "TRACE",
        "TRACK",
        "PRI",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "SEARCH",
        "REPORT",
        "CHECKOUT",
        "CHECKIN",
        "MKACTIVITY",
        "MERGE",
        "BIND",
        "UNBIND",
        "ACL",
        "PURGE",
        "BAN",
        "LINK",
        "UNLINK",
        "VIEW",
        "DEBUG",
        "QUERY",
        "SOURCE",
        "SUBSCRIBE",
        "NOTIFY",
        "M-SEARCH",
        "BASELINE-CONTROL",
        "get",
        "Get",
        "post",
        "GETT",
        "GE",
        "GET!",
        "G*T",
        "X",
        "TEST-METHOD-OF-FIFTY-LETTERS-OR-A-FEW-MORE-THAN-THAT",
    ];
    for method in odd {
        let (status, code) = refusal(&stage, &format!("{method} /proxy/app/api/x HTTP/1.1")).await;
        let is_refused = (status, code.as_str()) == (405, "method_not_allowed")
            // A path is no target for CONNECT, nor is this one for HTTP/2's preface.
            || ["CONNECT", "PRI"].contains(&method) && status == 400;
        assert!(is_refused, "{method}: {status} {code}");
    }
    for method in ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"] {
        // GET is allowed there, and does not imply HEAD, whose answer has no body to tell more.
        let mut line = caller(&stage).await;
        line.say(raw(&stage, &format!("{method} /proxy/app/api/x HTTP/1.1"), "")).await;
        assert_eq!(line.head().await.map(|head| head.status()), Some(403), "{method}");
    }
    for broken in ["G@T", "GET\u{7f}", "G\u{e9}T", ""] {
        let answer = ask(&stage, &raw(&stage, &format!("{broken} /proxy/app/api/x HTTP/1.1"), "")).await;
        assert!(answer.is_none_or(|answer| answer.status() == 400), "{broken}");
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_body_where_none_belongs_is_refused() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    for method in ["GET", "HEAD", "DELETE"] {
        for body in ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"] {
            let (lines, body) = body.split_once("\r\n\r\n").expect("headers and a body");
            let bytes = head(&stage, &format!("{method} /api/x"), &format!("{lines}\r\n")) + body;
            let mut line = caller(&stage).await;
            line.say(&bytes).await;
            assert_eq!(line.head().await.map(|head| head.status()), Some(400), "{method} {lines}");
        }
        let bytes = head(&stage, &format!("{method} /api/empty"), "Content-Length: 0\r\n");
        let mut line = caller(&stage).await;
        line.say(&bytes).await;
        assert_eq!(line.head().await.map(|head| head.status()), Some(200), "{method} with an empty one");
    }
    assert!(target.arrived().iter().all(|arrived| arrived.head.first.contains("/api/empty")));
}
