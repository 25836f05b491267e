//! Ranks 22 to 24: who is refused before any work. The vendor sees none of it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::http::{Reply, Wire, send};
use crate::support::sidecar::{JSON, PROOF, TOKEN};
use crate::support::{Settings, Sidecar, Vendor};

const VIEWER: &str = r#"{"viewer": {"id": "u-1", "value": "emea"}}"#;

fn post(sidecar: &Sidecar, headers: &[(&str, &str)]) -> Reply {
    let all: Vec<_> = headers.iter().copied().chain([JSON]).collect();
    send(sidecar.listen, "POST", TOKEN, &all, VIEWER)
}

/// The errors that a browser could read have no permission in them to do so.
fn is_refused(reply: &Reply, status: u16, code: &str, what: &str) {
    assert_eq!((reply.status, reply.code().as_str()), (status, code), "{what}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{what}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    for name in ["access-control-allow-origin", "access-control-allow-private-network"] {
        assert_eq!(reply.header(name), None, "{what}");
    }
}

/// Names that reach a loopback port and are not its own, as in DNS rebinding.
#[test]
fn rank_22_a_host_that_is_none_of_ours_is_refused() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    vendor.clear_journal();
    let port = sidecar.listen.port();
    let own = format!("127.0.0.1:{port}");
    let bad = [
        "evil.example",
        "evil.example:80",
        &format!("127.0.0.1.evil.example:{port}"),
        &format!("localhost.:{port}"),
        "localhost:1",
        &format!("127.1:{port}"),
        &format!("0:{port}"),
        &format!("0.0.0.0:{port}"),
        &format!("127.0.0.2:{port}"),
        &format!("[::ffff:127.0.0.1]:{port}"),
        &format!("LOCALHOST:{port}"),
        &format!("user@{own}"),
        &format!("{own}/"),
        &format!("{own},evil.example"),
        &format!("{own} evil"),
        "[::1]:1",
        "",
    ];
    for host in bad {
        is_refused(&post(&sidecar, &[("Host", host), PROOF]), 403, "forbidden_host", host);
    }
    is_refused(&post(&sidecar, &[("Host", &own), ("Host", "evil.example"), PROOF]), 403, "forbidden_host", "two");
    is_refused(&post(&sidecar, &[("Host", &own), ("Host", &own), PROOF]), 403, "forbidden_host", "the same twice");
    let none = Wire::to(sidecar.listen).say("GET /openapi.json HTTP/1.1\r\nSidemint-Request: true\r\n\r\n").reply();
    assert!(none.is_none_or(|reply| reply.status == 403 || reply.status == 400), "a request without a Host");
    assert_eq!(vendor.asked(), 0);
    for host in [&own, &format!("localhost:{port}"), &format!("[::1]:{port}"), "localhost", "127.0.0.1"] {
        let reply = send(sidecar.listen, "GET", "/openapi.json", &[("Host", host), PROOF], "");
        assert_eq!(reply.status, 200, "{host}: {}", reply.text());
    }
}

#[test]
fn rank_22_pages_of_other_origins_are_refused() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    vendor.clear_journal();
    let own = format!("http://{}", sidecar.listen);
    for (name, value) in [
        ("Origin", "null"),
        ("Origin", "https://evil.example"),
        ("Origin", &own),
        ("Origin", ""),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("sec_fetch_site", "cross-site"),
    ] {
        is_refused(&post(&sidecar, &[(name, value), PROOF]), 403, "forbidden_origin", value);
    }
    let preflight = [
        ("Origin", "https://evil.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "sidemint-request"),
        ("Access-Control-Request-Private-Network", "true"),
    ];
    is_refused(&send(sidecar.listen, "OPTIONS", TOKEN, &preflight, ""), 403, "forbidden_origin", "a preflight");
    assert_eq!(vendor.asked(), 0);
    let reply = post(&sidecar, &[("Sec-Fetch-Site", "same-origin"), PROOF]);
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// T1: what a forged request of somebody else's program cannot set.
#[test]
fn rank_23_the_request_header_must_be_there_once_and_exact() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    vendor.clear_journal();
    let name = "Sidemint-Request";
    for headers in [
        &[][..],
        &[(name, "")],
        &[(name, "TRUE")],
        &[(name, "1")],
        &[(name, "true, true")],
        &[(name, "true"), (name, "true")],
        &[(name, "true"), ("Sidemint_Request", "true")],
        &[("Cookie", "Sidemint-Request=true")],
        &[("X-Sidemint-Request", "true")],
    ] {
        is_refused(&post(&sidecar, headers), 403, "missing_request_header", &format!("{headers:?}"));
    }
    for method in ["GET", "PUT", "DELETE", "HEAD", "TRACE"] {
        let target = format!("{TOKEN}?viewer_id=u-1&Sidemint-Request=true");
        let request = crate::support::http::request(sidecar.listen, method, &target, &[], "");
        assert_eq!(Wire::to(sidecar.listen).say(request).head(), Some(403), "{method}");
    }
    assert_eq!(vendor.asked(), 0);
}

#[test]
fn rank_23_a_request_that_was_forwarded_is_refused() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    vendor.clear_journal();
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Anything",
        "X_Forwarded_For",
        "Forwarded",
        "Via",
        "X-Real-IP",
    ] {
        is_refused(&post(&sidecar, &[(name, "1.1 x"), PROOF]), 403, "forwarded_request", name);
    }
    assert_eq!(vendor.asked(), 0);
}

#[test]
fn rank_24_a_caller_secret_is_asked_for_exactly() {
    let vendor = Vendor::start();
    let (sidecar, _folder) = with_caller_secret(&vendor, "correct-horse-battery");
    vendor.clear_journal();
    let secret = "correct-horse-battery";
    let longer = format!("{secret}x");
    let bodies: Vec<String> = [
        &[][..],
        &[("Sidemint-Request", "")],
        &[("Sidemint-Request", "true")],
        &[("Sidemint-Request", "correct-horse-batter")],
        &[("Sidemint-Request", &longer)],
        &[("Sidemint-Request", "CORRECT-HORSE-BATTERY")],
        &[("Sidemint-Request", secret), ("Sidemint-Request", secret)],
        &[("Authorization", secret)],
    ]
    .into_iter()
    .map(|headers| {
        let reply = post(&sidecar, headers);
        is_refused(&reply, 401, "caller_unauthenticated", &format!("{headers:?}"));
        let mut body = reply.json();
        body["request_id"] = json!(null);
        body.to_string()
    })
    .collect();
    assert!(bodies.windows(2).all(|pair| pair.first() == pair.last()), "equal bodies tell nothing: {bodies:?}");
    assert_eq!(vendor.asked(), 0);
    assert_eq!(post(&sidecar, &[("Sidemint-Request", secret)]).status, 200);
}

/// The two sides never read their files in the same instant: for a while both secrets are good, and then only the new.
#[test]
fn rank_24_the_callers_secret_is_rotated_without_a_restart() {
    let vendor = Vendor::start();
    let (sidecar, folder) = with_caller_secret(&vendor, "first");
    let shows = |secret: &str| post(&sidecar, &[("Sidemint-Request", secret)]);
    assert_eq!((shows("first").status, shows("second").status), (200, 401));
    for (old, new) in [("first", "second"), ("second", "third")] {
        let begin = Instant::now();
        std::fs::write(folder.path().join("caller"), format!("{new}\n")).expect("a file can be written");
        while shows(new).status != 200 {
            assert!(begin.elapsed() < Duration::from_secs(10), "{new} is not in use");
        }
        // Whether it was read for this caller or by the clock, the log says when it has taken its place.
        sidecar.process.err.find("the change", |text| {
            (text.matches("a secret has changed").count() == if new == "third" { 2 } else { 1 }).then_some(())
        });
        assert_eq!((shows(old).status, shows(new).status), (200, 200), "{old} and {new} overlap");
    }
    is_refused(&shows("first"), 401, "caller_unauthenticated", "the one before the one before");
}

fn with_caller_secret(vendor: &Vendor, secret: &str) -> (Sidecar, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("caller");
    std::fs::write(&path, secret).expect("a file can be written");
    let files = crate::support::config::Files::new(vendor, &Settings::default());
    let text = files.text(vendor, &Settings::default());
    let listen = "server: {listen: \"127.0.0.1:0\"";
    files.write("config.yaml", &text.replace(listen, &format!("{listen}, caller_token_file: {}", path.display())));
    (Sidecar::of(files, &[]).ready(), folder)
}
