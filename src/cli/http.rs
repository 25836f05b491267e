//! A request to a running sidecar on this machine.

use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Sends a request to `url` (plain http, as a loopback listener speaks it).
pub(super) async fn send(
    url: &str,
    method: &str,
    headers: &[(&str, &str)],
    body: Option<String>,
    within: Duration,
) -> anyhow::Result<Answer> {
    tokio::time::timeout(within, exchange(url, method, headers, body))
        .await
        .with_context(|| format!("{url} did not answer within {} s", within.as_secs()))?
}

async fn exchange(url: &str, method: &str, headers: &[(&str, &str)], body: Option<String>) -> anyhow::Result<Answer> {
    let uri: http::Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
    let Some(authority) = uri.authority().filter(|_| uri.scheme_str() == Some("http")) else {
        bail!("{url} is not a URL such as http://127.0.0.1:8190");
    };
    let target = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(&target).await.with_context(|| format!("no sidecar answers at {authority}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = http::Request::builder().method(method).uri(path).header("host", authority.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes().to_vec();
        anyhow::Ok(Answer { status, body })
    };
    // A server that closes right after its answer ends the connection in the same moment.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        ended = connection => ended?,
    }
    answer.await.with_context(|| format!("{authority} closed the connection without an answer"))
}
