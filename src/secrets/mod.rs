//! Secrets from files and variables, leased like everything else: a file is read again every few
//! seconds, and what cannot be used (missing, empty, half written) leaves the old one in place.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::{Environment, SecretRef};
use crate::lease::{Keeper, Lease, Policy, Rhythm, Source, Want};
use crate::lifecycle::Tasks;
use crate::model::{Clock, Code, Fault, Lifetime, Moment, Secret};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Reading;

/// A file is in use at most so long after it changed. Polling, not watching: kubelet swaps a
/// directory's symlink, which a watch on the file does not see, and some file systems have no
/// events at all.
const POLL: Duration = Duration::from_secs(4);
/// How long a replaced caller secret is still good.
const OVERLAP: Duration = Duration::from_secs(60);
/// What is larger is no secret.
const MOST_BYTES: u64 = 64 << 10;

/// One secret of the config.
#[derive(Clone)]
pub struct SecretLease {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Fixed(Arc<Secret>),
    File { lease: Arc<Lease<SecretFile>>, keeper: Arc<Keeper<SecretFile>> },
}

/// Opens the secrets of a config.
#[derive(Clone)]
pub struct Vault {
    keeper: Arc<Keeper<SecretFile>>,
    metrics: Metrics,
    environment: Environment,
}

impl Vault {
    /// A vault whose files are polled from now on.
    pub fn new(clock: Clock, tasks: Tasks, metrics: Metrics, environment: Environment) -> Vault {
        let rhythm = Rhythm { floor: Duration::ZERO, idle: None, every: Some(POLL), deadline: Duration::from_secs(10) };
        Vault { keeper: Keeper::start(clock, tasks, rhythm), metrics, environment }
    }

    /// Opens the secret `name` (its key in the config).
    ///
    /// # Errors
    /// One sentence: a secret that is not there at the start is a mistake that should be seen.
    pub async fn open(&self, name: &str, reference: &SecretRef) -> Result<SecretLease, String> {
        let kind = match reference {
            SecretRef::Env(variable) => {
                let text = self.environment.get(variable);
                let text = text.ok_or_else(|| format!("{name}: the environment variable {variable} is not set"))?;
                Kind::Fixed(Arc::new(Secret::new(text.to_owned())))
            }
            SecretRef::File(path) => {
                let source = SecretFile {
                    name: name.to_owned(),
                    path: path.clone(),
                    metrics: self.metrics.clone(),
                    clock: self.keeper.clock().clone(),
                    previous: Mutex::new(None),
                    reread: AtomicU64::new(0),
                    bad: AtomicBool::new(false),
                };
                let lease = Lease::new(source);
                lease.ask(&self.keeper, &POLICY).await.map_err(|fault| fault.detail().to_owned())?;
                Kind::File { lease, keeper: Arc::clone(&self.keeper) }
            }
        };
        Ok(SecretLease { kind })
    }
}

impl SecretLease {
    /// A secret that is given in a test.
    #[cfg(test)]
    pub fn fixed(text: &str) -> SecretLease {
        SecretLease { kind: Kind::Fixed(Arc::new(Secret::new(text.into()))) }
    }

    /// The secret as last read. Never waits.
    ///
    /// # Errors
    /// Nothing was ever read, which [`Vault::open`] rules out.
    pub fn current(&self) -> Result<Arc<Secret>, Fault> {
        match &self.kind {
            Kind::Fixed(secret) => Ok(Arc::clone(secret)),
            Kind::File { lease, .. } => {
                let held = lease.held().ok_or_else(|| Fault::new(Code::Internal, "a secret was never read"))?;
                Ok(held.item)
            }
        }
    }

    /// The secrets that a caller may show: the present one and, for a minute, the one before, since
    /// the two sides of a rotation never read their files in the same instant.
    ///
    /// # Errors
    /// As [`SecretLease::current`].
    pub fn accepted(&self) -> Result<Vec<Arc<Secret>>, Fault> {
        let mut accepted = vec![self.current()?];
        if let Kind::File { lease, keeper } = &self.kind {
            let previous = lease.source().previous.lock().unwrap_or_else(PoisonError::into_inner);
            let recent = previous.as_ref().filter(|(_, since)| keeper.clock().now().since(*since) < OVERLAP);
            accepted.extend(recent.map(|(secret, _)| Arc::new(secret.clone())));
        }
        Ok(accepted)
    }

    /// The secret as it is in its file at this moment, if it has changed: for a caller who may
    /// have been faster. At most once a second, so that wrong callers cause no reading.
    pub async fn changed(&self) -> Option<Arc<Secret>> {
        let Kind::File { lease, keeper } = &self.kind else { return None };
        let second = keeper.clock().now().boot / 1_000_000_000;
        if lease.source().reread.swap(second, Ordering::Relaxed) == second {
            return None;
        }
        let held = self.current().ok()?;
        self.latest().await.ok().filter(|latest| !latest.same_as(&held))
    }

    /// The secret as it is in its file at this moment: for when the vendor just refused the one we
    /// had. What cannot be read leaves it as it was.
    ///
    /// # Errors
    /// As [`SecretLease::current`].
    pub async fn latest(&self) -> Result<Arc<Secret>, Fault> {
        if let Kind::File { lease, keeper } = &self.kind
            && let Ok(text) = lease.source().read().await
        {
            let held = self.current()?;
            let fresh = Secret::new(text);
            if fresh.same_as(&held) {
                return Ok(held);
            }
            lease.renew_now(keeper);
            return Ok(Arc::new(fresh));
        }
        self.current()
    }
}

/// Never judged by age: a secret is good until there is another one.
const POLICY: Policy = Policy { min_ttl: Duration::ZERO, asked: Duration::ZERO, stale_until: Duration::ZERO };

/// A file with a secret in it.
pub struct SecretFile {
    name: String,
    path: PathBuf,
    metrics: Metrics,
    clock: Clock,
    /// What was replaced, and when.
    previous: Mutex<Option<(Secret, Moment)>>,
    /// The second in which the file was last read out of turn.
    reread: AtomicU64,
    /// Whether the log knows that the file is bad; one line for each time it turns bad is enough.
    bad: AtomicBool,
}

impl SecretFile {
    async fn read(&self) -> Result<String, Fault> {
        let read = read_text(&self.path).await;
        let was_bad = self.bad.swap(read.is_err(), Ordering::Relaxed);
        read.map_err(|(reading, message)| {
            self.metrics.secret_read(&self.name, reading);
            if !was_bad {
                tracing::warn!(secret = %self.name, path = %self.path.display(), message, "a secret file cannot be used; what was read before, if anything, stays in use");
            }
            Fault::new(Code::CredentialsRejected, format!("{}: {}: {message}", self.name, self.path.display()))
        })
    }
}

impl Source for SecretFile {
    type Item = Secret;

    async fn fetch(&self, _: Want) -> Result<(Secret, Lifetime), Fault> {
        let secret = Secret::new(self.read().await?);
        Ok((secret, Lifetime::unbounded(self.clock.now())))
    }

    fn policy(&self) -> Policy {
        POLICY
    }

    fn arrived(&self, old: Option<&Secret>, new: &Secret) {
        if old.is_some_and(|old| !old.same_as(new)) {
            *self.previous.lock().unwrap_or_else(PoisonError::into_inner) =
                old.map(|old| (old.clone(), self.clock.now()));
            self.metrics.secret_read(&self.name, Reading::Ok);
            tracing::info!(secret = %self.name, "a secret has changed; the new one is in use");
        }
    }
}

/// Reads a small text file to its end, without the white space around it (a trailing newline is
/// the classic).
///
/// # Errors
/// What is wrong, for a metric and for people.
pub async fn read_text(path: &Path) -> Result<String, (Reading, String)> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<Zeroizing<String>> {
        let metadata = std::fs::metadata(&path)?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("is not a file"));
        }
        if metadata.len() > MOST_BYTES {
            return Err(std::io::Error::other("is over 64 KiB, which is no secret"));
        }
        let mut text = Zeroizing::new(String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
        std::fs::File::open(&path)?.take(MOST_BYTES).read_to_string(&mut text)?;
        Ok(text)
    });
    let text = read.await.map_err(|_| (Reading::Unreadable, "reading was interrupted".to_owned()))?;
    let text = text.map_err(|error| (Reading::Unreadable, error.to_string()))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err((Reading::Empty, "is empty".to_owned()));
    }
    if text.contains('\0') {
        return Err((Reading::Unreadable, "holds NUL bytes, so it is half written or no text".to_owned()));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        let environment = Environment::from([("SECRET", "from-env")]);
        Vault::new(Clock::system(), Tasks::new(), Metrics::new().unwrap(), environment)
    }

    #[tokio::test]
    async fn files_are_trimmed_and_variables_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "\u{feff}dose1\r\n").unwrap();
        let secret = vault().open("s", &SecretRef::File(file.path().into())).await.unwrap();
        assert_eq!(secret.current().unwrap().expose(), "dose1");
        let secret = vault().open("s", &SecretRef::Env("SECRET".into())).await.unwrap();
        assert_eq!(secret.current().unwrap().expose(), "from-env");
    }

    #[tokio::test]
    async fn a_missing_secret_is_an_error_that_names_it() {
        let error = vault().open("upstreams.a.auth", &SecretRef::File("/nowhere/x".into())).await.err().unwrap();
        assert!(error.contains("upstreams.a.auth") && error.contains("/nowhere/x"), "{error}");
        let error = vault().open("upstreams.a.auth", &SecretRef::Env("UNSET".into())).await.err().unwrap();
        assert!(error.contains("UNSET"), "{error}");
    }

    #[tokio::test]
    async fn row_38_the_latest_is_read_at_once_and_bad_content_changes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "old").unwrap();
        let secret = vault().open("s", &SecretRef::File(file.path().into())).await.unwrap();
        for bad in ["", "\n\n", "half\0"] {
            std::fs::write(&file, bad).unwrap();
            assert_eq!(secret.latest().await.unwrap().expose(), "old");
        }
        std::fs::write(&file, "new").unwrap();
        assert_eq!(secret.latest().await.unwrap().expose(), "new");
    }
}
