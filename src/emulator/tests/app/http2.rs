//! The app over HTTP/2, as the vendor's front speaks it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

async fn with_tls(http2: bool) -> Emulator {
    let settings = Settings { tls: true, http2, ..Settings::default() };
    Emulator::start(settings).await.expect("free ports and a key")
}

async fn tls(emulator: &Emulator, url: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let pem = emulator.ca_pem().expect("it serves TLS");
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let mut config = config
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(url.replace("https://", "")).await.expect("a connection");
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS")
}

type Client = SendRequest<Full<Bytes>>;

async fn client(emulator: &Emulator, url: &str) -> Client {
    let stream = tls(emulator, url).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    Handle::current().spawn(connection);
    client
}

async fn service_token(emulator: &Emulator) -> String {
    let mut client = client(emulator, &emulator.url()).await;
    let request = Request::post(format!("{}/oidc/v1/token", emulator.url()))
        .header("authorization", own_basic(emulator))
        .header("content-type", "application/x-www-form-urlencoded");
    let request = request.body(Full::from("grant_type=client_credentials&scope=all-apis")).expect("a request");
    let answer = client.send_request(request).await.expect("an answer").into_body().collect().await.expect("a body");
    let answer: Value = serde_json::from_slice(&answer.to_bytes()).expect("JSON");
    answer["access_token"].as_str().expect("a token").to_owned()
}

async fn ask(
    emulator: &Emulator,
    client: &mut Client,
    line: &str,
    body: &'static str,
) -> hyper::Result<Response<Incoming>> {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let request =
        Request::builder().method(method).uri(format!("{}{path}", emulator.app_url())).header("te", "trailers");
    let token = service_token(emulator).await;
    let request = request.header("authorization", format!("Bearer {token}")).body(Full::from(body)).expect("a request");
    client.send_request(request).await
}

#[tokio::test]
async fn requests_share_a_connection_and_the_journal_tells() {
    let emulator = with_tls(true).await;
    let mut client = client(&emulator, &emulator.app_url()).await;
    let echo = ask(&emulator, &mut client, "POST /api/x", "hello").await.expect("an answer");
    let echo: Value =
        serde_json::from_slice(&echo.into_body().collect().await.expect("a body").to_bytes()).expect("JSON");
    assert_eq!(echo["body"]["length"], 5);
    let head = ask(&emulator, &mut client, "HEAD /api/bytes?count=70", "").await.expect("an answer");
    assert_eq!(head.headers()["content-length"], "70");
    assert!(head.into_body().collect().await.expect("no body").to_bytes().is_empty());
    let trailed = ask(&emulator, &mut client, "POST /api/trailers", "hi").await.expect("an answer");
    assert_eq!(trailed.into_body().collect().await.expect("a body").trailers().expect("trailers")["x-length"], "2");
    let rude = ask(&emulator, &mut client, "GET /api/rude-headers", "").await.expect("an answer");
    assert!(rude.headers().contains_key("set-cookie") && !rude.headers().contains_key("x-secret"));
    let mut entries = emulator.journal();
    entries.retain(|entry| entry.operation == Operation::App);
    assert!(entries.iter().all(|entry| entry.version == "HTTP/2.0" && entry.connection == entries[0].connection));
    assert_eq!(entries[0].headers["host"], emulator.app_url().replace("https://", ""));
    assert_eq!(entries.len(), 4);
}

#[tokio::test]
async fn a_body_that_is_cut_ends_its_stream_only() {
    let emulator = with_tls(true).await;
    let mut client = client(&emulator, &emulator.app_url()).await;
    emulator.inject(Fault { operation: "app".to_owned(), truncate: true, ..Fault::default() }.times(1));
    let cut = ask(&emulator, &mut client, "GET /api/bytes?count=1000", "").await.expect("a head");
    cut.into_body().collect().await.expect_err("half of it");
    let whole = ask(&emulator, &mut client, "GET /api/bytes?count=1000", "").await.expect("a head");
    assert_eq!(whole.into_body().collect().await.expect("all of it").to_bytes().len(), 1000);
}

#[tokio::test]
async fn resets_and_raw_bytes_end_the_connection() {
    let emulator = with_tls(true).await;
    let faults = [
        Fault { reset: true, ..Fault::default() },
        Fault { raw: Some("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()), ..Fault::default() },
    ];
    for fault in faults {
        let mut client = client(&emulator, &emulator.app_url()).await;
        emulator.inject(Fault { operation: "app".to_owned(), ..fault }.times(1));
        ask(&emulator, &mut client, "GET /api/x", "").await.expect_err("no answer");
        until("the end of the connection", || emulator.app_traffic().connections == 0).await;
        assert!(client.is_closed());
    }
}

#[tokio::test]
async fn a_goodbye_lets_what_is_under_way_end() {
    let emulator = with_tls(true).await;
    let mut client = client(&emulator, &emulator.app_url()).await;
    let events = ask(&emulator, &mut client, "GET /api/sse?events=3&every_ms=20", "").await.expect("a head");
    emulator.close_connections();
    let events = events.into_body().collect().await.expect("all events").to_bytes();
    assert!(events.ends_with(b"data: {\"n\": 3}\n\n"));
    until("the end of the connection", || emulator.app_traffic().connections == 0).await;
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let emulator = with_tls(false).await;
    assert_eq!(tls(&emulator, &emulator.app_url()).await.get_ref().1.alpn_protocol(), None);
}
