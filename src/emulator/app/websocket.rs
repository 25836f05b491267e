//! A WebSocket that echoes (RFC 6455), just enough of it to see frames, pings and close codes pass through a proxy.

use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::server::{Leaving, Levers, ReplyBody, Upload, response};
use super::super::wire::{Asked, Reply, header};

/// RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The end of a message.
const FIN: u8 = 0x80;

/// No frame of a test is larger.
const MAX_FRAME: u64 = 1 << 20;

/// How a WebSocket behaves, by the query of its handshake.
#[derive(Debug, Default)]
pub struct Manners {
    /// `?hello=`: a text to send first.
    hello: Option<String>,
    /// `?close=` and `&reason=`: the payload of a close frame to send then.
    close: Option<Vec<u8>>,
    /// `?drop=1`: end the connection then, without a close frame.
    drop: bool,
    /// `?silent=1`: never send anything.
    silent: bool,
}

impl Manners {
    fn asked(asked: &Asked) -> Self {
        let is_on = |name: &str| asked.query.get(name).is_some_and(|value| value == "1");
        let reason = asked.query.get("reason").map(String::as_str).unwrap_or_default();
        // Without a number, the close frame has no code (1005 at the peer, RFC 6455 section 7.1.5).
        let close = asked.query.get("close").map(|code| match code.parse::<u16>() {
            Ok(code) => [&code.to_be_bytes(), reason.as_bytes()].concat(),
            Err(_) => Vec::new(),
        });
        Self { hello: asked.query.get("hello").cloned(), close, drop: is_on("drop"), silent: is_on("silent") }
    }
}

/// The handshake. The vendor wants `Origin` to be the app's own.
pub(super) fn accept(asked: &Asked, mut request: Request<Upload>, levers: &Levers, own: &str) -> Response<ReplyBody> {
    let told = |name: HeaderName| header(&asked.headers, name);
    let is_upgrade = told(UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
    let is_sound = is_upgrade && asked.method == Method::GET && told(SEC_WEBSOCKET_VERSION) == Some("13");
    let Some(key) = told(SEC_WEBSOCKET_KEY).filter(|_| is_sound) else {
        return response(Reply::empty(StatusCode::UPGRADE_REQUIRED).with(SEC_WEBSOCKET_VERSION, "13"));
    };
    if told(ORIGIN) != Some(own) {
        return response(Reply::platform(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "Origin is not the app's."));
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    levers.leave(Leaving { upgrade: hyper::upgrade::on(&mut request), manners: Manners::asked(asked) });
    let mut reply = Reply::empty(StatusCode::SWITCHING_PROTOCOLS)
        .with(CONNECTION, "upgrade")
        .with(UPGRADE, "websocket")
        .with(SEC_WEBSOCKET_ACCEPT, &STANDARD.encode(hash));
    if let Some(first) = told(SEC_WEBSOCKET_PROTOCOL).and_then(|all| all.split(',').next()) {
        reply = reply.with(SEC_WEBSOCKET_PROTOCOL, first.trim());
    }
    let mut answer = response(reply);
    answer.headers_mut().remove(CONTENT_LENGTH);
    answer
}

/// Speaks until the peer closes, or as its manners want it.
pub async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, manners: &Manners) -> io::Result<()> {
    if manners.silent {
        return tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop);
    }
    if let Some(hello) = &manners.hello {
        send(&mut stream, FIN | TEXT, hello.as_bytes()).await?;
    }
    if manners.drop {
        return stream.shutdown().await;
    }
    if let Some(close) = &manners.close {
        send(&mut stream, FIN | CLOSE, close).await?;
    }
    let is_closing = manners.close.is_some();
    while let Some((first, data)) = receive(&mut stream).await? {
        match first & 0x0f {
            CLOSE if is_closing => return Ok(()),
            CLOSE => return send(&mut stream, first, &data).await,
            _ if is_closing => {}
            PONG => {}
            PING => send(&mut stream, FIN | PONG, &data).await?,
            _ => send(&mut stream, first, &data).await?,
        }
    }
    Ok(())
}

/// The first byte and the data of a frame; none where the peer broke the protocol and was told so.
async fn receive(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let (first, masked) = (head[0], head[1] & 0x80 != 0);
    let length = match head[1] & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    if !masked || length > MAX_FRAME {
        // 1002, protocol error: clients mask (RFC 6455 section 5.1).
        send(stream, FIN | CLOSE, &1002_u16.to_be_bytes()).await?;
        return Ok(None);
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut data = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    stream.read_exact(&mut data).await?;
    data.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Some((first, data)))
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), first: u8, data: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match (u8::try_from(data.len()), u16::try_from(data.len())) {
        (Ok(length), _) if length < 126 => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((data.len() as u64).to_be_bytes());
        }
    }
    frame.extend(data);
    stream.write_all(&frame).await?;
    stream.flush().await
}
