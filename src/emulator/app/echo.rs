//! What the app saw of a request. The body is digested as it comes, whatever its size.

use aws_lc_rs::digest::{Context, SHA256};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TE, TRAILER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use std::time::Duration;

use super::super::State;
use super::super::server::{ReplyBody, Upload, response};
use super::super::wire::{Asked, Reply, header};
use super::door::forwarded;

/// The body is shown up to this length; its digest covers all of it.
const SHOWN: usize = 4096;

const CHECKSUM: HeaderName = HeaderName::from_static("x-checksum");

/// A body, read to its end.
struct Read {
    length: u64,
    sha256: String,
    start: Vec<u8>,
    trailers: HeaderMap,
}

/// Says what arrived.
pub async fn answer(state: &State, asked: &Asked, request: Request<Upload>) -> Response<ReplyBody> {
    match seen(state, asked, request).await {
        Ok((seen, _)) => response(Reply::json(StatusCode::OK, &seen)),
        Err(status) => response(Reply::empty(status)),
    }
}

/// The same, chunked and with trailers, where the caller says that it takes any (RFC 9110 section 6.5.1).
pub async fn with_trailers(state: &State, asked: &Asked, request: Request<Upload>) -> Response<ReplyBody> {
    let te = header(&asked.headers, TE).unwrap_or_default();
    let wanted = te.split(',').any(|one| one.trim().eq_ignore_ascii_case("trailers"));
    let (seen, read) = match seen(state, asked, request).await {
        Ok(seen) => seen,
        Err(status) => return response(Reply::empty(status)),
    };
    let mut answer = response(Reply::json(StatusCode::OK, &seen));
    answer.headers_mut().remove(CONTENT_LENGTH);
    if !wanted {
        return answer;
    }
    answer.headers_mut().insert(TRAILER, HeaderValue::from_static("x-checksum, x-length"));
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static("x-length"), HeaderValue::from(read.length));
    trailers.extend(HeaderValue::try_from(read.sha256).ok().map(|checksum| (CHECKSUM, checksum)));
    *answer.body_mut() = ReplyBody::trailed(seen.to_string().into(), trailers);
    answer
}

async fn seen(state: &State, asked: &Asked, request: Request<Upload>) -> Result<(Value, Read), StatusCode> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let reading = read(request.into_body());
    let limit = state.app.settings.request_limit;
    let read = timeout(limit.unwrap_or(Duration::MAX), reading).await;
    let read = read.map_err(|_| StatusCode::GATEWAY_TIMEOUT)?.ok_or(StatusCode::BAD_REQUEST)?;
    // The headers of an answer to HEAD are those that GET would get, their Content-Length too.
    let method = if asked.method == Method::HEAD { &Method::GET } else { &asked.method };
    let mut trailers = Map::new();
    for (name, value) in &read.trailers {
        trailers.insert(name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())));
    }
    let shown = String::from_utf8_lossy(&read.start);
    let seen = json!({
        "method": method.as_str(), "path": asked.path, "query": query, "headers": forwarded(state, asked),
        "body": {"length": read.length, "sha256": read.sha256, "text": shown}, "trailers": trailers,
    });
    Ok((seen, read))
}

async fn read(mut body: Upload) -> Option<Read> {
    let (mut digest, mut length, mut start, mut trailers) =
        (Context::new(&SHA256), 0_u64, Vec::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.ok()?.into_data() {
            Ok(data) => {
                digest.update(&data);
                length += data.len() as u64;
                let room = SHOWN.saturating_sub(start.len()).min(data.len());
                start.extend_from_slice(&data[..room]);
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    let sha256 = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Read { length, sha256, start, trailers })
}
