//! What the emulator's handlers see of HTTP: one request, read whole, and one reply.
//!
//! Handlers are plain functions from [`Asked`] to [`Reply`]; only the server and the faults know of sockets and time.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

/// Decoded parameters of a query or a form. The first of several equal names counts.
pub type Params = BTreeMap<String, String>;

/// What a request is for, as the journal and the faults call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Discovery documents.
    Discovery,
    /// The published keys.
    Jwks,
    /// The broad token (`all-apis`), by secret or by federation.
    ServiceToken,
    /// A token for one Databricks App, exchanged for a broad one.
    AppToken,
    /// The scoped token of one viewer.
    Mint,
    /// `tokeninfo` of a published dashboard.
    TokenInfo,
    /// Who the caller is (`scim/v2/Me`).
    Me,
    /// The HTML and script of the embedded dashboard.
    EmbedPage,
    /// The start of a dashboard: the first data request of a page.
    Load,
    /// A later refresh of an open dashboard.
    Data,
    /// A request to the Databricks App.
    App,
    /// The emulator's own front page.
    Index,
    /// No such endpoint.
    Unknown,
}

impl Operation {
    /// Every operation there is.
    pub(super) const ALL: [Self; 13] = [
        Self::Discovery,
        Self::Jwks,
        Self::ServiceToken,
        Self::AppToken,
        Self::Mint,
        Self::TokenInfo,
        Self::Me,
        Self::EmbedPage,
        Self::Load,
        Self::Data,
        Self::App,
        Self::Index,
        Self::Unknown,
    ];

    /// The name in the journal and in faults.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::ServiceToken => "service_token",
            Self::AppToken => "app_token",
            Self::Mint => "mint",
            Self::TokenInfo => "token_info",
            Self::Me => "me",
            Self::EmbedPage => "embed_page",
            Self::Load => "load",
            Self::Data => "data",
            Self::App => "app",
            Self::Index => "index",
            Self::Unknown => "unknown",
        }
    }
}

/// One request, read to its end.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path as sent.
    pub path: String,
    /// The decoded query.
    pub query: Params,
    /// The decoded form; empty unless the body is one.
    pub form: Params,
    /// True if the form or query names a parameter twice (refused by RFC 6749 section 3.2 at the token endpoint).
    pub repeated: bool,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as sent.
    pub body: Bytes,
    /// `http://` or `https://` and the host that the client named, for the links of discovery documents.
    pub base_url: String,
}

impl Asked {
    /// Reads what the handlers need from the parts of a request; `own_url` stands in where no `Host` was sent.
    pub fn new(parts: &http::request::Parts, body: Bytes, own_url: &str) -> Self {
        let scheme = if own_url.starts_with("https") { "https" } else { "http" };
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let (query, repeated_query) = params(parts.uri.query().unwrap_or_default().as_bytes());
        let is_form = header(&parts.headers, CONTENT_TYPE)
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
        let (form, repeated_form) = if is_form { params(&body) } else { Default::default() };
        Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query,
            form,
            repeated: repeated_query || repeated_form,
            headers: parts.headers.clone(),
            base_url: host.map_or_else(|| own_url.to_owned(), |host| format!("{scheme}://{host}")),
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
