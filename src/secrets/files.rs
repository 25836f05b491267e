//! A value that is made of the content of files, and made anew when they change.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use super::{OVERLAP, POLICY, expiry};
use crate::lease::{Policy, Source, Want};
use crate::model::secret::sha256;
use crate::model::{Clock, Code, Fault, Lifetime, Moment};
use crate::telemetry::metrics::{Reading, SecretMetrics, Validity};

/// What is larger is no secret, no certificate and no set of keys.
const MOST_BYTES: u64 = 256 << 10;

/// The text of a file, wiped when dropped.
pub type Text = Zeroizing<String>;

/// Makes a value of the files' texts, or says in one sentence what is wrong with them, without a word of them.
pub(super) type Make<T> = Box<dyn Fn(&[Text]) -> Result<T, String> + Send + Sync>;

/// Where the value comes from.
pub(super) struct Files<T> {
    paths: Vec<PathBuf>,
    make: Make<T>,
    metrics: SecretMetrics,
    clock: Clock,
    state: Mutex<State<T>>,
    /// Whether the log knows that the files are bad; one line for each time they turn bad is enough.
    bad: AtomicBool,
}

struct State<T> {
    made: Option<Made<T>>,
    /// What was replaced, and when.
    previous: Option<(Arc<T>, Moment)>,
}

/// A value, the digest of what it was made of, and how long that says that it is good.
pub(super) struct Made<T> {
    pub(super) value: Arc<T>,
    digest: [u8; 32],
    validity: Option<Validity>,
}

impl<T> Clone for Made<T> {
    fn clone(&self) -> Self {
        Made { value: Arc::clone(&self.value), digest: self.digest, validity: self.validity }
    }
}

impl<T> Made<T> {
    pub(super) fn same_as(&self, other: &Made<T>) -> bool {
        self.digest == other.digest
    }
}

impl<T> Files<T> {
    pub(super) fn new(paths: Vec<PathBuf>, make: Make<T>, metrics: SecretMetrics, clock: Clock) -> Files<T> {
        let state = Mutex::new(State { made: None, previous: None });
        Files { paths, make, metrics, clock, state, bad: AtomicBool::new(false) }
    }

    /// What was replaced, and when.
    pub(super) fn previous(&self) -> Option<(Arc<T>, Moment)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).previous.clone()
    }

    /// What the files hold at this moment. What they held before is kept as it was made.
    ///
    /// # Errors
    /// One of them cannot be read, or what they hold makes no sense.
    pub(super) async fn read(&self) -> Result<Made<T>, Fault> {
        let read = self.try_read().await;
        let was_bad = self.bad.swap(read.is_err(), Ordering::Relaxed);
        read.map_err(|Bad { reading, path, message }| {
            self.metrics.read(reading);
            if !was_bad {
                tracing::warn!(secret = self.metrics.name(), path = %path.display(), problem = message, "a secret file cannot be used; what was read before, if anything, stays in use");
            }
            Fault::new(Code::CredentialsRejected, format!("{}: {}: {message}", self.metrics.name(), path.display()))
        })
    }

    async fn try_read(&self) -> Result<Made<T>, Bad> {
        let (digest, texts) = self.texts().await?;
        let held = self.state.lock().unwrap_or_else(PoisonError::into_inner).made.clone();
        if let Some(held) = held.filter(|held| held.digest == digest) {
            return Ok(held);
        }
        let result = match (self.make)(&texts) {
            // Files that belong together may have been swapped between one reading and the next.
            Err(_) if texts.len() > 1 => {
                let (digest, texts) = self.texts().await?;
                (self.make)(&texts).map(|value| (digest, value, expiry::of(&texts)))
            }
            result => result.map(|value| (digest, value, expiry::of(&texts))),
        };
        let path = self.paths.first().cloned().unwrap_or_default();
        let (digest, value, validity) = result.map_err(|message| Bad { reading: Reading::Unusable, path, message })?;
        Ok(Made { value: Arc::new(value), digest, validity })
    }

    async fn texts(&self) -> Result<([u8; 32], Vec<Text>), Bad> {
        let (mut texts, mut digests) = (Vec::with_capacity(self.paths.len()), Vec::new());
        for path in &self.paths {
            let text = read_text(path).await;
            let text = text.map_err(|(reading, message)| Bad { reading, path: path.clone(), message })?;
            digests.extend(sha256(text.as_bytes()));
            texts.push(text);
        }
        Ok((sha256(&digests), texts))
    }
}

impl<T> Drop for Files<T> {
    fn drop(&mut self) {
        self.metrics.valid(None);
    }
}

struct Bad {
    reading: Reading,
    path: PathBuf,
    message: String,
}

impl<T: Send + Sync + 'static> Source for Files<T> {
    type Item = Made<T>;

    async fn fetch(&self, _: Want) -> Result<(Made<T>, Lifetime), Fault> {
        let made = self.read().await?;
        // At each look, not at each change: what a reload has replaced takes its series with it when it goes, and
        // that may be after its successor came.
        self.metrics.valid(made.validity);
        Ok((made, Lifetime::unbounded(self.clock.now())))
    }

    fn policy(&self) -> Policy {
        POLICY
    }

    fn arrived(&self, old: Option<&Made<T>>, new: &Made<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.made = Some(new.clone());
        // With the next look that is late enough, what was replaced is wiped.
        let now = self.clock.now();
        state.previous.take_if(|(_, since)| now.since(*since) >= OVERLAP);
        if let Some(old) = old.filter(|old| !old.same_as(new)) {
            state.previous = Some((Arc::clone(&old.value), now));
            drop(state);
            self.metrics.read(Reading::Ok);
            tracing::info!(secret = self.metrics.name(), "a secret has changed; the new one is in use");
        }
    }
}

/// Reads a small text file to its end, without the white space around it (a trailing newline is
/// the classic).
///
/// # Errors
/// What is wrong, for a metric and for people.
pub async fn read_text(path: &Path) -> Result<Text, (Reading, String)> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<Text> {
        let metadata = std::fs::metadata(&path)?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("is not a file"));
        }
        if metadata.len() > MOST_BYTES {
            return Err(std::io::Error::other("is over 256 KiB, which is no secret"));
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
    Ok(Zeroizing::new(text.to_owned()))
}
