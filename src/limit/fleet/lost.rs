//! Why there is no answer, or no connection: no word of the server's but its error code, and no secret.

use std::fmt::{Display, Formatter, Result};

use redis::{ErrorKind, RedisError};

use crate::telemetry::metrics::FleetOutcome;

/// The first word of an error of Redis, such as `NOPERM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCode(Box<str>);

impl ErrorCode {
    /// What is no such word becomes `ERR`: the rest of an error may quote what it was sent.
    pub fn new(word: &str) -> ErrorCode {
        let is_code = (1..=32).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase());
        ErrorCode(if is_code { word } else { "ERR" }.into())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether who we are, or what we may, is what it is about.
    fn is_denial(&self) -> bool {
        matches!(&*self.0, "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED")
    }

    /// Whether this server will not do, and another connection may lead to one that does.
    fn wants_another(&self) -> bool {
        matches!(&*self.0, "READONLY" | "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "NOAUTH")
    }
}

impl Display for ErrorCode {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.0)
    }
}

/// Why a call was without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// None came in time. The script may have run all the same, or may yet.
    Timeout,
    /// There is no connection, so that nothing was sent.
    Connect,
    /// The connection broke. The script may have run all the same.
    Broken,
    /// Redis does not take us, or does not let us do this.
    Denied(ErrorCode),
    /// Redis could not do this.
    Server(ErrorCode),
    /// The answer is no list of integers.
    Malformed,
}

impl Lost {
    /// As it is counted.
    pub(super) fn outcome(&self) -> FleetOutcome {
        match self {
            Lost::Timeout => FleetOutcome::Timeout,
            Lost::Connect | Lost::Broken => FleetOutcome::Connect,
            Lost::Denied(_) => FleetOutcome::Denied,
            Lost::Server(_) | Lost::Malformed => FleetOutcome::ServerError,
        }
    }

    /// Whether the connection should not be used again.
    pub(super) fn breaks_connection(&self) -> bool {
        match self {
            Lost::Timeout | Lost::Connect | Lost::Broken | Lost::Malformed => true,
            Lost::Denied(code) | Lost::Server(code) => code.wants_another(),
        }
    }
}

impl Display for Lost {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Lost::Timeout => f.write_str("no answer in time"),
            Lost::Connect => f.write_str("no connection"),
            Lost::Broken => f.write_str("the connection broke"),
            Lost::Denied(code) if code.as_str() == "NOPERM" => {
                write!(f, "the ACL does not let its user do this ({code}): see README, \"One limit for all replicas\"")
            }
            Lost::Denied(code) => write!(f, "it does not let us in ({code}): see fleet.password_file"),
            Lost::Server(code) => write!(f, "it answers with an error ({code})"),
            Lost::Malformed => f.write_str("what answers is no Redis, or another script"),
        }
    }
}

impl From<&RedisError> for Lost {
    fn from(error: &RedisError) -> Lost {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                let code = ErrorCode::new(error.code().unwrap_or_default());
                // In a script a denial is an error of the script (Redis 7: ERR; see `script.c`, `scriptCall`).
                let in_script = error.detail().is_some_and(|text| text.contains("can't run this command"));
                match code {
                    _ if in_script => Lost::Denied(ErrorCode::new("NOPERM")),
                    code if code.is_denial() => Lost::Denied(code),
                    code => Lost::Server(code),
                }
            }
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Lost::Malformed,
            _ => Lost::Broken,
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// On the way: name or TCP.
    Road(String),
    /// In the handshake of TLS.
    Tls(String),
    /// All of it took too long.
    Timeout,
    /// The server closed the connection, or said what no Redis says.
    NoRedis,
    /// A connection broke before anything was answered on it.
    NoAnswer,
    /// The password's file cannot be read.
    Password,
    /// An error in answer to `AUTH`.
    Auth(ErrorCode),
    /// An error in answer to `SELECT`.
    Select(ErrorCode),
    /// An error in answer to what comes first besides.
    Refused(ErrorCode),
}

impl Trouble {
    /// What a call is told meanwhile.
    pub(super) fn lost(&self) -> Lost {
        match self {
            Trouble::Auth(code) => Lost::Denied(code.clone()),
            Trouble::Select(code) | Trouble::Refused(code) if code.is_denial() => Lost::Denied(code.clone()),
            Trouble::Select(code) | Trouble::Refused(code) => Lost::Server(code.clone()),
            Trouble::Road(_) | Trouble::Tls(_) | Trouble::Timeout => Lost::Connect,
            Trouble::NoRedis | Trouble::NoAnswer | Trouble::Password => Lost::Connect,
        }
    }
}

impl Display for Trouble {
    /// With what to change.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Trouble::Road(why) => write!(f, "no connection: {why}"),
            Trouble::Tls(why) if why.contains("CertificateRequired") => f.write_str(
                "Redis asks for a client's certificate, which is not supported: set `tls-auth-clients no` there, and a password",
            ),
            Trouble::Tls(why) => write!(f, "{why}; see fleet.ca_file and the host in fleet.redis_url"),
            Trouble::Timeout => f.write_str("no answer in time; where fleet.redis_url is rediss://, does Redis speak TLS there?"),
            Trouble::NoAnswer => f.write_str("the connection broke before anything was answered"),
            Trouble::Password => f.write_str("the password cannot be read: see fleet.password_file"),
            Trouble::NoRedis => f.write_str(
                "the connection was closed before an answer, or what answers is no Redis; where fleet.redis_url is redis://, does \
                 it want TLS?",
            ),
            Trouble::Auth(code) | Trouble::Select(code) | Trouble::Refused(code) if code.as_str() == "DENIED" => {
                write!(
                    f,
                    "Redis lets in nobody from elsewhere ({code}): give it a password, and name it in fleet.password_file"
                )
            }
            Trouble::Auth(code) if code.as_str() == "WRONGPASS" => write!(
                f,
                "Redis refuses the password ({code}): see fleet.password_file, and the user in fleet.redis_url"
            ),
            Trouble::Auth(code) if code.as_str() == "ERR" => write!(
                f,
                "Redis refuses AUTH ({code}): it asks for no password, so leave fleet.password_file out or give it one"
            ),
            Trouble::Auth(code) => write!(f, "Redis refuses AUTH ({code})"),
            Trouble::Select(code) | Trouble::Refused(code) if code.as_str() == "NOAUTH" => {
                write!(f, "Redis asks for a password ({code}): name its file with fleet.password_file")
            }
            Trouble::Select(code) if code.as_str() == "NOPERM" => {
                write!(
                    f,
                    "the ACL does not let the user choose the database ({code}): grant +select, or use database 0"
                )
            }
            Trouble::Select(code) => {
                write!(f, "Redis has no such database ({code}): see the number at the end of fleet.redis_url")
            }
            Trouble::Refused(code) => write!(f, "Redis answers with an error ({code})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_error_nothing_but_a_code_is_kept() {
        for (word, code) in [("NOPERM", "NOPERM"), ("", "ERR"), ("dose1", "ERR"), ("NO PERM", "ERR"), ("É", "ERR")] {
            assert_eq!(ErrorCode::new(word).as_str(), code);
        }
        assert_eq!(ErrorCode::new(&"A".repeat(33)).as_str(), "ERR");
    }

    #[test]
    fn a_call_that_found_a_server_of_no_use_looks_for_another() {
        let server = |word| Lost::Server(ErrorCode::new(word));
        for word in ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN"] {
            assert!(server(word).breaks_connection(), "{word}");
        }
        for word in ["ERR", "OOM", "BUSY", "MISCONF", "MOVED"] {
            assert!(!server(word).breaks_connection(), "{word}: another connection leads to the same");
        }
        assert!(Lost::Timeout.breaks_connection() && Lost::Broken.breaks_connection());
        assert!(!Lost::Denied(ErrorCode::new("NOPERM")).breaks_connection());
        assert!(Lost::Denied(ErrorCode::new("NOAUTH")).breaks_connection(), "the next one shows the password anew");
    }
}
