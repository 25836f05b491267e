//! Routes of the binary: what their bodies cost, what the audit trail says of them, and what a stop does to them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use sidemint::emulator::AppTraffic;

use crate::support::http::{request, send};
use crate::support::sidecar::PROOF;
use crate::support::{PATIENCE, Settings, Sidecar, Vendor};

/// Row 54.
const BODY: u64 = 100 << 20;
/// What a route may take of memory, in KiB, however much goes through it.
const BOUND: u64 = 12 << 10;

/// A sidecar with the route `app` to the vendor's app.
fn sidecar(vendor: &Vendor, upstream: &str, server: &'static str) -> Sidecar {
    let more = format!(
        "routes:\n  app: {{upstream: acme, target: '{}', allow: ['GET /api/**', 'POST /api/**']}}\n",
        vendor.app_url()
    );
    Sidecar::with(vendor, &Settings { more, upstream: upstream.to_owned(), server, ..Settings::default() }).ready()
}

/// What the process had at most, in KiB.
fn peak(sidecar: &Sidecar) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.process.id())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number of KiB")
}

/// Sends a head. The connection ends with the answer.
fn ask(sidecar: &Sidecar, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
    let all: Vec<_> = [PROOF].into_iter().chain(headers.iter().copied()).collect();
    let mut stream = TcpStream::connect(sidecar.listen).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let head = request(sidecar.listen, method, &format!("/proxy/app{path}"), &all, "");
    stream.write_all(head.as_bytes()).expect("it reads");
    stream
}

/// Reads to the end of a head, byte by byte, and gives its status.
fn status(stream: &mut TcpStream) -> u16 {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head has an end");
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
}

fn download(sidecar: &Sidecar) {
    let mut stream = ask(sidecar, "GET", &format!("/api/bytes?count={BODY}"), &[]);
    assert_eq!(status(&mut stream), 200);
    let (mut piece, mut left) = (vec![0; 256 << 10], BODY);
    while left > 0 {
        let length = stream.read(&mut piece).expect("the body goes on");
        let part = piece.get(..length).filter(|part| !part.is_empty()).expect("the body is whole");
        assert!(part.iter().all(|byte| *byte == b'.'), "as it was sent");
        left = left.checked_sub(length as u64).expect("no more than was promised");
    }
}

/// The app says how much arrived, and its digest.
fn upload(sidecar: &Sidecar) {
    let mut stream = ask(sidecar, "POST", "/api/x", &[("Content-Length", &BODY.to_string())]);
    let piece: Vec<u8> = (0..1_u32 << 20).map(|number| number.to_le_bytes()[1]).collect();
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for _ in 0..BODY >> 20 {
        stream.write_all(&piece).expect("it reads");
        digest.update(&piece);
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    let seen: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
    let digest: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&seen["body"]["length"], &seen["body"]["sha256"]), (&BODY.into(), &digest.into()));
}

fn costs_little(vendor: &Vendor, upstream: &str) {
    let sidecar = sidecar(vendor, upstream, "");
    assert_eq!(send(sidecar.listen, "GET", "/proxy/app/api/x", &[PROOF], "").status, 200);
    let before = peak(&sidecar);
    download(&sidecar);
    upload(&sidecar);
    let growth = peak(&sidecar).saturating_sub(before);
    assert!(growth < BOUND, "{growth} KiB more");
}

#[test]
fn row_54_a_hundred_mebibytes_each_way_cost_little_memory() {
    costs_little(&Vendor::start(), "");
}

#[test]
fn row_54_nor_do_they_over_tls_and_http_2() {
    let vendor = Vendor::with_tls();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, vendor.ca_pem().expect("it serves TLS")).expect("a file can be written");
    costs_little(&vendor, &format!("ca_file: {}", authority.display()));
}

/// What callers do not take is left with the target.
#[test]
fn callers_that_do_not_read_cost_little_memory() {
    let vendor = Vendor::start();
    let sidecar = sidecar(&vendor, "", "");
    assert_eq!(send(sidecar.listen, "GET", "/proxy/app/api/x", &[PROOF], "").status, 200);
    let before = peak(&sidecar);
    let mut streams: Vec<_> = (0..20).map(|_| ask(&sidecar, "GET", &format!("/api/bytes?count={BODY}"), &[])).collect();
    // A few of them read, which takes longer than it would take to fill the memory for the others.
    for stream in streams.iter_mut().take(2) {
        assert_eq!(status(stream), 200);
        std::io::copy(&mut stream.take(BODY), &mut std::io::sink()).expect("the body is whole");
    }
    let growth = peak(&sidecar).saturating_sub(before);
    assert!(growth < 2 * BOUND, "{growth} KiB more");
}

/// Who was refused at which route: no path, no query, no token.
#[test]
fn a_refused_request_is_one_line_with_its_route() {
    let vendor = Vendor::start();
    let sidecar = sidecar(&vendor, "", "");
    for (method, path) in [
        ("GET", "/proxy/app/admin-canary?q=canary"),
        ("GET", "/proxy/app/api/../canary"),
        ("PURGE", "/proxy/app/api/canary"),
        ("GET", "/proxy/canary/api/x"),
    ] {
        assert!(send(sidecar.listen, method, path, &[PROOF, ("Cookie", "canary")], "").status >= 400, "{path}");
    }
    let lines: Vec<Value> = sidecar.process.err.find("four audit lines", |text| {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let all = whole.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let audit: Vec<Value> = all.filter(|line| line["target"] == "audit").collect();
        (audit.len() >= 4).then_some(audit)
    });
    let of = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(of("code"), ["route_denied", "malformed_request", "method_not_allowed", "unknown_route"]);
    assert_eq!(of("decision"), ["refused"; 4]);
    assert_eq!(of("route"), ["app", "app", "app", "-"]);
    assert_eq!(of("upstream"), ["acme", "acme", "acme", "-"]);
    assert_eq!(of("caller"), ["127.0.0.1"; 4]);
    let said = sidecar.process.err.text();
    assert!(!said.contains("canary") && !said.contains("eyJ"), "{said}");
}

/// A stream that outlasts the drain is cut, and nobody could take it for whole.
#[test]
fn rank_38_the_end_of_a_drain_cuts_what_still_streams() {
    let vendor = Vendor::start();
    let sidecar = sidecar(&vendor, "", "drain_timeout: 500ms");
    let mut stream = ask(&sidecar, "GET", "/api/sse?events=1000000&every_ms=20", &[]);
    assert_eq!(status(&mut stream), 200);
    sidecar.process.signal(Signal::TERM);
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "no last chunk: that is the target's to say");
    assert_eq!(sidecar.process.end(PATIENCE + Duration::from_secs(1)).code, Some(0));
    let deadline = std::time::Instant::now() + PATIENCE;
    while vendor.app_traffic() != (AppTraffic { connections: 0, requests: 0 }) {
        assert!(std::time::Instant::now() < deadline, "{:?}", vendor.app_traffic());
        std::thread::yield_now();
    }
}
