//! TCP, proxy and TLS on the way to a vendor or to the target of a route.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::Target;
use crate::config::BaseUrl;

/// A pooled HTTP/1.1 client. Redirects are never followed: this client does not know how.
pub type HttpClient = Client<Connector, Full<bytes::Bytes>>;
/// Opens connections to one host, with TLS where it is asked for.
pub type Connector = HttpsConnector<Road>;
/// An open connection.
pub type Connection = <Connector as tower_service::Service<Uri>>::Response;

/// A client for one target.
///
/// # Errors
/// One sentence on what is wrong with the roots of trust.
pub fn client(target: &Target) -> Result<HttpClient, String> {
    let tls = tls(target.host.https, target.ca_file.as_deref())?;
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_timer(TokioTimer::new())
        .build(http1(tls, target.timeouts.connect)))
}

/// What opens connections for HTTP/1.1 alone, and for whichever of it and HTTP/2 the host prefers (by ALPN).
///
/// # Errors
/// One sentence on what is wrong with the roots of trust.
pub fn connectors(host: &BaseUrl, ca_file: Option<&Path>, timeout: Duration) -> Result<[Connector; 2], String> {
    let tls = tls(host.https, ca_file)?;
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
    Ok([http1(tls, timeout), builder.enable_all_versions().wrap_connector(Road::new(timeout))])
}

fn http1(tls: rustls::ClientConfig, timeout: Duration) -> Connector {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    builder.enable_http1().wrap_connector(Road::new(timeout))
}

fn tls(is_used: bool, ca_file: Option<&Path>) -> Result<rustls::ClientConfig, String> {
    // Reading the system's roots takes milliseconds, which a plain loopback host need not pay.
    let roots = if is_used { roots(ca_file)? } else { RootCertStore::empty() };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured) and those of `ca_file`.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca_file {
        let unreadable = |error: &dyn std::fmt::Display| format!("ca_file {}: {error}", path.display());
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
        if roots.len() == before {
            return Err(unreadable(&"holds no certificate"));
        }
    }
    if roots.is_empty() {
        return Err(
            "no roots of trust: the system has no CA certificates (install ca-certificates, or set ca_file)".into()
        );
    }
    Ok(roots)
}

/// The way to a host that is spoken to in something else than HTTP, and never through a proxy.
#[derive(Clone)]
pub struct Wire {
    http: HttpConnector,
    place: Uri,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Bytes to and fro.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Wire {
    /// The way to `host` (IPv6 without brackets), which has to prove that it is called so where TLS is spoken.
    ///
    /// # Errors
    /// One sentence on what is wrong with the host or the roots of trust.
    pub fn new(host: &str, port: u16, is_tls: bool, ca_file: Option<&Path>) -> Result<Wire, String> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        // A peer that vanished is noticed within half a minute, also where nothing is said.
        http.set_keepalive(Some(Duration::from_secs(15)));
        http.set_keepalive_interval(Some(Duration::from_secs(5)));
        http.set_keepalive_retries(Some(3));
        let unusable = |error: &dyn std::fmt::Display| format!("the host {host} cannot be used: {error}");
        let brackets = if host.contains(':') { ("[", "]") } else { ("", "") };
        let place = format!("tcp://{}{host}{}:{port}/", brackets.0, brackets.1);
        let place = place.parse().map_err(|error: http::uri::InvalidUri| unusable(&error))?;
        let tls = match is_tls {
            false => None,
            true => {
                let name = ServerName::try_from(host.to_owned()).map_err(|error| unusable(&error))?;
                Some((TlsConnector::from(Arc::new(tls(true, ca_file)?)), name))
            }
        };
        Ok(Wire { http, place, tls })
    }

    /// A new connection. Resolving, connecting and TLS take as long as they do.
    ///
    /// # Errors
    /// Of any of these; [`is_tls`] tells.
    pub async fn open(&self) -> Result<Box<dyn Stream>, Box<dyn std::error::Error + Send + Sync>> {
        let tcp = self.http.clone().call(self.place.clone()).await?.into_inner();
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), tcp).await?)),
        }
    }
}

/// Whether TLS is what an error is about.
pub fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    // An io::Error does not name what it wraps as its source, and here one may wrap another.
    sources(error).any(|cause| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        cause.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner))
    })
}

/// An error and what is behind it.
pub fn sources<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// Straight to the vendor, or through the proxy that `HTTPS_PROXY` and `NO_PROXY` name.
#[derive(Clone)]
pub struct Road {
    http: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Road {
    fn new(timeout: Duration) -> Road {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(timeout));
        Road { http, proxies: Arc::new(Matcher::from_env()) }
    }
}

type Arrival = Result<TokioIo<TcpStream>, Box<dyn std::error::Error + Send + Sync>>;

impl tower_service::Service<Uri> for Road {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Arrival> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        // Plain http is for loopback and for those who asked for it: never through a proxy.
        let https = target.scheme_str() == Some("https");
        let proxy = https.then(|| self.proxies.intercept(&target)).flatten();
        let mut http = self.http.clone();
        Box::pin(async move {
            match proxy {
                None => Ok(http.call(target).await?),
                Some(proxy) => {
                    let tunnel = Tunnel::new(proxy.uri().clone(), http);
                    let mut tunnel = match proxy.basic_auth() {
                        Some(auth) => tunnel.with_auth(auth.clone()),
                        None => tunnel,
                    };
                    Ok(tunnel.call(target).await?)
                }
            }
        })
    }
}
