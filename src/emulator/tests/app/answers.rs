//! What the app answers under `/api/`.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use super::*;

#[tokio::test]
async fn events_and_bytes_are_streamed() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let events = call(&emulator, "GET /api/sse?events=3&every_ms=1", Some(&service), "").await;
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert_eq!(events.body.matches("data: {\"n\": ").count(), 3);
    let bytes = call(&emulator, "GET /api/bytes?count=100000", Some(&service), "").await;
    assert_eq!(bytes.body.len(), 100_000);
}

#[tokio::test]
async fn a_request_over_the_limit_is_cut() {
    let app = AppSettings { request_limit: Some(Duration::from_millis(1)), ..AppSettings::default() };
    let emulator = Emulator::start(Settings { app, ..Settings::default() }).await.expect("free ports and a key");
    let service = service_token(&emulator).await;
    assert_eq!(call(&emulator, "GET /api/slow?ms=60000", Some(&service), "").await.status, 504);
    let cut = call(&emulator, "GET /api/sse?events=100&every_ms=60000", Some(&service), "").await;
    assert!(!cut.body.ends_with("0\r\n\r\n"), "{}", cut.body);
}

#[tokio::test]
async fn statuses_come_with_a_body_only_where_they_have_one() {
    let emulator = emulator().await;
    for (code, start, length) in [
        (204, "HTTP/1.1 204", None),
        (205, "HTTP/1.1 205", Some("0")),
        (304, "HTTP/1.1 304", None),
        (418, "HTTP/1.1 418", Some("17")),
        // An interim status is no answer.
        (103, "HTTP/1.1 400", Some("17")),
    ] {
        let request = head(&emulator, &format!("GET /api/status?code={code}"), "Connection: close\r\n").await;
        let answer = spoken(&emulator, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(start), "{answer}");
        let found = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(found, length, "{answer}");
        assert_eq!(body.len().to_string(), length.unwrap_or("0"), "{answer}");
    }
}

#[tokio::test]
async fn head_gives_the_head_of_get() {
    let emulator = emulator().await;
    for path in ["/api/x?q=1", "/api/bytes?count=70", "/api/status?code=418", "/api/sse"] {
        let mut heads = Vec::new();
        for method in ["GET", "HEAD"] {
            let request = head(&emulator, &format!("{method} {path}"), "Connection: close\r\n").await;
            let answer = spoken(&emulator, &request).await;
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert_eq!(body.is_empty(), method == "HEAD", "{answer}");
            let kept =
                head.lines().filter(|line| !line.starts_with("date: ") && !line.starts_with("transfer-encoding"));
            heads.push(kept.map(str::to_owned).collect::<Vec<_>>());
        }
        assert_eq!(heads[0], heads[1], "{path}");
    }
}

#[tokio::test]
async fn heads_are_redirects_large_or_rude() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let moved =
        call(&emulator, "GET /api/redirect?to=https%3A%2F%2Felsewhere.example%2F&code=307", Some(&service), "").await;
    assert_eq!((moved.status, moved.header("location")), (307, Some("https://elsewhere.example/")));
    let many = call(&emulator, "GET /api/headers?n=300&size=4000", Some(&service), "").await;
    assert_eq!(many.head.matches("x-many-").count(), 300);
    assert_eq!(many.header("x-many-299").map(str::len), Some(4000));
    let rude = call(&emulator, "GET /api/rude-headers", Some(&service), "").await;
    assert_eq!(rude.head.matches("set-cookie: ").count(), 2);
    assert!(rude.header("connection").is_some_and(|options| options.starts_with("x-secret, keep-alive")));
    assert_eq!(rude.header("x-secret"), Some("1"));
    for name in ["alt-svc", "strict-transport-security", "access-control-allow-origin", "keep-alive", "server"] {
        assert!(rude.header(name).is_some(), "{name}: {}", rude.head);
    }
}

#[tokio::test]
async fn interim_answers_come_before_the_real_one() {
    let emulator = emulator().await;
    let more = "Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n";
    let request = head(&emulator, "POST /api/continue?hints=2", more).await;
    let answer = spoken(&emulator, &format!("{request}hi")).await;
    let statuses: Vec<_> =
        answer.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 ")).map(|line| &line[..3]).collect();
    assert_eq!(statuses, ["103", "103", "100", "200"], "{answer}");
    assert!(answer.contains("\"length\":2"), "{answer}");
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_body() {
    let emulator = emulator().await;
    for (more, code) in [("Content-Length: 1000000\r\n", 413), ("Expect: 100-continue\r\nContent-Length: 9\r\n", 417)] {
        let request = head(&emulator, &format!("POST /api/early?code={code}"), more).await;
        let answer = spoken(&emulator, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
    let received = emulator.journal().pop().and_then(|entry| entry.received).expect("it was dealt with");
    assert_eq!((received.bytes, received.complete), (0, false));
}

#[tokio::test]
async fn a_duplex_sends_back_each_piece_as_it_comes() {
    let emulator = emulator().await;
    let request = head(&emulator, "POST /api/duplex", "Transfer-Encoding: chunked\r\nConnection: close\r\n").await;
    let mut stream = TcpStream::connect(host(&emulator)).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    for piece in ["one", "two"] {
        stream.write_all(format!("3\r\n{piece}\r\n").as_bytes()).await.expect("sent");
        let mut back = Vec::new();
        while !back.ends_with(piece.as_bytes()) {
            back.push(stream.read_u8().await.expect("more"));
        }
    }
    stream.write_all(b"0\r\n\r\n").await.expect("sent");
    let mut end = Vec::new();
    stream.read_to_end(&mut end).await.expect("an end");
    assert_eq!(end, b"\r\n0\r\n\r\n");
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let emulator = emulator().await;
    let body = "2\r\nhi\r\n0\r\nX-Late: yes\r\n\r\n";
    for (te, last) in [("TE: trailers\r\n", "x-length: 2\r\n\r\n"), ("", "\r\n0\r\n\r\n")] {
        let more = format!("{te}Trailer: X-Late\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n");
        let request = head(&emulator, "POST /api/trailers", &more).await;
        let answer = spoken(&emulator, &format!("{request}{body}")).await;
        assert!(answer.contains(r#""trailers":{"x-late":"yes"}"#), "{answer}");
        assert!(answer.ends_with(last) || !te.is_empty() && answer.contains("x-checksum: 8f43"), "{answer}");
    }
}

/// It could not be held in the buffers on the way, and is not held by the app.
#[tokio::test]
async fn a_hundred_mebibytes_are_counted_and_digested() {
    static PIECE: [u8; 1 << 16] = [b'7'; 1 << 16];
    const PIECES: usize = 1600;
    let emulator = emulator().await;
    let length = PIECE.len() * PIECES;
    let more = format!("Content-Length: {length}\r\nConnection: close\r\n");
    let request = head(&emulator, "PUT /api/upload", &more).await;
    let mut stream = TcpStream::connect(host(&emulator)).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut digest = Context::new(&SHA256);
    for _ in 0..PIECES {
        stream.write_all(&PIECE).await.expect("sent");
        digest.update(&PIECE);
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let hex: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(answer.contains(&format!("\"length\":{length},\"sha256\":\"{hex}\"")), "{answer}");
    assert!(answer.len() < 10_000);
    let received = emulator.journal().pop().and_then(|entry| entry.received).expect("it was read");
    assert_eq!((received.bytes, received.complete), (length as u64, true));
}
