//! One connection: how it is made, what is seen of the server then, and the script over it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError, ServerErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::{CancellationToken, DropGuard};
use zeroize::Zeroizing;

use super::lost::{ErrorCode, Lost, Trouble};
use super::wire::Arg;
use crate::config::{Fleet, RedisAddress};
use crate::lifecycle::Tasks;
use crate::secrets::SecretLease;
use crate::upstream::{Stream, Wire, is_tls, sources};

/// For name, TCP, TLS, password and first questions.
const CONNECT: Duration = Duration::from_secs(1);
/// Calls that have yet to be written out; beyond that they queue up for it, each until its deadline.
const UNWRITTEN: usize = 256;
/// No answer to `AUTH` is longer.
const MAX_REPLY: usize = 512;

const SCRIPT: &str = include_str!("limit.lua");
/// By which the server knows the script. SHA-1 is its choice, and nothing rests on it here.
static SCRIPT_DIGEST: LazyLock<String> = LazyLock::new(|| {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
});

/// Where, and as whom.
pub(super) struct Target {
    wire: Wire,
    address: RedisAddress,
    password: Option<SecretLease>,
}

/// An open connection. Those who hold it can finish what they began on it, also when it is said to be broken.
pub struct Link {
    connection: MultiplexedConnection,
    /// The process that answers: another one has forgotten what was not on its disk.
    run: String,
    /// What was seen of it.
    pub seen: Seen,
    answered: AtomicBool,
    broken: CancellationToken,
    _hang_up: DropGuard,
}

/// What was seen of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Why `INFO` told nothing, if it did not.
    pub untold: Option<ErrorCode>,
    /// Under which policy what is kept may be dropped when memory is short, if it may.
    pub evicts: Option<String>,
}

impl Target {
    pub(super) fn new(fleet: &Fleet, password: Option<SecretLease>) -> Result<Target, String> {
        let address = fleet.address.clone();
        let wire = Wire::new(&address.host, address.port, address.tls, fleet.ca_file.as_deref());
        Ok(Target { wire: wire.map_err(|error| format!("fleet: {error}"))?, address, password })
    }

    /// A new connection. Its driver is a task of the runtime on which this is called; calls may come from others.
    pub(super) async fn open(&self, tasks: &Tasks) -> Result<Link, Trouble> {
        tokio::time::timeout(CONNECT, self.handshake(tasks)).await.unwrap_or(Err(Trouble::Timeout))
    }

    async fn handshake(&self, tasks: &Tasks) -> Result<Link, Trouble> {
        let mut stream = self.wire.open().await.map_err(|error| of_road(&*error))?;
        if let Some(lease) = &self.password {
            // As its file has it now: this may be the reconnect after a rotation.
            let password = lease.latest().await.map_err(|_| Trouble::Password)?;
            authenticate(&mut stream, self.address.user.as_deref(), password.expose()).await?;
        }
        let (mut connection, broken, hang_up) = drive(stream, tasks).await?;
        if self.address.database != 0 {
            let chosen = redis::cmd("SELECT").arg(self.address.database).query_async::<()>(&mut connection).await;
            chosen.map_err(|error| of_answer(&error, Trouble::Select))?;
        }
        let (run, seen) = match redis::cmd("INFO").query_async::<String>(&mut connection).await {
            Ok(info) => (run_of(&info), Seen { untold: None, evicts: evicts(&info) }),
            Err(error) => match of_answer(&error, Trouble::Refused) {
                // Kept from us, or renamed: the limit can do without.
                Trouble::Refused(code) if matches!(code.as_str(), "NOPERM" | "ERR") => {
                    (String::new(), Seen { untold: Some(code), evicts: None })
                }
                trouble => return Err(trouble),
            },
        };
        Ok(Link { connection, run, seen, answered: AtomicBool::new(false), broken, _hang_up: hang_up })
    }
}

impl Seen {
    /// What an operator should know who may not have meant it.
    pub fn cautions(&self) -> Vec<String> {
        let untold = self.untold.as_ref().map(|code| {
            format!(
                "the fleet's Redis does not tell about itself ({code}), so that a restart or failover of it is not noticed, \
                 after which more loads may start than allowed: grant +info"
            )
        });
        let evicts = self.evicts.as_ref().map(|policy| {
            format!(
                "the fleet's Redis drops what it keeps when memory is short (maxmemory-policy {policy}), and the count of \
                 loads with it: set noeviction"
            )
        });
        untold.into_iter().chain(evicts).collect()
    }
}

/// Hands the stream to the driver, which ends when the server closes it or when nobody holds the guard any more.
async fn drive(
    stream: Box<dyn Stream>,
    tasks: &Tasks,
) -> Result<(MultiplexedConnection, CancellationToken, DropGuard), Trouble> {
    // Without its own timeouts, which would be others than ours, and without its greeting, which some ACLs deny.
    let info = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let made = MultiplexedConnection::new_with_config(&info, stream, config.set_pipeline_buffer_size(UNWRITTEN)).await;
    let (connection, driver) = made.map_err(|error| of_answer(&error, Trouble::Refused))?;
    let (hang_up, broken) = (CancellationToken::new(), CancellationToken::new());
    let (told, ended) = (hang_up.clone(), broken.clone().drop_guard());
    tasks.background(async move {
        let _ended = ended;
        tokio::select! {
            () = driver => {}
            () = told.cancelled() => {}
        }
    });
    Ok((connection, broken, hang_up.drop_guard()))
}

impl Link {
    /// Runs the script. Cancelling this does not keep Redis from running it.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn run(&self, key: &str, args: &[Arg<'_>]) -> Result<Vec<i64>, Lost> {
        let answer = match self.evaluate("EVALSHA", &SCRIPT_DIGEST, key, args).await {
            // Restarted, flushed, failed over: once told, it knows the script again.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.evaluate("EVAL", SCRIPT, key, args).await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| Lost::from(&error))?;
        self.answered.store(true, Ordering::Relaxed);
        Ok(answer)
    }

    async fn evaluate(&self, command: &str, script: &str, key: &str, args: &[Arg<'_>]) -> Result<Vec<i64>, RedisError> {
        let mut command = redis::cmd(command);
        command.arg(script).arg(1).arg(key).arg(&self.run);
        for arg in args {
            match arg {
                Arg::Text(text) => command.arg(text),
                Arg::Number(number) => command.arg(number),
            };
        }
        command.query_async(&mut self.connection.clone()).await
    }

    /// Keeps others from beginning anything on it.
    pub(super) fn break_off(&self) {
        self.broken.cancel();
    }

    /// Whether the script ever ran on it.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_cancelled()
    }

    /// Waits until it is closed by the server, or given up by a caller.
    pub(super) async fn broken(&self) {
        self.broken.cancelled().await;
    }
}

/// Shows the password. Not by the client's own hand, which keeps copies that are never wiped.
async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    user: Option<&str>,
    password: &str,
) -> Result<(), Trouble> {
    let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
    // With room for all of it: growing would leave a copy behind.
    let room = words.iter().map(|word| word.len() + 32).sum();
    let mut request = Zeroizing::new(Vec::with_capacity(room));
    request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    let exchange = async {
        stream.write_all(&request).await?;
        stream.flush().await?;
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n") && reply.len() < MAX_REPLY && stream.read_buf(&mut reply).await? > 0 {}
        Ok(reply)
    };
    let reply = exchange
        .await
        .map_err(|error: std::io::Error| if is_tls(&error) { of_road(&error) } else { Trouble::NoRedis })?;
    if reply == b"+OK\r\n" {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&reply);
    let error = text.strip_prefix('-').filter(|text| text.ends_with("\r\n")).ok_or(Trouble::NoRedis)?;
    Err(Trouble::Auth(ErrorCode::new(error.split_whitespace().next().unwrap_or_default())))
}

fn of_road(error: &(dyn std::error::Error + 'static)) -> Trouble {
    // The innermost one says why, those around it where.
    let why = sources(error).last().map(ToString::to_string).unwrap_or_default();
    if is_tls(error) { Trouble::Tls(why) } else { Trouble::Road(why) }
}

fn of_answer(error: &RedisError, refused: impl Fn(ErrorCode) -> Trouble) -> Trouble {
    match Lost::from(error) {
        Lost::Denied(code) | Lost::Server(code) => refused(code),
        // A server that wants a client's certificate says so after the handshake. The client hides what is behind
        // its errors, but not their text.
        Lost::Broken if error.to_string().contains("alert") => Trouble::Tls(error.to_string()),
        _ => Trouble::NoRedis,
    }
}

fn run_of(info: &str) -> String {
    let run = field(info, "run_id").unwrap_or_default();
    let is_run = run.len() <= 64 && run.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_run { run.to_owned() } else { String::new() }
}

fn evicts(info: &str) -> Option<String> {
    let is_bounded = field(info, "maxmemory").is_some_and(|bytes| bytes != "0");
    let policy = field(info, "maxmemory_policy").filter(|policy| is_bounded && *policy != "noeviction")?;
    let is_word = policy.len() <= 32 && policy.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    Some(if is_word { policy } else { "unknown" }.to_owned())
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:c0ffee\r\n\r\n# Memory\r\nmaxmemory:1000\r\n\
                        maxmemory_human:1000B\r\nmaxmemory_policy:allkeys-lru\r\n";

    #[test]
    fn what_matters_of_the_server_is_seen() {
        assert_eq!((run_of(INFO).as_str(), evicts(INFO).as_deref()), ("c0ffee", Some("allkeys-lru")));
        assert_eq!(evicts(&INFO.replace("allkeys-lru", "noeviction")), None);
        assert_eq!(evicts(&INFO.replace("maxmemory:1000", "maxmemory:0")), None, "nothing is short");
        assert_eq!((run_of(""), evicts("")), (String::new(), None));
        assert_eq!(run_of("run_id:a b\r\n"), "");
    }

    async fn answered(reply: &'static [u8]) -> (Result<(), Trouble>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        let server = async {
            let mut asked = vec![0; 1024];
            let length = theirs.read(&mut asked).await.unwrap();
            asked.truncate(length);
            theirs.write_all(reply).await.unwrap();
            drop(theirs);
            asked
        };
        tokio::join!(authenticate(&mut ours, Some("ann"), "dose1"), server)
    }

    #[tokio::test]
    async fn a_password_is_shown_once_and_never_told() {
        let (shown, asked) = answered(b"+OK\r\n").await;
        assert_eq!((shown, asked.as_slice()), (Ok(()), &b"*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$5\r\ndose1\r\n"[..]));
        for (reply, trouble) in [
            (&b"-WRONGPASS invalid username-password pair dose1\r\n"[..], Trouble::Auth(ErrorCode::new("WRONGPASS"))),
            (b"-ERR AUTH dose1 called without\r\n", Trouble::Auth(ErrorCode::new("ERR"))),
            (b"-dose1\r\n", Trouble::Auth(ErrorCode::new("ERR"))),
            (b"-\r\n", Trouble::Auth(ErrorCode::new("ERR"))),
            (b"HTTP/1.1 400 Bad Request\r\n", Trouble::NoRedis),
            (b"+OK\r\n+OK\r\n", Trouble::NoRedis),
            (b"-WRONGPA", Trouble::NoRedis),
            (b"", Trouble::NoRedis),
        ] {
            let (shown, _) = answered(reply).await;
            assert_eq!(shown, Err(trouble.clone()), "{reply:?}");
            assert!(!format!("{trouble} {trouble:?}").contains("dose1"));
        }
    }

    #[test]
    fn the_script_is_known_by_its_digest() {
        assert!(SCRIPT_DIGEST.len() == 40 && SCRIPT_DIGEST.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
