//! An HTTP client of a few lines, over real sockets.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pooled, Error};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::secrecy::{self, reply::Heard, said};

/// A client with connections that are kept.
#[derive(Clone)]
pub struct Client(Pooled<HttpConnector, Full<Bytes>>);

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    pub fn new() -> Client {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Client(Pooled::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends a request. Dropping the future closes its connection. What goes to a sidecar is hidden, and what comes back
    /// is searched.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Reply, Error> {
        let asked = asked(&request).await;
        let (head, body) = self.0.request(request).await?.into_parts();
        let body = body.collect().await.expect("the body arrives whole").to_bytes();
        let reply = Reply { status: head.status, headers: head.headers, body };
        if let Some((asked, bare)) = asked {
            let headers = reply.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
            let (status, headers, body) = (reply.status.as_u16(), headers.collect(), &*reply.body);
            Heard { asked: &asked, bare, status, headers, body }.judge();
        }
        Ok(reply)
    }

    /// A GET of the admin port, or of any other server.
    pub async fn get(&self, address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = Request::get(format!("http://{address}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).expect("a request of known parts");
        self.send(request).await.expect("the server answers")
    }
}

/// Hides what a request to a sidecar says; what it asks for, and whether as a bare token.
async fn asked(request: &Request<Full<Bytes>>) -> Option<(String, bool)> {
    let address = request.uri().authority()?.as_str().parse().ok()?;
    if !secrecy::is_ours(address) {
        return None;
    }
    let target = request.uri().path_and_query().map(|target| target.as_str()).unwrap_or_default();
    said::target(target);
    for (name, value) in request.headers() {
        said::header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    let Ok(body) = request.body().clone().collect().await;
    said::body(&body.to_bytes());
    let accept = request.headers().get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    Some((format!("{} {target}", request.method()), accept.contains("text/plain")))
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are text"))
    }

    /// The token of a reply that has to have one.
    #[track_caller]
    pub fn token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["access_token"].as_str().expect("access_token is a text").to_owned()
    }

    #[track_caller]
    pub fn expires_in(&self) -> i64 {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["expires_in"].as_i64().expect("expires_in is an integer")
    }

    /// The word of the problem, or an empty text.
    pub fn code(&self) -> String {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|body| Some(body["code"].as_str()?.to_owned()))
            .unwrap_or_default()
    }

    /// Status and word of the problem.
    pub fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.code())
    }

    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// `hit`, `miss`, `coalesced` or `stale`.
    pub fn cache(&self) -> String {
        let timing = self.header("server-timing").unwrap_or_default();
        let first = timing.split(',').next().unwrap_or_default();
        first.strip_prefix("cache;desc=").unwrap_or_default().to_owned()
    }

    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").and_then(|text| text.parse().ok())
    }
}
