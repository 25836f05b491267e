//! Certificates of a test's own, and clients that show or ask for them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::PATIENCE;
use super::http::Wire;

/// Somebody who issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
    /// What the audit trail calls it.
    pub fingerprint: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// What others trust it by.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server on this machine.
    pub fn server(&self) -> Issued {
        self.issue("sidemint", ExtendedKeyUsagePurpose::ServerAuth, |_| ())
    }

    /// For a client.
    pub fn client(&self, name: &str) -> Issued {
        self.issue(name, ExtendedKeyUsagePurpose::ClientAuth, |_| ())
    }

    /// For a client of the past.
    pub fn expired_client(&self) -> Issued {
        self.issue("late", ExtendedKeyUsagePurpose::ClientAuth, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        })
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose, change: impl Fn(&mut CertificateParams)) -> Issued {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
        let mut params = CertificateParams::new(names).expect("names of this machine");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
        let fingerprint = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), fingerprint }
    }
}

/// A client of TLS.
pub struct TlsClient(ClientConfig);

impl TlsClient {
    /// Who trusts this authority, speaks these versions, and shows this certificate.
    pub fn new(
        trusts: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        shows: Option<&Issued>,
    ) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(trusts.0.der().clone()).expect("it is an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .expect("versions that there are")
            .with_root_certificates(roots);
        TlsClient(match shows {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let chain = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(vec![chain], key).expect("they belong together")
            }
        })
    }

    /// The usual one.
    pub fn of(trusts: &Authority) -> TlsClient {
        TlsClient::new(trusts, rustls::ALL_VERSIONS, None)
    }

    /// Offers these protocols above TLS.
    pub fn offering(mut self, protocols: &[&str]) -> TlsClient {
        self.0.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Connects. The handshake comes with the first words.
    pub fn to(&self, address: SocketAddr) -> Wire {
        Wire::over(self.stream(address))
    }

    /// The certificate that the server shows, in DER; none if it is not one to trust.
    pub fn sees(&self, address: SocketAddr) -> Option<Vec<u8>> {
        let mut stream = self.stream(address);
        stream.conn.complete_io(&mut stream.sock).ok()?;
        Some(stream.conn.peer_certificates()?.first()?.to_vec())
    }

    /// How a connection began that this is said on, and all of whose answer is read: tickets come with it.
    pub fn handshake(&self, address: SocketAddr, bytes: &str) -> Option<HandshakeKind> {
        let mut stream = self.stream(address);
        stream.write_all(bytes.as_bytes()).ok()?;
        stream.read_to_end(&mut Vec::new()).ok()?;
        stream.conn.handshake_kind()
    }

    fn stream(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::IpAddress(address.ip().into());
        let connection = ClientConnection::new(Arc::new(self.0.clone()), name).expect("a name to look for");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        StreamOwned::new(connection, stream)
    }
}

impl Issued {
    /// As it goes over the wire.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM").to_vec()
    }
}
