//! TLS of the emulator: an authority and a server certificate, made anew at each start and kept in memory only.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::server::H2;

/// The names of this machine, and those of the vendor that some clients have built in: a test leads them here with a
/// resolver of its own. It is harmless: nobody trusts the authority who was not told to.
const NAMES: [&str; 6] =
    ["localhost", "127.0.0.1", "::1", "login.microsoftonline.com", "api.powerbi.com", "app.powerbi.com"];

/// A ready acceptor and the authority that clients have to trust.
pub(super) struct Tls {
    pub acceptor: TlsAcceptor,
    pub ca_pem: String,
}

/// Makes an authority, a certificate for [`NAMES`], and an acceptor with both, which may speak HTTP/2.
pub(super) fn make(http2: bool) -> io::Result<Tls> {
    let authority = authority().map_err(io::Error::other)?;
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let leaf = leaf().and_then(|params| params.signed_by(&key, &authority)).map_err(io::Error::other)?;
    let chain = vec![leaf.der().clone(), authority.der().clone()];
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // The provider is passed, not installed: a process-wide default belongs to the program, not to a fake in it.
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(io::Error::other)?;
    if http2 {
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    }
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem: authority.pem() })
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Sidemint emulator authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// Clients differ in what they insist on; a server certificate with `serverAuth` (RFC 5280 section 4.2.1.12), a key
/// usage and an authority key identifier satisfies all of them.
fn leaf() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(NAMES.map(str::to_owned).to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "Sidemint emulator");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
