//! How the app breaks, on purpose.

use super::*;

fn once(emulator: &Emulator, fault: Fault) {
    emulator.inject(Fault { operation: "app".to_owned(), ..fault }.times(1));
}

async fn get_x(emulator: &Emulator) -> String {
    let request = head(emulator, "GET /api/x", "Connection: close\r\n").await;
    spoken(emulator, &request).await
}

#[tokio::test]
async fn statuses_redirects_and_delays() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    for status in [401, 403, 404, 500, 503] {
        once(&emulator, Fault { delay_ms: Some(1), ..Fault::status("app", status) });
        let answer = call(&emulator, "POST /api/x", Some(&service), "hello").await;
        assert_eq!(answer.status, status);
        assert!(answer.text("message").starts_with("injected fault"));
    }
    once(&emulator, Fault { location: Some("https://elsewhere.example/".to_owned()), ..Fault::default() });
    let moved = call(&emulator, "GET /api/x", Some(&service), "").await;
    assert_eq!((moved.status, moved.header("location")), (302, Some("https://elsewhere.example/")));
    assert_eq!(call(&emulator, "GET /api/x", Some(&service), "").await.status, 200);
    let entry = &emulator.journal()[1];
    assert!(entry.fault && entry.took_ms.is_some_and(|took| took >= 1.0));
    assert_eq!(entry.received.map(|received| (received.bytes, received.complete)), Some((5, true)));
}

#[tokio::test]
async fn a_good_token_is_refused_in_both_ways() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    for (refusal, status) in [(AppRefusal::Unauthorized, 401), (AppRefusal::SignIn, 302)] {
        once(&emulator, Fault { refuse: Some(refusal), ..Fault::default() });
        let refused = call(&emulator, "GET /api/x", Some(&service), "").await;
        assert_eq!(refused.status, status);
        let place = refused.header("location").unwrap_or_default();
        assert_eq!(place.contains("/oidc/oauth2/v2.0/authorize"), status == 302);
        assert_eq!(call(&emulator, "GET /api/x", Some(&service), "").await.status, 200);
    }
    let fault = r#"{"operation": "app", "refuse": "sign_in", "path": "/api/y"}"#;
    assert_eq!(ask(&emulator, "POST /_emulator/faults", &[], fault).await.expect("an answer").status, 201);
    assert_eq!(call(&emulator, "GET /api/x", Some(&service), "").await.status, 200);
    assert_eq!(call(&emulator, "GET /api/y", Some(&service), "").await.status, 302);
}

#[tokio::test]
async fn bytes_come_in_place_of_http() {
    let emulator = emulator().await;
    for raw in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\n\r\n",
    ] {
        once(&emulator, Fault { raw: Some(raw.to_owned()), ..Fault::default() });
        assert_eq!(get_x(&emulator).await, raw);
    }
    assert_eq!(emulator.journal()[1].status, None);
    assert!(get_x(&emulator).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn bodies_end_too_early() {
    let emulator = emulator().await;
    for (path, start, end) in [
        ("/api/x", "", ""),
        ("/api/bytes?count=1000", "content-length: 1000\r\n", "....."),
        ("/api/sse?events=3&every_ms=1", "transfer-encoding: chunked\r\n", "data: {\"n\": 1}\n\n\r\n"),
    ] {
        once(&emulator, Fault { truncate: true, ..Fault::default() });
        let request = head(&emulator, &format!("GET {path}"), "").await;
        let answer = spoken(&emulator, &request).await;
        assert!(answer.contains(start) && answer.ends_with(end) && !answer.ends_with("0\r\n\r\n"), "{answer}");
        assert!(!answer.ends_with('}'), "{answer}");
    }
    once(&emulator, Fault { garbage: true, ..Fault::default() });
    let (head, body) =
        get_x(&emulator).await.split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 ") && serde_json::from_str::<Value>(&body).is_err());
}

#[tokio::test]
async fn heads_are_huge() {
    let emulator = emulator().await;
    once(&emulator, Fault { extra_headers: vec![("x-huge".to_owned(), "h".repeat(1 << 20))], ..Fault::default() });
    assert!(get_x(&emulator).await.len() > 1 << 20);
    let extra_headers = (0..300).map(|n| (format!("x-{n}"), "1".to_owned())).collect();
    once(&emulator, Fault { extra_headers, ..Fault::status("app", 503) });
    let answer = get_x(&emulator).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nx-299: 1\r\n"));
}

#[tokio::test]
async fn connections_are_reset_or_left_hanging_until_the_client_goes() {
    let emulator = emulator().await;
    once(&emulator, Fault { reset: true, ..Fault::default() });
    assert_eq!(get_x(&emulator).await, "");
    once(&emulator, Fault { hang: true, ..Fault::default() });
    let request = head(&emulator, "GET /api/x", "").await;
    let mut stream = TcpStream::connect(host(&emulator)).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    until("the request", || emulator.app_traffic().requests == 1).await;
    assert_eq!(emulator.app_traffic().connections, 1);
    drop(stream);
    until("nothing", || emulator.app_traffic() == super::super::super::AppTraffic { connections: 0, requests: 0 })
        .await;
    let traffic = get(&emulator, "/_emulator/app", &[]).await.json();
    assert_eq!((&traffic["connections"], &traffic["requests"]), (&0.into(), &0.into()));
}

#[tokio::test]
async fn a_stream_counts_as_under_way_until_the_client_goes() {
    let emulator = emulator().await;
    let request = head(&emulator, "GET /api/sse?events=1000000&every_ms=1", "").await;
    let mut stream = TcpStream::connect(host(&emulator)).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.read_u8().await.expect("a head");
    assert_eq!(emulator.app_traffic().requests, 1);
    drop(stream);
    until("nothing", || emulator.app_traffic().requests == 0).await;
}

#[tokio::test]
async fn idle_connections_are_closed_on_demand() {
    let emulator = emulator().await;
    let request = head(&emulator, "GET /api/x", "").await;
    let mut stream = TcpStream::connect(host(&emulator)).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.read_u8().await.expect("an answer");
    emulator.close_connections();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("an end");
    assert!(rest.ends_with('}'), "{rest}");
}
