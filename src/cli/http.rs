//! A request to a running sidecar.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tower_service::Service;

use crate::config::{BaseUrl, Listen};
use crate::upstream::connectors;

/// Where a sidecar is, and how it is spoken to.
pub(super) enum Server {
    /// Plain, by host and port.
    Tcp(String),
    /// TLS, by host and port, with more roots to trust.
    Tls(String, Option<PathBuf>),
    /// By a path of this machine.
    Unix(PathBuf),
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Server {
    /// Reads `http://host:port`, `https://host:port` or `unix:/path`.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn parse(url: &str, ca_file: Option<&Path>) -> Result<Server, String> {
        if url.starts_with("unix:") {
            let Listen::Unix(path) = url.parse::<Listen>()? else { return Err(format!("{url} is not a path")) };
            return Ok(Server::Unix(path));
        }
        let wrong = || {
            format!(
                "{url} is not a URL such as http://127.0.0.1:8190, https://127.0.0.1:8190 or unix:/run/sidemint/api.sock"
            )
        };
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.path() == "/" && uri.query().is_none()).ok_or_else(wrong)?;
        match uri.scheme_str() {
            Some("http") => Ok(Server::Tcp(authority.to_string())),
            Some("https") => Ok(Server::Tls(authority.to_string(), ca_file.map(Path::to_owned))),
            _ => Err(wrong()),
        }
    }

    /// Sends a request.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
        within: Duration,
    ) -> anyhow::Result<Answer> {
        // A socket has no name; the guard knows this machine by `localhost`.
        let host = match self {
            Server::Tcp(authority) | Server::Tls(authority, _) => authority.as_str(),
            Server::Unix(_) => "localhost",
        };
        let mut request = http::Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        tokio::time::timeout(within, self.exchange(request, within))
            .await
            .with_context(|| format!("{self} did not answer within {} s", within.as_secs()))?
    }

    async fn exchange(&self, request: http::Request<Full<Bytes>>, within: Duration) -> anyhow::Result<Answer> {
        let nobody = || format!("no sidecar answers at {self}");
        match self {
            Server::Tcp(authority) => {
                let port = if has_port(authority) { "" } else { ":80" };
                let stream = TcpStream::connect(format!("{authority}{port}")).await.with_context(nobody)?;
                self.talk(TokioIo::new(stream), request).await
            }
            Server::Unix(path) => {
                let stream = UnixStream::connect(path).await.with_context(nobody)?;
                self.talk(TokioIo::new(stream), request).await
            }
            Server::Tls(authority, ca_file) => {
                let host = BaseUrl { https: true, authority: authority.clone() };
                let [mut connector, _] = connectors(&host, ca_file.as_deref(), within).map_err(anyhow::Error::msg)?;
                let connection = connector.call(host.to_string().parse()?).await;
                let connection = connection.map_err(|error| anyhow!(error)).with_context(nobody)?;
                self.talk(connection, request).await
            }
        }
    }

    async fn talk<IO>(&self, io: IO, request: http::Request<Full<Bytes>>) -> anyhow::Result<Answer>
    where
        IO: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
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
        answer.await.with_context(|| format!("{self} closed the connection without an answer"))
    }
}

fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Server::Tcp(authority) | Server::Tls(authority, _) => f.write_str(authority),
            Server::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_found_by_address_or_path() {
        for (url, found) in [
            ("http://127.0.0.1:8190", "127.0.0.1:8190"),
            ("http://127.0.0.1:8190/", "127.0.0.1:8190"),
            ("https://[::1]:8190", "[::1]:8190"),
            ("https://sidemint.internal", "sidemint.internal"),
            ("unix:/run/sidemint/api.sock", "unix:/run/sidemint/api.sock"),
        ] {
            let server = Server::parse(url, None).unwrap_or_else(|wrong| panic!("{wrong}"));
            assert_eq!(server.to_string(), found);
        }
        for wrong in
            ["", "127.0.0.1:8190", "ftp://x", "http://x/v1", "http://x?a", "unix:", "unix:a", "unix:@a", "http:/"]
        {
            assert!(Server::parse(wrong, None).is_err(), "{wrong}");
        }
        assert!(has_port("[::1]:80") && has_port("a:80") && !has_port("[::1]") && !has_port("a"));
    }
}
