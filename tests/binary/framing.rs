//! Requests whose ends are in doubt, written byte by byte: refused, or one request and nothing after it.

use crate::support::http::{Reply, Wire, request};
use crate::support::sidecar::{PROOF, TOKEN};
use crate::support::{Sidecar, Vendor};

/// A second request, hidden in what a first one may or may not own. It would be answered 200.
fn hidden(sidecar: &Sidecar) -> String {
    request(sidecar.listen, "GET", "/openapi.json", &[PROOF], "")
}

fn answers(sidecar: &Sidecar, bytes: &str) -> Vec<Reply> {
    Wire::to(sidecar.listen).say(bytes).replies()
}

fn post(sidecar: &Sidecar, headers: &str, body: &str) -> String {
    format!(
        "POST {TOKEN} HTTP/1.1\r\nHost: {}\r\nSidemint-Request: true\r\nContent-Type: application/json\r\n{headers}\r\n\r\n{body}",
        sidecar.listen
    )
}

/// Rank 17 for the token port: one refusal, the hidden request is not seen, the vendor neither.
#[test]
fn ambiguous_lengths_are_refused_and_nothing_after_them_is_read() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    vendor.clear_journal();
    let tail = hidden(&sidecar);
    let ask = r#"{"viewer":{"id":"u-1"}}"#;
    let chunked = format!("{:x}\r\n{ask}\r\n0\r\n\r\n", ask.len());
    let length = format!("Content-Length: {}", ask.len());
    for (what, headers, body) in [
        ("CL twice, different", format!("{length}\r\nContent-Length: 0"), &ask.to_owned()),
        ("CL as a list", format!("Content-Length: {0}, 0", ask.len()), &ask.to_owned()),
        ("CL with a sign", format!("Content-Length: +{}", ask.len()), &ask.to_owned()),
        ("CL in hex", "Content-Length: 0x17".to_owned(), &ask.to_owned()),
        ("CL below zero", "Content-Length: -1".to_owned(), &ask.to_owned()),
        ("CL too large for a number", "Content-Length: 99999999999999999999999".to_owned(), &ask.to_owned()),
        ("TE gzip, chunked", "Transfer-Encoding: gzip, chunked".to_owned(), &chunked),
        ("TE chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked".to_owned(), &chunked),
        ("TE chunked, chunked", "Transfer-Encoding: chunked, chunked".to_owned(), &chunked),
        ("TE not chunked last", "Transfer-Encoding: chunked, gzip".to_owned(), &chunked),
        ("TE unknown", "Transfer-Encoding: xchunked".to_owned(), &chunked),
        ("obs-fold", format!("{length}\r\nX-Long: a\r\n b"), &ask.to_owned()),
        ("space before the colon", format!("Content-Length : {}", ask.len()), &ask.to_owned()),
        ("NUL in a value", format!("{length}\r\nX-Nul: a\0b"), &ask.to_owned()),
        (
            "chunk size that overflows",
            "Transfer-Encoding: chunked".to_owned(),
            &format!("fffffffffffffffff\r\n{ask}\r\n0\r\n\r\n"),
        ),
        ("chunk without CRLF", "Transfer-Encoding: chunked".to_owned(), &format!("{:x}\r\n{ask}0\r\n\r\n", ask.len())),
    ] {
        let replies = answers(&sidecar, &(post(&sidecar, &headers, body) + &tail));
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        assert!(statuses.len() <= 1 && statuses.iter().all(|status| *status == 400), "{what}: {statuses:?}");
    }
    assert_eq!(vendor.asked(), 0, "{:?}", vendor.journal());
    assert_eq!(sidecar.renew("u-1").status, 200, "the process is well");
}

/// RFC 9112 section 6.3: the chunks count, the length is removed, and the connection ends with the answer.
#[test]
fn a_length_beside_chunks_makes_one_request_at_most() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    let ask = r#"{"viewer":{"id":"u-1"},"purpose":"renew"}"#;
    let chunked = format!("{:x}\r\n{ask}\r\n0\r\n\r\n", ask.len());
    for length in ["0", "5", &ask.len().to_string(), "10000"] {
        for headers in [
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
            format!("Transfer-Encoding: chunked\r\nContent_Length: {length}\r\nContent-Length: {length}"),
        ] {
            let replies = answers(&sidecar, &(post(&sidecar, &headers, &chunked) + &hidden(&sidecar)));
            let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
            assert!(statuses == [200] || statuses == [400], "{headers}: {statuses:?}");
        }
    }
}

/// A line that ends in a bare LF is a line for some and none for others.
#[test]
fn a_bare_line_feed_never_makes_a_second_request() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    vendor.clear_journal();
    let good = request(sidecar.listen, "GET", "/openapi.json", &[PROOF], "");
    for (what, bytes) in [
        ("everywhere", good.replace("\r\n", "\n")),
        ("in a header", good.replace("Sidemint-Request: true\r\n", "Sidemint-Request: true\nX-A: b\r\n")),
        ("a CR alone", good.replace("Sidemint-Request: true\r\n", "Sidemint-Request: true\rX-A: b\r\n")),
    ] {
        let statuses: Vec<u16> = answers(&sidecar, &bytes).iter().map(|reply| reply.status).collect();
        assert!(statuses.len() <= 1, "{what}: {statuses:?}");
    }
    assert_eq!(vendor.asked(), 0);
}

/// A hit answers before it has read the body; what it leaves unread must not become a request.
#[test]
fn the_tail_of_an_unread_body_is_no_request() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    assert_eq!(sidecar.renew("u-1").status, 200);
    let tail = hidden(&sidecar);
    let body = "x".repeat((1 << 20) - tail.len()) + &tail;
    let length = format!("Content-Length: {}", body.len());
    let target = format!("{TOKEN}?viewer_id=u-1&purpose=renew");
    let get = post(&sidecar, &length, &body).replacen(&format!("POST {TOKEN}"), &format!("GET {target}"), 1);
    for (what, bytes, status) in [
        ("POST", post(&sidecar, &length, &body), 413),
        ("GET", get, 400),
        ("without the header", post(&sidecar, &length, &body).replace("Sidemint-Request: true\r\n", ""), 403),
        (
            "chunked",
            post(&sidecar, "Transfer-Encoding: chunked", &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())),
            413,
        ),
    ] {
        let statuses: Vec<u16> = answers(&sidecar, &bytes).iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [status], "{what}");
    }
    assert_eq!(sidecar.renew("u-1").status, 200);
}

#[test]
fn a_canonical_chunked_request_is_one_request() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    let body = "4\r\n{\"vi\r\n13\r\newer\":{\"id\":\"u-1\"}}\r\n0\r\n\r\n";
    let replies = answers(&sidecar, &(post(&sidecar, "Transfer-Encoding: chunked", body) + &hidden(&sidecar)));
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 200]);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    let paths = ["/openapi.json", "/nowhere", "/openapi.json", "/v1/embeds/nothing/token?viewer_id=u"];
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\nSidemint-Request: true\r\n\r\n", sidecar.listen);
    let mut wire = Wire::to(sidecar.listen);
    wire.say(paths.map(one).concat());
    let codes: Vec<_> = paths.iter().map(|_| wire.reply().expect("one answer each").status).collect();
    assert_eq!(codes, [200, 404, 200, 404]);
}

#[test]
fn t40_old_and_foreign_forms_of_a_request() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    vendor.clear_journal();
    let host = sidecar.listen;
    let head = format!("Host: {host}\r\nSidemint-Request: true\r\n");
    for (line, wanted) in [
        ("GET /openapi.json HTTP/1.0".to_owned(), &[200][..]),
        (format!("GET http://{host}/openapi.json HTTP/1.1"), &[400]),
        (format!("GET http://evil.example{TOKEN}?viewer_id=u HTTP/1.1"), &[400]),
        (format!("CONNECT {host} HTTP/1.1"), &[400]),
        ("CONNECT evil.example:443 HTTP/1.1".to_owned(), &[400]),
        ("OPTIONS * HTTP/1.1".to_owned(), &[400]),
        ("PRI * HTTP/2.0".to_owned(), &[400]),
        ("GET /openapi.json HTTP/9.9".to_owned(), &[400]),
        ("GET  /openapi.json HTTP/1.1".to_owned(), &[400]),
        ("nonsense".to_owned(), &[400]),
    ] {
        let statuses: Vec<u16> = {
            let mut wire = Wire::to(host);
            wire.say(format!("{line}\r\n{head}Connection: close\r\n\r\n"));
            wire.head().into_iter().collect()
        };
        assert!(statuses.is_empty() || statuses == wanted, "{line}: {statuses:?}");
    }
    assert_eq!(vendor.asked(), 0);
    assert_eq!(sidecar.renew("u-1").status, 200, "the process is well");
}
