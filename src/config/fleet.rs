//! The replicas that share one load limit, and the Redis in which it is kept.

use std::path::PathBuf;

use super::SecretRef;

/// `fleet`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Where its Redis is.
    pub address: RedisAddress,
    /// Of `address.user`, or of the server where no user is named.
    pub password: Option<SecretRef>,
    /// More roots to trust.
    pub ca_file: Option<PathBuf>,
    /// Each keeps to its share while Redis is out of reach.
    pub replicas: u32,
}

/// A Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// A name or an address, in lower case; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Whom the ACL knows.
    pub user: Option<String>,
    /// The number of the database.
    pub database: i64,
}

impl RedisAddress {
    /// Whether nobody but this machine sees what is said.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }

    /// Host and port as they stand in a URL.
    pub fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl std::fmt::Display for RedisAddress {
    /// Without the user, who is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "redis{}://{}/{}", if self.tls { "s" } else { "" }, self.authority(), self.database)
    }
}

impl Fleet {
    /// What an operator should know who may not have meant it.
    pub fn caution(&self) -> Option<&'static str> {
        (self.password.is_some() && !self.address.tls && !self.address.is_loopback()).then_some(
            "fleet.redis_url is redis:// beyond loopback: the password goes over the network in the clear, and whoever \
             is on the way can change the limit; use rediss://",
        )
    }
}
