//! Where the token API listens: an address, or a socket in the file system.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What stands before the path of a socket.
const UNIX: &str = "unix:";
/// The kernel's `sun_path` has 108 bytes, of which the last ends the text (unix(7)).
const LONGEST: usize = 107;

/// Where callers find us.
#[derive(Clone, PartialEq, Eq)]
pub enum Listen {
    /// Over TCP.
    Tcp(SocketAddr),
    /// By a path of the file system.
    Unix(PathBuf),
}

impl Listen {
    /// The address, where it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) => None,
        }
    }

    /// The path, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Listen::Tcp(_) => None,
            Listen::Unix(path) => Some(path),
        }
    }

    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        self.tcp().is_none_or(|address| address.ip().is_loopback())
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return check_path(path)
                .map(|()| Listen::Unix(path.into()))
                .map_err(|wrong| format!("`{}` {wrong}", text.escape_debug()));
        }
        let address = match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port))),
            None => text.parse().ok(),
        };
        address
            .map(Listen::Tcp)
            .ok_or_else(|| format!("`{text}` is not an address such as 127.0.0.1:8190 or [::1]:8190"))
    }
}

/// What shows without a look at the file system.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.starts_with('@') || path.contains('\0') {
        // No file mode guards such a name: whoever shares the network namespace may connect.
        return Err(
            "is an abstract name, which anybody may connect to: give a path such as unix:/run/sidemint/api.sock",
        );
    }
    if !path.starts_with('/') {
        return Err("is not absolute: give a path such as unix:/run/sidemint/api.sock");
    }
    if path.ends_with('/') {
        return Err("is the path of a folder: give that of a socket in it");
    }
    if path.len() > LONGEST {
        return Err("is over 107 bytes, which no socket's path may be");
    }
    Ok(())
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// As it is written in the config: the log shows it to people.
impl std::fmt::Debug for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_path_are_read_as_they_are_written() {
        for text in ["127.0.0.1:8190", "[::1]:0", "0.0.0.0:1", "unix:/run/sidemint/api.sock", "unix:/a b/ü.sock"] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!((listen.to_string(), format!("{listen:?}")), (text.to_owned(), text.to_owned()));
        }
        assert_eq!("localhost:80".parse::<Listen>().unwrap().to_string(), "127.0.0.1:80");
        let is_local = |text: &str| text.parse::<Listen>().unwrap().is_local();
        assert!(is_local("unix:/s") && is_local("127.0.0.9:1") && is_local("[::1]:1"));
        assert!(!is_local("0.0.0.0:1") && !is_local("[::]:1") && !is_local("10.0.0.1:1"));
    }

    #[test]
    fn t6_a_path_that_is_none_is_refused_by_its_text() {
        let long = |length: usize| format!("unix:/{}", "x".repeat(length - 1));
        for (text, says) in [
            ("unix:api.sock", "not absolute"),
            ("unix:./api.sock", "not absolute"),
            ("unix:", "not absolute"),
            ("unix:@sidemint", "abstract"),
            ("unix:\0sidemint", "abstract"),
            ("unix:/run/\0x", "abstract"),
            ("unix:/run/", "folder"),
            (&long(108), "over 107 bytes"),
            ("/run/api.sock", "not an address"),
            ("UNIX:/run/api.sock", "not an address"),
            ("nonsense", "not an address"),
        ] {
            let error = text.parse::<Listen>().unwrap_err();
            assert!(error.contains(says) && !error.contains('\0'), "{text:?}: {error}");
        }
        assert!(long(107).parse::<Listen>().is_ok());
    }
}
