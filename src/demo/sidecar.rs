//! The calls of the host app's server: a token from the sidecar, and, for the burst, the load that a browser would do.

use std::fmt::{self, Debug};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::vendors::Vendor;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// No answer to the host app is larger.
const MAX_ANSWER: usize = 1 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A client for one sidecar.
pub(super) struct Sidecar {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What the sidecar answered, ready to be passed on.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
    pub content_type: Option<String>,
    pub server_timing: Option<String>,
    pub retry_after: Option<String>,
}

impl Sidecar {
    pub fn new(url: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { url, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// A token for one viewer: the one call that replaces the vendor's several.
    pub async fn token(&self, embed: &str, id: &str, value: &str, purpose: &str) -> Result<Answer, Failure> {
        let body = json!({"viewer": {"id": id, "value": value}, "purpose": purpose}).to_string();
        let request = Request::post(format!("{}/v1/embeds/{embed}/token", self.url))
            .header("Sidemint-Request", "true")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        self.send(request).await
    }

    /// Starts a dashboard as a browser does with the token that it was given.
    pub async fn load(&self, vendor: &Vendor, token: &Value) -> Result<StatusCode, Failure> {
        Ok(self.send((vendor.load)(token)?).await?.status)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let (parts, body) = self.client.request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok(Answer {
            status: parts.status,
            content_type: text(&parts.headers, &CONTENT_TYPE),
            server_timing: text(&parts.headers, &SERVER_TIMING),
            retry_after: text(&parts.headers, &RETRY_AFTER),
            body,
        })
    }
}

impl Debug for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sidecar").field("url", &self.url).finish_non_exhaustive()
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
