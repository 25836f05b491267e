//! The host app between a page, played by the test, and a sidecar that answers from a script.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{Host, HostSettings};
use crate::emulator::{Emulator, Settings};

/// A sidecar that answers every request alike, and tells what it was asked.
async fn scripted_sidecar(answer: &'static str) -> io::Result<(String, mpsc::UnboundedReceiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let (seen, asked) = mpsc::unbounded_channel();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::task::spawn_local(async move { one_exchange(stream, answer, &seen).await });
        }
    });
    Ok((url, asked))
}

async fn one_exchange(stream: TcpStream, answer: &str, seen: &mpsc::UnboundedSender<String>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).await?;
    }
    let length = head.lines().filter_map(|line| line.split_once(": "));
    let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.filter_map(|(_, value)| value.parse::<usize>().ok()).sum();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let _ = seen.send(format!("{head}{}", String::from_utf8_lossy(&body)));
    stream.write_all(answer.as_bytes()).await
}

async fn ask(host: &Host, line: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(host.addr()).await.expect("a connection");
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

async fn host(sidecar_url: String) -> (Host, Arc<Emulator>) {
    let emulator = Arc::new(Emulator::start(Settings::default()).await.expect("an emulator"));
    let settings = HostSettings { sidecar_url, ..HostSettings::default() };
    let host = Host::start(settings, Arc::clone(&emulator)).await.expect("a host app");
    (host, emulator)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

const TOKEN: &str = "HTTP/1.1 200 OK\r\nServer-Timing: cache;desc=hit\r\nConnection: close\r\nContent-Length: 19\r\n\r\n{\"access_token\":\"\"}";
const LIMITED: &str =
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

#[tokio::test]
async fn the_server_decides_what_the_viewer_sees_and_passes_the_answer_on() {
    let local = tokio::task::LocalSet::new();
    let test = async {
        let (url, mut asked) = scripted_sidecar(TOKEN).await.expect("a sidecar");
        let (host, _emulator) = host(url).await;
        let (head, body) = ask(&host, "POST /api/token", r#"{"viewer": "v-1002", "purpose": "load"}"#).await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("server-timing: cache;desc=hit"), "{head}");
        assert_eq!(body, r#"{"access_token":""}"#);
        let request = asked.recv().await.expect("one request");
        assert!(request.starts_with("POST /v1/embeds/sales/token") && request.contains("sidemint-request: true"));
        let (_, sent) = request.split_once("\r\n\r\n").expect("a body");
        assert_eq!(json(sent), json!({"viewer": {"id": "v-1002", "value": "amer"}, "purpose": "load"}));
        let (_, stats) = ask(&host, "GET /api/stats", "").await;
        assert_eq!((&json(&stats)["views"], &json(&stats)["vendor_example_calls"]), (&1.into(), &3.into()));
        for bad in [
            r#"{"viewer": "v-9", "purpose": "load"}"#,
            r#"{"viewer": "v-1002", "value": "emea", "purpose": "load"}"#,
            r#"{"viewer": "v-1002", "embed": "unheard-of", "purpose": "load"}"#,
        ] {
            let (head, _) = ask(&host, "POST /api/token", bad).await;
            assert!(head.starts_with("HTTP/1.1 40"), "{head}");
        }
        assert!(asked.try_recv().is_err());
    };
    local.run_until(test).await;
}

#[tokio::test]
async fn each_vendor_is_scored_by_its_own_example() {
    let local = tokio::task::LocalSet::new();
    let test = async {
        let (url, mut asked) = scripted_sidecar(TOKEN).await.expect("a sidecar");
        let (host, _emulator) = host(url).await;
        ask(&host, "POST /api/token", r#"{"viewer": "v-1001", "embed": "finance", "purpose": "load"}"#).await;
        ask(&host, "POST /api/token", r#"{"viewer": "v-1001", "embed": "finance", "purpose": "renew"}"#).await;
        assert!(asked.recv().await.expect("one request").starts_with("POST /v1/embeds/finance/token"));
        let (_, stats) = ask(&host, "GET /api/stats", "").await;
        let stats = json(&stats);
        assert_eq!((&stats["views"], &stats["vendor_example_calls"]), (&1.into(), &6.into()));
        let seen: Vec<_> = stats["vendors"].as_array().expect("vendors").iter().map(|one| &one["views"]).collect();
        assert_eq!(seen, [&json!(0), &json!(1), &json!(0)]);
        ask(&host, "POST /api/token", r#"{"viewer": "v-1001", "embed": "supply", "purpose": "load"}"#).await;
        assert!(asked.recv().await.expect("a renewal").starts_with("POST /v1/embeds/finance/token"));
        assert!(asked.recv().await.expect("one request").starts_with("POST /v1/embeds/supply/token"));
        let (_, stats) = ask(&host, "GET /api/stats", "").await;
        let stats = json(&stats);
        // One call for each view, and no limit on loads.
        assert_eq!((&stats["views"], &stats["vendor_example_calls"]), (&2.into(), &7.into()));
        let bold_bi = &stats["vendors"][2];
        assert_eq!((&bold_bi["kind"], &bold_bi["name"]), (&"boldbi".into(), &"Bold BI".into()));
        assert_eq!((&bold_bi["views"], &bold_bi["loads_per_second"]), (&1.into(), &Value::Null));
    };
    local.run_until(test).await;
}

#[tokio::test]
async fn a_refusal_keeps_its_retry_after() {
    let local = tokio::task::LocalSet::new();
    let test = async {
        let (url, _asked) = scripted_sidecar(LIMITED).await.expect("a sidecar");
        let (host, _emulator) = host(url).await;
        let (head, _) = ask(&host, "POST /api/token", r#"{"viewer": "v-1001", "purpose": "renew"}"#).await;
        assert!(head.starts_with("HTTP/1.1 429") && head.contains("retry-after: 2"), "{head}");
        let (head, body) = ask(&host, "POST /api/burst", r#"{"count": 5}"#).await;
        assert!(head.contains("application/x-ndjson"));
        // Chunked: the lines are among the sizes.
        assert_eq!(body.lines().filter(|line| line.contains("\"status\":429")).count(), 5, "{body}");
    };
    local.run_until(test).await;
}

#[tokio::test]
async fn the_switches_act_on_the_emulator_and_are_taken_back() {
    let (host, emulator) = host("http://127.0.0.1:1".to_owned()).await;
    ask(&host, "POST /api/outage", r#"{"on": true}"#).await;
    // Two for each vendor with a service token, one for the one without.
    assert_eq!(emulator.faults().len(), 5);
    let (_, stats) = ask(&host, "POST /api/outage", r#"{"on": false}"#).await;
    assert_eq!((emulator.faults().len(), &json(&stats)["outage"]), (0, &false.into()));
    let (_, stats) = ask(&host, "POST /api/token-life", r#"{"renew_after": 20}"#).await;
    assert_eq!(json(&stats)["renew_after"], 20);
    let (head, _) = ask(&host, "POST /api/token", r#"{"viewer": "v-1001", "purpose": "load"}"#).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
}

#[tokio::test]
async fn the_page_may_frame_the_vendor_and_shows_its_referrer() {
    let (host, emulator) = host("http://127.0.0.1:1".to_owned()).await;
    let (head, _) = ask(&host, "GET /", "").await;
    assert!(head.contains(&format!("frame-src {};", emulator.url())), "{head}");
    assert!(head.contains("referrer-policy: strict-origin-when-cross-origin"), "{head}");
    for file in ["/page.css", "/page.js", "/vendors.js", "/boldbi-client.js", "/api/viewers"] {
        assert!(ask(&host, &format!("GET {file}"), "").await.0.starts_with("HTTP/1.1 200"));
    }
}
