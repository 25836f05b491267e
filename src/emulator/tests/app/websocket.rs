//! The WebSocket of the app.

use super::*;

async fn opened(emulator: &Emulator, path: &str, more: &str) -> (String, TcpStream) {
    let more = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}"
    );
    let request = head(emulator, &format!("GET {path}"), &more).await;
    let mut stream = TcpStream::connect(host(emulator)).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    (String::from_utf8_lossy(&head).into_owned(), stream)
}

async fn own(emulator: &Emulator, path: &str) -> TcpStream {
    let (head, stream) = opened(emulator, path, &format!("Origin: {}\r\n", emulator.app_url())).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.expect("an end");
    back
}

#[tokio::test]
async fn it_opens_for_the_origin_of_the_app_only() {
    let emulator = emulator().await;
    let (head, _) = opened(&emulator, "/api/ws", "Origin: https://elsewhere\r\n").await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let origin = format!("Origin: {}\r\nSec-WebSocket-Protocol: chat.v2, chat.v1\r\n", emulator.app_url());
    let (head, _stream) = opened(&emulator, "/api/ws", &origin).await;
    // The key and its answer are the example of RFC 6455 section 1.3.
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    assert!(head.contains("sec-websocket-protocol: chat.v2\r\n"), "{head}");
    let service = service_token(&emulator).await;
    assert_eq!(call(&emulator, "GET /api/ws", Some(&service), "").await.status, 426);
}

/// A text frame and a close with code 1000, masked with zeros, come back unmasked.
#[tokio::test]
async fn it_echoes_and_passes_the_close_code_back() {
    let emulator = emulator().await;
    let mut stream = own(&emulator, "/api/ws?hello=hey").await;
    stream.write_all(b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8").await.expect("sent");
    assert_eq!(rest(stream).await, b"\x81\x03hey\x81\x02hi\x88\x02\x03\xe8");
}

#[tokio::test]
async fn it_closes_by_itself() {
    let emulator = emulator().await;
    let mut stream = own(&emulator, "/api/ws?close=4001&reason=bye").await;
    stream.write_all(b"\x88\x82\0\0\0\0\x0f\xa1").await.expect("sent");
    assert_eq!(rest(stream).await, b"\x88\x05\x0f\xa1bye");
    assert_eq!(rest(own(&emulator, "/api/ws?hello=x&drop=1").await).await, b"\x81\x01x");
    let mut bare = own(&emulator, "/api/ws?close=").await;
    assert_eq!((bare.read_u8().await.expect("a frame"), bare.read_u8().await.expect("its length")), (0x88, 0));
}

#[tokio::test]
async fn it_may_stay_silent() {
    let emulator = emulator().await;
    let mut stream = own(&emulator, "/api/ws?silent=1").await;
    stream.write_all(b"\x89\x80\0\0\0\0").await.expect("sent");
    stream.shutdown().await.expect("the end of what is sent");
    assert_eq!(rest(stream).await, b"");
    until("nothing", || emulator.app_traffic().connections == 0).await;
}
