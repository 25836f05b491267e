//! What is sent to a vendor and what came back, as values.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::model::{Code, Fault, Moment};
use crate::telemetry::metrics::Operation;

/// One request, built from parts: the scheme and authority come from the config only.
#[derive(Clone)]
pub struct Call {
    /// For metrics and messages.
    pub operation: Operation,
    /// GET or POST.
    pub method: Method,
    /// Path and query, encoded.
    pub path: String,
    /// All headers but `Host`, `User-Agent` and `Accept`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, if any.
    pub body: bytes::Bytes,
}

/// One answer, read to its end.
pub struct Reply {
    /// When the request was sent.
    pub sent: Moment,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`MAX_BODY`] bytes.
    pub body: bytes::Bytes,
}

/// A token reply is a few KiB; what is much larger is no token reply.
pub const MAX_BODY: usize = 1 << 20;

/// Marks a header value that nothing may print or index.
///
/// # Errors
/// A value that no header can hold, such as a secret with a line break in it.
pub fn sensitive(value: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        Fault::new(Code::CredentialsRejected, "the service credential holds characters that no header can carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
