//! What arrives at a target: our credential, its own name, and what is on the list.

use super::line::Head;
use super::scene::{Route, ask, head, host};
use super::target::{OK, Target};
use crate::support::{Stage, claims};

/// Mesh and browser are let in, so that what they bring along is not refused before it could be stripped.
const LENIENT: &str = "allow_forwarded: true, allowed_origins: ['https://ok.example']";

async fn scene() -> (Target, Stage) {
    let target = Target::ok().await;
    let stage = Route::default().server(LENIENT).to(&target.url).await;
    (target, stage)
}

/// The head of the only request that this one becomes.
async fn passed(line: &str, headers: &str) -> Head {
    let (target, stage) = scene().await;
    let answer = ask(&stage, &head(&stage, line, headers)).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    target.only().head
}

/// The credential is ours, and there once.
#[track_caller]
fn is_ours(head: &Head, stage: &Stage) {
    let authorization = head.get("authorization").expect("the service token is in it");
    let token = authorization.strip_prefix("Bearer ").expect("it is a bearer token");
    assert_eq!(claims(token)["aud"], stage.vendor.databricks().workspace_id.as_str());
    assert_eq!(claims(token)["sub"], stage.vendor.databricks().client_id.as_str());
}

#[tokio::test]
async fn row_47_who_asks_is_not_the_callers_to_say() {
    let (target, stage) = scene().await;
    let stripped = "Authorization: Bearer callers\r\nCookie: session=callers\r\nForwarded: for=1.2.3.4\r\n\
        X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-User: admin\r\nX-Forwarded-Email: a@example.com\r\n\
        X-Forwarded-Preferred-Username: admin\r\nX-Forwarded-Groups: admins\r\nX-Forwarded-Access-Token: t\r\n\
        X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Uri: /admin\r\nVia: 1.1 front\r\n\
        X-Real-Ip: 1.2.3.4\r\nX-Databricks-Org-Id: 1\r\nX-Original-Url: /admin\r\nX-Rewrite-Url: /admin\r\n\
        X-HTTP-Method-Override: DELETE\r\nSidemint-Viewer-Value: emea\r\nSidemint-Anything: x\r\n\
        Origin: https://ok.example\r\nReferer: https://ok.example/page\r\nSec-Fetch-Mode: cors\r\nKeep-Alive: 5\r\n\
        Proxy-Authorization: Basic x\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nHTTP2-Settings: AAMAAABk\r\n\
        Expect: 100-continue\r\nMax-Forwards: 3\r\nNobody-Knows: this\r\n";
    let kept = "Accept: text/event-stream\r\nX-Viewer: u-1\r\nTraceparent: 00-1-2-01\r\nUser-Agent: app/1\r\n";
    let answer = ask(&stage, &head(&stage, "GET /api/x?y=1", &format!("{stripped}{kept}"))).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let head = target.only().head;
    assert_eq!(head.first, "GET /api/x?y=1 HTTP/1.1");
    assert_eq!(head.names(), ["accept", "authorization", "host", "traceparent", "user-agent", "x-viewer"]);
    is_ours(&head, &stage);
    assert_eq!(head.get("host"), target.url.strip_prefix("http://"));
    assert_eq!(head.get("x-viewer"), Some("u-1"));
    assert_eq!(head.get("accept"), Some("text/event-stream"));
}

/// Row 16 and T25: all lines count, an empty first one hides none, and what is put in is put in last.
#[tokio::test]
async fn t25_rank_16_no_connection_option_takes_the_credential_away() {
    for lines in [
        "Connection: authorization\r\n",
        "Connection: close, Authorization\r\n",
        "Connection:\r\nConnection: authorization, host, x-request-id\r\n",
        "Connection: keep-alive\r\nConnection:\r\nConnection: AUTHORIZATION ,,\thost\r\nConnection: x-request-id\r\n",
        "Connection: transfer-encoding, content-length, authorization\r\nConnection: x-request-id\r\n",
    ] {
        let (target, stage) = scene().await;
        let bytes = head(&stage, "GET /api/x", &format!("{lines}X-Request-Id: r-1\r\nX-Kept: yes\r\n"));
        let answer = ask(&stage, &bytes).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{lines}: {}", answer.text());
        let arrived = target.only().head;
        is_ours(&arrived, &stage);
        assert_eq!(arrived.all("host"), [target.url.trim_start_matches("http://")], "{lines}");
        assert_eq!(arrived.all("connection"), Vec::<&str>::new(), "{lines}");
        assert_eq!(arrived.get("x-kept"), Some("yes"), "{lines}");
        let named = lines.contains("x-request-id");
        assert_eq!(arrived.get("x-request-id"), (!named).then_some("r-1"), "{lines}");
    }
}

/// T26: what some servers read as hyphens.
#[tokio::test]
async fn threat_26_no_underscore_spelling_arrives() {
    let names = ["X_Forwarded_User", "X_Forwarded-Email", "X-Real_Ip", "Authorization_", "X_Viewer", "Content_Length"];
    let lines: String = names.iter().map(|name| format!("{name}: 1\r\n")).collect();
    let arrived = passed("GET /api/x", &lines).await;
    assert_eq!(arrived.names(), ["authorization", "host"]);
}

#[tokio::test]
async fn a_second_credential_is_none_of_ours() {
    let (target, stage) = scene().await;
    let lines = "Authorization: Bearer one\r\nAUTHORIZATION:  Bearer two \r\nauthorization:\tBasic eA==\r\n";
    let answer = ask(&stage, &head(&stage, "GET /api/x", lines)).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    is_ours(&target.only().head, &stage);
}

/// Row 47: nothing between the route's name and the end of the line is touched.
#[tokio::test]
async fn row_47_path_and_query_arrive_byte_for_byte() {
    let (target, stage) = scene().await;
    let paths = [
        "/api/",
        "/api/x/",
        "/api/a%20b",
        "/api/%C3%A9/%e2%82%ac",
        "/api/a@b:c,d=e+f&g!h$i'j(k)*",
        "/api/x?",
        "/api/x?a=b&a=c&&",
        "/api/x?q=%2e%2e%2f&p=../..//",
        "/api/x?next=https://evil.example/%23?&=;:@",
        "/api/x?json=%7B%22a%22%3A1%7D&raw={[|]}",
        "/api/x?plus=a+b&percent=100%&bad=%zz",
        "/api/-._~",
    ];
    for path in paths {
        let answer = ask(&stage, &head(&stage, &format!("GET {path}"), "")).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
        let last = target.arrived().pop().expect("it arrived");
        assert_eq!(last.head.first, format!("GET {path} HTTP/1.1"));
    }
    assert_eq!(target.arrived().len(), paths.len());
}

/// Numbers that look random and are the same each time (Steele, SplitMix64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % bound as u64).expect("below a usize")
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Any case, now and then with an underscore.
    fn name(&mut self) -> String {
        let parts = [
            "x",
            "forwarded",
            "user",
            "real",
            "ip",
            "authorization",
            "cookie",
            "sidemint",
            "viewer",
            "host",
            "origin",
            "content",
            "accept",
            "proxy",
            "via",
            "te",
            "upgrade",
            "ms",
            "databricks",
            "original",
            "url",
            "sec",
            "fetch",
            "if",
            "match",
            "range",
            "token",
            "trailer",
            "amz",
            "method",
        ];
        // Every other one is of the kind that may pass.
        let mut name = if self.below(2) == 0 { "x".to_owned() } else { self.of(&parts).to_owned() };
        for _ in 0..self.below(4) {
            name += if self.below(12) == 0 { "_" } else { "-" };
            name += self.of(&parts);
        }
        match self.below(3) {
            0 => name.to_ascii_uppercase(),
            _ => name,
        }
    }
}

/// Headers that the guard judges: these have tests of their own.
fn is_judged(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    ["host", "origin", "sidemint-request", "sec-fetch-site", "upgrade", "content-length", "transfer-encoding"]
        .contains(&name.as_str())
}

/// What may arrive, said anew from the contract and the threats: standard headers that say what the body is, what is
/// wanted of the answer and how to trace it, and the app's own `x-` ones.
fn may_arrive(name: &str) -> bool {
    let standard = [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "baggage",
        "cache-control",
        "content-digest",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-location",
        "content-type",
        "date",
        "digest",
        "etag",
        "idempotency-key",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-event-id",
        "last-modified",
        "mime-version",
        "pragma",
        "prefer",
        "priority",
        "range",
        "repr-digest",
        "request-id",
        "traceparent",
        "tracestate",
        "user-agent",
    ];
    let identity = ["x-forwarded", "x-real-ip", "x-original-", "x-rewrite-", "x-databricks-", "x-ms-", "x-amz-"];
    let own = name.starts_with("x-") && !identity.iter().any(|prefix| name.starts_with(prefix));
    !name.contains('_') && (own || standard.contains(&name))
}

/// T26: a few hundred sets of headers, made of the words that attacks are made of.
#[tokio::test]
async fn threat_26_whatever_is_sent_only_what_is_listed_arrives() {
    const SETS: usize = 400;
    let target = Target::saying(|_| OK.to_owned()).await;
    let stage = Route::default().server(LENIENT).to(&target.url).await;
    let mut seeded = Seeded(26);
    let mut line = super::scene::caller(&stage).await;
    let mut kept = 0;
    for number in 0..SETS {
        let names: Vec<String> = (0..seeded.below(24)).map(|_| seeded.name()).filter(|name| !is_judged(name)).collect();
        let mut lines: String = names.iter().map(|name| format!("{name}: v-{number}\r\n")).collect();
        let named = if names.is_empty() { "authorization" } else { names[seeded.below(names.len())].as_str() };
        if seeded.below(3) == 0 {
            lines += &format!("Connection:\r\nConnection: {named}, authorization, host\r\n");
        }
        line.say(head(&stage, "GET /api/x", &lines)).await;
        let answer = line.answer().await.expect("the connection is kept");
        assert_eq!(answer.status(), 200, "{lines}: {}", answer.text());
        let arrived = target.arrived().pop().expect("it arrived").head;
        is_ours(&arrived, &stage);
        assert_eq!(arrived.all("host"), [target.url.trim_start_matches("http://")]);
        for name in arrived.names().iter().filter(|name| !["authorization", "host"].contains(&name.as_str())) {
            assert!(may_arrive(name), "{name} of {lines}");
            assert!(!lines.contains("Connection:") || !name.eq_ignore_ascii_case(named), "{name} of {lines}");
            kept += 1;
        }
        assert!(!format!("{arrived:?}").contains(&host(&stage)), "our own name in {arrived:?}");
    }
    assert!(kept > SETS, "the sets have headers in them that pass: {kept}");
    assert_eq!((target.arrived().len(), target.connections()), (SETS, 1));
}
