//! TLS of the token port (RFC 8446, and RFC 5246 for clients that have no better).
//!
//! What it shows and asks for is made anew when the files change; connections keep what they began with. Each such
//! [`Identity`] has tickets of its own, so that nobody resumes what was agreed under another one.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;
use crate::model::secret::{ShortHex, sha256};

/// A connection after its handshake.
pub(super) type Stream = tokio_rustls::server::TlsStream<TcpStream>;

/// Gives the identity of the moment.
pub type Identities = Arc<dyn Fn() -> Option<Arc<Identity>> + Send + Sync>;

/// What a listener shows and asks for.
pub struct Identity(Arc<ServerConfig>);

impl Identity {
    /// Makes one of PEM texts, those of [`Tls`] in the same order.
    ///
    /// # Errors
    /// One sentence that names the file, without a word of its content.
    pub fn new<T: AsRef<str>>(files: &Tls, texts: &[T]) -> Result<Identity, String> {
        let text = |at: usize| texts.get(at).map(AsRef::as_ref).unwrap_or_default().as_bytes();
        let chain =
            certificates(text(0)).map_err(|wrong| format!("cert_file {}: {wrong}", files.cert_file.display()))?;
        let key = PrivateKeyDer::from_pem_slice(text(1))
            .map_err(|_| format!("key_file {}: holds no private key in PEM", files.key_file.display()))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let verifier = match &files.client_ca_file {
            None => None,
            Some(path) => {
                Some(verifier(text(2)).map_err(|wrong| format!("client_ca_file {}: {wrong}", path.display()))?)
            }
        };
        let asks = verifier.is_some();
        let builder = builder.with_client_cert_verifier(verifier.unwrap_or_else(WebPkiClientVerifier::no_client_auth));
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| format!("key_file {} with this cert_file: {error}", files.key_file.display()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if asks {
            // Who resumes shows no certificate again, and it may have expired meanwhile.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Identity(Arc::new(config)))
    }

    /// Shakes hands, and says whose certificate the other side has, if one was asked for. What goes wrong is the other
    /// side's doing, and its words do not go into our log.
    pub(super) async fn greet(
        &self,
        stream: TcpStream,
        within: Duration,
    ) -> Result<(Stream, Option<ShortHex>), NoGuest> {
        let handshake = TlsAcceptor::from(Arc::clone(&self.0)).accept(stream);
        let stream = match tokio::time::timeout(within, handshake).await {
            Ok(Ok(stream)) => stream,
            failed => {
                tracing::debug!("a TLS handshake failed");
                let is_unproved =
                    failed.is_ok_and(|result| result.is_err_and(|error| is_about_their_certificate(&error)));
                return Err(if is_unproved { NoGuest::Unproved } else { NoGuest::Noise });
            }
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let fingerprint = certificate.map(|certificate| ShortHex::of(&sha256(certificate)));
        Ok((stream, fingerprint))
    }
}

/// Why somebody is not let in.
pub(super) enum NoGuest {
    /// They have shown no certificate, or one that proves nothing.
    Unproved,
    /// They have not finished, or speak no TLS that we do.
    Noise,
}

fn is_about_their_certificate(error: &std::io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or("holds no certificate in PEM, or part of one")
}

fn verifier(pem: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem)? {
        roots.add(authority).map_err(|_| "holds a certificate that is no authority's")?;
    }
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| error.to_string())
}
