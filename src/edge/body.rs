//! Request bodies: bounded in size and time, and JSON.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};

use crate::model::{Code, Fault};

/// Reads a JSON body.
///
/// # Errors
/// What is wrong with the body, refused as early as it shows.
pub async fn json(headers: &HeaderMap, body: Incoming, max: usize, within: Duration) -> Result<Bytes, Fault> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(too_large(max));
    }
    if body.is_end_stream() {
        return Err(Fault::new(Code::MalformedRequest, "the request has no body"));
    }
    if !is_json(headers.get(CONTENT_TYPE)) {
        return Err(Fault::new(Code::UnsupportedMediaType, "send the body with Content-Type: application/json"));
    }
    // A body that arrived with its head is there without any waiting, and needs no timer.
    let read = Limited::new(body, max).collect();
    match tokio::time::timeout(within, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(max)),
        Ok(Err(_)) => Err(Fault::new(Code::MalformedRequest, "the body ended early")),
        Err(_) => Err(Fault::new(Code::MalformedRequest, "the body took too long to arrive")),
    }
}

/// Refuses a body where none belongs: what is not read could be taken for the next request.
///
/// # Errors
/// There is a body.
pub fn none(body: &Incoming) -> Result<(), Fault> {
    if body.is_end_stream() {
        return Ok(());
    }
    Err(Fault::new(Code::MalformedRequest, "this method takes no body"))
}

/// `application/json`, with parameters or without.
fn is_json(value: Option<&HeaderValue>) -> bool {
    let kind = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn too_large(max: usize) -> Fault {
    Fault::new(Code::BodyTooLarge, format!("the body is over {max} bytes (server.max_body)"))
}
