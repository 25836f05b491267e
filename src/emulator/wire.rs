//! What the emulator's handlers see of HTTP: one request, read whole, and one reply.
//!
//! Handlers are plain functions from [`Asked`] to [`Reply`]; only the server and the faults know of sockets and time.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode, Version};
use serde_json::Value;

/// Decoded parameters of a query or a form. The first of several equal names counts.
pub type Params = BTreeMap<String, String>;

/// One request, read to its end.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path as sent.
    pub path: String,
    /// The query as sent.
    pub raw_query: String,
    /// The decoded query.
    pub query: Params,
    /// The decoded form; empty unless the body is one.
    pub form: Params,
    /// True if the form or query names a parameter twice (refused by RFC 6749 section 3.2 at the token endpoint).
    pub repeated: bool,
    /// All headers. `:authority` of HTTP/2 is `Host`, as it is behind a vendor's front.
    pub headers: HeaderMap,
    /// The version of HTTP.
    pub version: Version,
    /// The body as sent.
    pub body: Bytes,
    /// `http://` or `https://` and the host that the client named, for the links of discovery documents.
    pub base_url: String,
}

impl Asked {
    /// Reads what the handlers need from the parts of a request; `own_url` stands in where no `Host` was sent.
    pub fn new(parts: &http::request::Parts, body: Bytes, own_url: &str) -> Self {
        let scheme = if own_url.starts_with("https") { "https" } else { "http" };
        let mut headers = parts.headers.clone();
        let authority = parts.uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        if let Some(authority) = authority.filter(|_| parts.version == Version::HTTP_2) {
            headers.entry(HOST).or_insert(authority);
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let (query, repeated_query) = params(parts.uri.query().unwrap_or_default().as_bytes());
        let is_form = header(&parts.headers, CONTENT_TYPE)
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        let (form, repeated_form) = if is_form { params(&body) } else { Default::default() };
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            raw_query: parts.uri.query().unwrap_or_default().to_owned(),
            query,
            form,
            repeated: repeated_query || repeated_form,
            base_url: host.map_or_else(|| own_url.to_owned(), |host| format!("{scheme}://{host}")),
            headers,
            version: parts.version,
            body,
        }
    }

    /// The path cut at its slashes, percent-decoded.
    pub fn segments(&self) -> Vec<String> {
        let cut = self.path.split('/').filter(|segment| !segment.is_empty());
        cut.map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
    }

    /// The token of `Authorization: Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.credentials_of("bearer")
    }

    /// The token of `Authorization: EmbedToken`, which embedded pages of Power BI send.
    pub fn embed_token(&self) -> Option<&str> {
        self.credentials_of("embedtoken")
    }

    /// The pair of `Authorization: Basic`, raw.
    pub fn basic(&self) -> Option<(String, String)> {
        let raw = STANDARD.decode(self.credentials_of("basic")?).ok()?;
        let text = String::from_utf8(raw).ok()?;
        text.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
    }

    /// The scheme of `Authorization`, in lower case.
    pub fn auth_scheme(&self) -> Option<String> {
        let value = header(&self.headers, AUTHORIZATION)?;
        value.split(' ').next().map(str::to_ascii_lowercase)
    }

    fn credentials_of(&self, scheme: &str) -> Option<&str> {
        let (named, rest) = header(&self.headers, AUTHORIZATION)?.split_once(' ')?;
        named.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }
}

/// The first value of a header, if it is text.
pub fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// `+` and `%20` both mean a space here: clients send either (databricks.md section 2).
fn params(encoded: &[u8]) -> (Params, bool) {
    let mut repeated = false;
    let mut found = Params::new();
    for (name, value) in form_urlencoded::parse(encoded) {
        if found.contains_key(name.as_ref()) {
            repeated = true;
        } else {
            found.insert(name.into_owned(), value.into_owned());
        }
    }
    (found, repeated)
}

/// What clients make of a secret that encode it before they put it into `Authorization: Basic` (RFC 6749
/// section 2.3.1).
pub fn form_decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// A random UUID (RFC 9562 section 5.4).
pub fn uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(3 << 62) | 4 << 76 | 2 << 62;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Its headers, each at most once, `Content-Length` aside. A list, because a `HeaderMap` would make every
    /// `Result` that a handler returns large.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The whole body.
    pub body: Bytes,
}

impl Reply {
    /// A body of the given content type.
    pub fn new(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static(kind))];
        Self { status, headers, body: body.into() }
    }

    /// No body and no content type.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A JSON document.
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An OAuth error (RFC 6749 section 5.2).
    pub fn oauth(status: StatusCode, error: &str, description: &str) -> Self {
        Self::json(status, &serde_json::json!({"error": error, "error_description": description}))
    }

    /// A platform error, the shape of the REST API (databricks.md section 2.2).
    pub fn platform(status: StatusCode, code: &str, message: &str) -> Self {
        Self::json(status, &serde_json::json!({"error_code": code, "message": message, "details": []}))
    }

    /// An HTML page.
    pub fn html(body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, "text/html; charset=utf-8", body)
    }

    /// The same with one more header; a value that no header can hold is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.retain(|(given, _)| *given != name);
            self.headers.push((name, value));
        }
        self
    }

    /// A redirect.
    pub fn redirect(status: StatusCode, location: &str) -> Self {
        Self::empty(status).with(LOCATION, location)
    }
}
