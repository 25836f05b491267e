//! Secrets from files and variables, leased like everything else: a file is read again every few
//! seconds, and what cannot be used (missing, empty, half written) leaves the old one in place.

mod expiry;
mod files;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::{Environment, SecretRef};
use crate::lease::{Keeper, Lease, Policy, Rhythm};
use crate::lifecycle::Tasks;
use crate::model::{Clock, Code, Fault, Secret};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{Reading, SecretMetrics};
use files::Files;
pub use files::{Text, read_text};

/// A file is in use at most so long after it changed. Polling, not watching: kubelet swaps a
/// directory's symlink, which a watch on the file does not see, and some file systems have no
/// events at all.
const POLL: Duration = Duration::from_secs(4);
/// How long a replaced caller secret is still good.
const OVERLAP: Duration = Duration::from_secs(60);
/// Never judged by age: a secret is good until there is another one.
const POLICY: Policy = Policy { min_ttl: Duration::ZERO, asked: Duration::ZERO, stale_until: Duration::ZERO };

/// One secret of the config.
#[derive(Clone)]
pub struct SecretLease {
    /// None: it is given in a test.
    metrics: Option<SecretMetrics>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Fixed(Arc<Secret>),
    File {
        file: Watched<Secret>,
        /// The second in which the file was last read out of turn.
        reread: Arc<AtomicU64>,
    },
}

/// Something that is made of files, and made anew when they change: a certificate with its key, a set of keys.
pub struct Watched<T: Send + Sync + 'static> {
    lease: Arc<Lease<Files<T>>>,
    keeper: Arc<Keeper<Files<T>>>,
}

impl<T: Send + Sync + 'static> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Watched { lease: Arc::clone(&self.lease), keeper: Arc::clone(&self.keeper) }
    }
}

/// Opens the secrets of a config.
#[derive(Clone)]
pub struct Vault {
    keeper: Arc<Keeper<Files<Secret>>>,
    clock: Clock,
    tasks: Tasks,
    metrics: Metrics,
    environment: Environment,
}

impl Vault {
    /// A vault whose files are polled from now on.
    pub fn new(clock: Clock, tasks: Tasks, metrics: Metrics, environment: Environment) -> Vault {
        Vault { keeper: keeper(&clock, &tasks), clock, tasks, metrics, environment }
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
                let make =
                    |texts: &[Text]| Ok(Secret::new(texts.first().map(|text| text.to_string()).unwrap_or_default()));
                let files = self.files(name, vec![path.clone()], make);
                let file = Watched::open(files, Arc::clone(&self.keeper)).await?;
                Kind::File { file, reread: Arc::default() }
            }
        };
        Ok(SecretLease { metrics: Some(self.metrics.secret(name)), kind })
    }

    /// Opens what `make` makes of these files, all of which belong to the key `name` in the config. `make` says in
    /// one sentence what is wrong with their texts, without quoting them.
    ///
    /// # Errors
    /// One sentence: the same, or which file cannot be read.
    pub async fn watch<T: Send + Sync + 'static>(
        &self,
        name: &str,
        paths: Vec<PathBuf>,
        make: impl Fn(&[Text]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Watched<T>, String> {
        Watched::open(self.files(name, paths, make), keeper(&self.clock, &self.tasks)).await
    }

    fn files<T>(
        &self,
        name: &str,
        paths: Vec<PathBuf>,
        make: impl Fn(&[Text]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Files<T> {
        Files::new(paths, Box::new(make), self.metrics.secret(name), self.clock.clone())
    }
}

fn keeper<T: Send + Sync + 'static>(clock: &Clock, tasks: &Tasks) -> Arc<Keeper<Files<T>>> {
    let rhythm = Rhythm { floor: Duration::ZERO, idle: None, every: Some(POLL), deadline: Duration::from_secs(10) };
    Keeper::start(clock.clone(), tasks.clone(), rhythm)
}

impl<T: Send + Sync + 'static> Watched<T> {
    async fn open(files: Files<T>, keeper: Arc<Keeper<Files<T>>>) -> Result<Watched<T>, String> {
        let lease = Lease::new(files);
        lease.ask(&keeper, &POLICY).await.map_err(|fault| fault.detail().to_owned())?;
        Ok(Watched { lease, keeper })
    }

    /// What was last made. Never waits.
    ///
    /// # Errors
    /// Nothing was ever made, which [`Vault::watch`] rules out.
    pub fn current(&self) -> Result<Arc<T>, Fault> {
        let held = self.lease.held().ok_or_else(|| Fault::new(Code::Internal, "a secret was never read"))?;
        Ok(Arc::clone(&held.item.value))
    }

    /// What is wrong with the files now, if what they hold cannot be used.
    pub fn trouble(&self) -> Option<Fault> {
        self.lease.failure()
    }

    /// What the files hold at this moment. What cannot be used leaves it as it was.
    async fn latest(&self) -> Result<Arc<T>, Fault> {
        let Ok(fresh) = self.lease.source().read().await else { return self.current() };
        if !self.lease.held().is_some_and(|held| held.item.same_as(&fresh)) {
            self.lease.renew_now(&self.keeper);
        }
        Ok(fresh.value)
    }
}

impl SecretLease {
    /// A secret that is given in a test.
    #[cfg(test)]
    pub fn fixed(text: &str) -> SecretLease {
        SecretLease { metrics: None, kind: Kind::Fixed(Arc::new(Secret::new(text.into()))) }
    }

    /// The secret as last read. Never waits.
    ///
    /// # Errors
    /// Nothing was ever read, which [`Vault::open`] rules out.
    pub fn current(&self) -> Result<Arc<Secret>, Fault> {
        match &self.kind {
            Kind::Fixed(secret) => Ok(Arc::clone(secret)),
            Kind::File { file, .. } => file.current(),
        }
    }

    /// The secrets that a caller may show: the present one and, for a minute, the one before, since
    /// the two sides of a rotation never read their files in the same instant.
    ///
    /// # Errors
    /// As [`SecretLease::current`].
    pub fn accepted(&self) -> Result<Vec<Arc<Secret>>, Fault> {
        let mut accepted = vec![self.current()?];
        if let Kind::File { file, .. } = &self.kind {
            let now = file.keeper.clock().now();
            let recent = file.lease.source().previous().filter(|(_, since)| now.since(*since) < OVERLAP);
            accepted.extend(recent.map(|(secret, _)| secret));
        }
        Ok(accepted)
    }

    /// The secret as it is in its file at this moment, if it has changed: for a caller who may
    /// have been faster. At most once a second, so that wrong callers cause no reading.
    pub async fn changed(&self) -> Option<Arc<Secret>> {
        let Kind::File { file, reread } = &self.kind else { return None };
        let second = file.keeper.clock().now().boot / 1_000_000_000;
        if reread.swap(second, Ordering::Relaxed) == second {
            return None;
        }
        let held = self.current().ok()?;
        file.latest().await.ok().filter(|latest| !latest.same_as(&held))
    }

    /// The secret as it is in its file at this moment: for when the vendor just refused the one we
    /// had. What cannot be read leaves it as it was.
    ///
    /// # Errors
    /// As [`SecretLease::current`].
    pub async fn latest(&self) -> Result<Arc<Secret>, Fault> {
        match &self.kind {
            Kind::Fixed(secret) => Ok(Arc::clone(secret)),
            Kind::File { file, .. } => file.latest().await,
        }
    }

    /// Raises the alarm about a secret that the vendor rejects, while it still takes the one before.
    pub fn rejected(&self) {
        let Some(metrics) = &self.metrics else { return };
        metrics.read(Reading::Rejected);
        tracing::warn!(
            secret = metrics.name(),
            "the vendor rejects the new secret; the one before still works and stays in use, until the vendor takes the new one"
        );
    }
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

    /// What a scrape says of how long secrets are good.
    fn validity(vault: &Vault) -> Vec<String> {
        let text = String::from_utf8(vault.metrics.render()).unwrap();
        let of_time = |line: &&str| line.starts_with("sidemint_secret_") && line.contains("_timestamp_seconds{");
        text.lines().filter(of_time).map(str::to_owned).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_life_of_a_certificate_is_told_for_as_long_as_it_is_in_use() {
        let [in_2031, in_2046] = [include_str!("testdata/ends-2031.pem"), include_str!("testdata/ends-2046.pem")];
        let told = |end: &str| {
            [("expiry", end), ("start", "1767225600")]
                .map(|(which, at)| format!(r#"sidemint_secret_{which}_timestamp_seconds{{secret="s"}} {at}"#))
        };
        let (vault, file) = (vault(), tempfile::NamedTempFile::new().unwrap());
        let reference = SecretRef::File(file.path().into());
        std::fs::write(&file, in_2031).unwrap();
        let secret = vault.open("s", &reference).await.unwrap();
        assert_eq!(validity(&vault), told("1924992000"));
        for (content, is) in [(in_2046, told("2398377600").to_vec()), ("a secret without an end", vec![])] {
            std::fs::write(&file, content).unwrap();
            secret.latest().await.unwrap();
            tokio::time::timeout(POLL, async {
                while validity(&vault) != is {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
        }
        drop(secret);
        assert_eq!(validity(&vault), Vec::<String>::new(), "what is not there any more does not end");
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

    #[tokio::test]
    async fn rank_35_what_makes_no_sense_leaves_the_old_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "1").unwrap();
        let number = |texts: &[Text]| texts[0].parse::<u32>().map_err(|_| "holds no number".to_owned());
        let watched = vault().watch("n", vec![file.path().into()], number).await.unwrap();
        let first = watched.current().unwrap();
        for text in ["none", "", "1"] {
            std::fs::write(&file, text).unwrap();
            assert!(Arc::ptr_eq(&watched.latest().await.unwrap(), &first), "{text}: what is the same is not made anew");
        }
        std::fs::write(&file, "2").unwrap();
        assert_eq!(*watched.latest().await.unwrap(), 2);
        let error = vault().watch("n", vec!["/nowhere/x".into()], number).await.err().unwrap();
        assert!(error.contains("n: /nowhere/x"), "{error}");
    }
}
