//! A WebSocket that echoes (RFC 6455), just enough of it to see frames, pings and close codes pass through a proxy.

use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;

/// RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// No frame of a test is larger.
const MAX_FRAME: u64 = 1 << 20;

/// The handshake. The vendor wants `Origin` to be the app's own.
pub(super) fn accept(
    asked: &Asked,
    mut request: Request<Incoming>,
    leaving: &Leaving,
    own: &str,
) -> Response<ReplyBody> {
    let is_upgrade = header(&asked.headers, UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
    let Some(key) = header(&asked.headers, KEY).filter(|_| is_upgrade) else {
        return response(Reply::empty(StatusCode::UPGRADE_REQUIRED));
    };
    if header(&asked.headers, ORIGIN) != Some(own) {
        return response(Reply::platform(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "Origin is not the app's."));
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    *leaving.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(&mut request));
    let reply = Reply::empty(StatusCode::SWITCHING_PROTOCOLS)
        .with(CONNECTION, "upgrade")
        .with(UPGRADE, "websocket")
        .with(ACCEPT, &STANDARD.encode(hash));
    let mut answer = response(reply);
    answer.headers_mut().remove(CONTENT_LENGTH);
    answer
}

/// Sends each frame back until the peer closes.
pub(in crate::emulator) async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    loop {
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
            return stream.write_all(&[0x80 | CLOSE, 2, 0x03, 0xea]).await;
        }
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut data = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        stream.read_exact(&mut data).await?;
        data.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        match first & 0x0f {
            PONG => {}
            PING => send(&mut stream, 0x80 | PONG, &data).await?,
            CLOSE => return send(&mut stream, first, &data).await,
            _ => send(&mut stream, first, &data).await?,
        }
    }
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
