//! Who is at the other end of a connection, as far as the kernel and TLS say so.

use std::net::IpAddr;

use super::secret::ShortHex;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is from.
    pub origin: Origin,
    /// The fingerprint (SHA-256) of the certificate that it proved to be the owner of.
    pub certificate: Option<ShortHex>,
}

/// Where a connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An address.
    Address(IpAddr),
    /// A user of this machine, by the kernel's word.
    User(u32),
}

impl Peer {
    /// Somebody at an address.
    pub fn at(address: IpAddr) -> Peer {
        Peer { origin: Origin::Address(address), certificate: None }
    }

    /// Whether it is on our loopback: that of the machine, or of the pod.
    pub fn is_beside_us(self) -> bool {
        match self.origin {
            Origin::Address(address) => address.to_canonical().is_loopback(),
            Origin::User(_) => true,
        }
    }

    /// A user of this machine.
    pub fn user(uid: u32) -> Peer {
        Peer { origin: Origin::User(uid), certificate: None }
    }
}
