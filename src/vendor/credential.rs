//! What a service principal proves itself with, and the memory of a rejection.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Clock, Code, Fault, Secret};
use crate::secrets::{SecretLease, read_text};
pub use memory::Asker;
use memory::Memory;

mod memory;

/// A service credential.
pub struct Credential {
    client_id: String,
    proof: Proof,
    memory: Mutex<Memory>,
    clock: Clock,
}

/// Where the proof comes from.
pub enum Proof {
    /// An OAuth secret.
    Secret(SecretLease),
    /// A certificate and its private key in PEM, from one file or from two.
    Certificate(SecretLease, Option<SecretLease>),
    /// A token of another issuer; read at each use, since kubelet rotates it.
    Federated(PathBuf),
    /// Nothing: to be where we are is proof enough.
    Presence,
}

/// Certificate and key as one text: PEM files may hold several things one after the other.
fn joined(certificate: Arc<Secret>, key: Option<Arc<Secret>>) -> Arc<Secret> {
    match key {
        None => certificate,
        Some(key) => Arc::new(Secret::new(format!("{}\n{}", certificate.expose(), key.expose()))),
    }
}

fn is_rejection(fault: &Fault) -> bool {
    fault.code() == Code::CredentialsRejected && !fault.is_remembered()
}

impl Credential {
    /// A credential that nobody has rejected yet.
    pub fn new(client_id: String, proof: Proof, clock: Clock) -> Credential {
        Credential { client_id, proof, memory: Mutex::default(), clock }
    }

    /// The application id of the service principal; not a secret.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What it proves itself with.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Whether the proof is a federated token.
    pub fn is_federated(&self) -> bool {
        matches!(self.proof, Proof::Federated(_))
    }

    /// Offers the proof to the vendor. A rejection makes us look at the proof's source once more, as it
    /// may have been rotated a moment ago; one that stays is remembered. If the vendor does not take a new
    /// proof (yet), the one that it took last is offered in its place.
    ///
    /// # Errors
    /// Those of `attempt`; the vendor's rejection of this very proof, while it is remembered; or the
    /// federated token cannot be read.
    pub async fn offer<T, F>(&self, attempt: impl Fn(Arc<Secret>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        self.offer_for(None, attempt).await
    }

    /// The same where the proof comes together with a viewer and an embed's values, and the vendor does not say
    /// clearly which of these it rejects: a proof that was taken before counts as rejected for one viewer alone,
    /// with a second one for the embed, with a second embed for everybody.
    ///
    /// # Errors
    /// As above.
    pub async fn offer_for<T, F>(
        &self,
        asker: Option<Asker<'_>>,
        attempt: impl Fn(Arc<Secret>) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let proof = self.current().await?;
        let known = self.memory().verdict(&proof, asker, self.outlives_its_file(), self.clock.now());
        let (proof, result) = match known {
            Some(fault) => (proof, Err(fault)),
            None => self.try_out(proof, asker, &attempt).await?,
        };
        let fault = match result {
            Err(fault) if fault.code() == Code::CredentialsRejected => fault,
            result => return result,
        };
        let Some(before) = self.one_before(&proof, asker) else { return Err(fault) };
        let result = attempt(Arc::clone(&before)).await;
        self.note(&before, asker, result.as_ref().err());
        match result {
            // The vendor has changed over since it rejected the new one.
            Err(again) if is_rejection(&again) && fault.is_remembered() && self.has_another_chance(&proof) => {
                self.try_out(proof, asker, &attempt).await?.1
            }
            // What is to be mended is the new one.
            Err(again) if is_rejection(&again) => Err(fault),
            Ok(value) => {
                self.raise_alarm(&proof);
                Ok(value)
            }
            result => result,
        }
    }

    /// Offers a proof, and the one that has just taken its place; says which was the last.
    async fn try_out<T, F>(
        &self,
        proof: Arc<Secret>,
        asker: Option<Asker<'_>>,
        attempt: &impl Fn(Arc<Secret>) -> F,
    ) -> Result<(Arc<Secret>, Result<T, Fault>), Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let result = attempt(Arc::clone(&proof)).await;
        let rejected = match &result {
            Err(fault) if is_rejection(fault) => fault.clone(),
            _ => {
                self.note(&proof, asker, result.as_ref().err());
                return Ok((proof, result));
            }
        };
        let latest = self.latest().await?;
        if latest.same_as(&proof) {
            self.note(&proof, asker, Some(&rejected));
            return Ok((proof, result));
        }
        let result = attempt(Arc::clone(&latest)).await;
        // A proof that has been replaced is left alone: others who still hold it look for themselves. Unless the
        // new one is no better, and the old one would be next.
        if result.as_ref().err().is_some_and(is_rejection) {
            self.note(&proof, asker, Some(&rejected));
        }
        self.note(&latest, asker, result.as_ref().err());
        Ok((latest, result))
    }

    async fn current(&self) -> Result<Arc<Secret>, Fault> {
        match &self.proof {
            Proof::Secret(secret) => secret.current(),
            Proof::Certificate(certificate, key) => {
                let key = key.as_ref().map(SecretLease::current).transpose()?;
                Ok(joined(certificate.current()?, key))
            }
            Proof::Federated(_) | Proof::Presence => self.latest().await,
        }
    }

    /// The proof that the vendor took last, if that is another one and worth a try.
    fn one_before(&self, proof: &Secret, asker: Option<Asker<'_>>) -> Option<Arc<Secret>> {
        if !self.outlives_its_file() {
            return None;
        }
        self.memory().one_before(proof, asker, self.clock.now())
    }

    /// Whether the one before may still be good. Tokens of other issuers end by themselves.
    fn outlives_its_file(&self) -> bool {
        matches!(self.proof, Proof::Secret(_) | Proof::Certificate(..))
    }

    fn raise_alarm(&self, proof: &Secret) {
        let is_news = self.memory().tells(proof);
        if let Proof::Secret(secret) | Proof::Certificate(secret, _) = &self.proof
            && is_news
        {
            secret.rejected();
        }
    }

    fn has_another_chance(&self, proof: &Secret) -> bool {
        self.memory().has_another_chance(proof, self.clock.now())
    }

    /// The proof as it is at its source at this moment.
    async fn latest(&self) -> Result<Arc<Secret>, Fault> {
        match &self.proof {
            Proof::Secret(secret) => secret.latest().await,
            Proof::Certificate(certificate, key) => {
                let key = match key {
                    Some(key) => Some(key.latest().await?),
                    None => None,
                };
                Ok(joined(certificate.latest().await?, key))
            }
            Proof::Presence => Ok(Arc::new(Secret::new(String::new()))),
            Proof::Federated(path) => {
                read_text(path).await.map(|text| Arc::new(Secret::new(text.to_string()))).map_err(|(_, message)| {
                    let detail = format!("the federated token {} cannot be read: it {message}", path.display());
                    Fault::new(Code::CredentialsRejected, detail)
                })
            }
        }
    }

    /// Remembers what became of an offer.
    fn note(&self, proof: &Arc<Secret>, asker: Option<Asker<'_>>, fault: Option<&Fault>) {
        let now = self.clock.now();
        match fault {
            // A late word about one that is not in its file any more says nothing about the one that is.
            None if self.is_current(proof) => self.memory().taken(proof),
            None => self.memory().still_good(proof),
            Some(fault) if is_rejection(fault) => self.memory().rejected(proof, asker, fault, now),
            Some(_) => {}
        }
    }

    fn is_current(&self, proof: &Secret) -> bool {
        match &self.proof {
            Proof::Secret(secret) => secret.current().is_ok_and(|current| current.same_as(proof)),
            Proof::Certificate(certificate, key) => {
                let key = key.as_ref().map(SecretLease::current).transpose();
                let both = certificate.current().and_then(|certificate| Ok(joined(certificate, key?)));
                both.is_ok_and(|current| current.same_as(proof))
            }
            Proof::Federated(_) | Proof::Presence => true,
        }
    }

    /// The rejection that keeps everybody from being served.
    pub(super) fn rejection(&self) -> Option<Fault> {
        self.memory().total_rejection(self.outlives_its_file(), self.clock.now())
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::*;

    /// A credential in a file, and a vendor that takes one proof.
    struct Bench {
        credential: Credential,
        path: PathBuf,
        good: &'static str,
        offered: RefCell<Vec<String>>,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        fn new(proof: &str, good: &'static str) -> Bench {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("proof");
            std::fs::write(&path, proof).unwrap();
            let credential = Credential::new("id".into(), Proof::Federated(path.clone()), Clock::system());
            Bench { credential, path, good, offered: RefCell::default(), _folder: folder }
        }

        /// The code of the failure; `meanwhile` happens at the vendor before it answers.
        async fn offer(&self, asker: Option<(&str, &str)>, meanwhile: impl Fn()) -> Option<Code> {
            let asker = asker.map(|(embed, viewer)| Asker { embed, viewer });
            let attempt = |proof: Arc<Secret>| {
                meanwhile();
                self.offered.borrow_mut().push(proof.expose().to_owned());
                let taken = proof.expose() == self.good && asker.is_none_or(|asker| asker.embed != "refused");
                std::future::ready(if taken { Ok(()) } else { Err(Fault::new(Code::CredentialsRejected, "no")) })
            };
            self.credential.offer_for(asker, attempt).await.err().map(|fault| fault.code())
        }

        fn offers(&self) -> usize {
            self.offered.borrow().len()
        }
    }

    #[tokio::test]
    async fn a_proof_that_is_being_replaced_is_not_remembered_as_a_bad_one() {
        let bench = Bench::new("old", "new");
        let rotate = || std::fs::write(&bench.path, "new").unwrap();
        assert_eq!(bench.offer(None, rotate).await, None);
        assert_eq!(*bench.offered.borrow(), ["old", "new"]);
        // Others still hold the old one, and are to look for the new one as well.
        std::fs::write(&bench.path, "old").unwrap();
        assert_eq!(bench.offer(None, rotate).await, None);
        assert_eq!(bench.offers(), 4);
    }

    #[tokio::test]
    async fn a_bad_proof_is_offered_once() {
        let bench = Bench::new("bad", "good");
        for asker in [None, Some(("one", "ann")), Some(("two", "bob")), None] {
            assert_eq!(bench.offer(asker, || ()).await, Some(Code::CredentialsRejected));
        }
        assert_eq!(bench.offers(), 1);
        assert!(bench.credential.rejection().is_some());
        std::fs::write(&bench.path, "good").unwrap();
        assert_eq!(bench.offer(Some(("one", "ann")), || ()).await, None);
        assert!(bench.credential.rejection().is_none());
    }

    #[tokio::test]
    async fn a_proof_that_was_good_is_doubted_step_by_step() {
        let bench = Bench::new("good", "good");
        assert_eq!(bench.offer(Some(("one", "ann")), || ()).await, None);
        // An embed whose values the vendor refuses, whoever looks: the others go on.
        for (viewer, offers) in [("ann", 2), ("ann", 2), ("bob", 3), ("cid", 3), ("ann", 3)] {
            assert_eq!(bench.offer(Some(("refused", viewer)), || ()).await, Some(Code::CredentialsRejected));
            assert_eq!((bench.offers(), bench.credential.rejection().is_some()), (offers, false), "{viewer}");
        }
        assert_eq!(bench.offer(Some(("one", "ann")), || ()).await, None);
        let bench = Bench { good: "another", ..bench };
        // One viewer alone, whatever she looks at, proves nothing; two of them, at two embeds, do.
        for (embed, viewer, offers) in [
            ("one", "ann", 5),
            ("two", "ann", 5),
            ("one", "bob", 6),
            ("one", "cid", 6),
            ("two", "cid", 7),
            ("three", "dan", 7),
        ] {
            assert_eq!(bench.offer(Some((embed, viewer)), || ()).await, Some(Code::CredentialsRejected));
            assert_eq!(bench.offers(), offers, "{embed} {viewer}");
        }
        assert!(bench.credential.rejection().is_some());
    }

    /// A secret in a file that is not polled, and a vendor that takes some.
    async fn offered(credential: &Credential, taken: &[&str]) -> (Option<Code>, Vec<String>) {
        let offers = RefCell::<Vec<String>>::default();
        let attempt = |proof: Arc<Secret>| {
            offers.borrow_mut().push(proof.expose().to_owned());
            let is_taken = taken.contains(&proof.expose());
            std::future::ready(if is_taken { Ok(()) } else { Err(Fault::new(Code::CredentialsRejected, "no")) })
        };
        let code = credential.offer(attempt).await.err().map(|fault| fault.code());
        (code, offers.into_inner())
    }

    async fn replaced(secret: &SecretLease, file: &tempfile::NamedTempFile, text: &str) {
        std::fs::write(file, text).unwrap();
        assert_eq!(secret.latest().await.unwrap().expose(), text);
        while secret.current().unwrap().expose() != text {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn section_2_7_the_one_before_is_offered_while_the_vendor_does_not_know_the_new_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "old").unwrap();
        let (clock, tasks) = (Clock::system(), crate::lifecycle::Tasks::new());
        let metrics = crate::telemetry::Metrics::new().unwrap();
        let vault = crate::secrets::Vault::new(clock.clone(), tasks, metrics.clone(), Default::default());
        let secret = vault.open("s", &crate::config::SecretRef::File(file.path().into())).await.unwrap();
        let credential = Credential::new("id".into(), Proof::Secret(secret.clone()), clock);
        let no = Some(Code::CredentialsRejected);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(offered(&credential, &["old"]).await, (None, words(&["old"])));
        replaced(&secret, &file, "new").await;
        // The vendor knows the old one only: it goes on, and the new one is left in peace for 30 s.
        assert_eq!(offered(&credential, &["old"]).await, (None, words(&["new", "old"])));
        assert_eq!(offered(&credential, &["old"]).await, (None, words(&["old"])));
        assert!(credential.rejection().is_none());
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"sidemint_secret_reloads_total{outcome="rejected",secret="s"} 1"#), "{text}");
        // It knows neither: one try each, since it may have changed over, then silence.
        assert_eq!(offered(&credential, &[]).await, (no, words(&["old", "new"])));
        assert_eq!(offered(&credential, &[]).await, (no, words(&[])));
        assert!(credential.rejection().is_some());
        // Something else again is tried at once, and once it is taken the old one is forgotten.
        replaced(&secret, &file, "newest").await;
        assert_eq!(offered(&credential, &["newest"]).await, (None, words(&["newest"])));
        // The vendor changes over while the new one is left in peace.
        replaced(&secret, &file, "last").await;
        assert_eq!(offered(&credential, &["newest"]).await, (None, words(&["last", "newest"])));
        assert_eq!(offered(&credential, &["last"]).await, (None, words(&["newest", "last"])));
        assert_eq!(offered(&credential, &["newest"]).await, (no, words(&["last"])));
    }

    /// Several callers at work while the vendor changes over from the old one to the new one: none of them fails.
    #[tokio::test(start_paused = true)]
    async fn section_2_7_a_change_over_under_load_fails_nobody() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "old").unwrap();
        let (clock, tasks) = (Clock::system(), crate::lifecycle::Tasks::new());
        let vault = crate::secrets::Vault::new(
            clock.clone(),
            tasks,
            crate::telemetry::Metrics::new().unwrap(),
            Default::default(),
        );
        let secret = vault.open("s", &crate::config::SecretRef::File(file.path().into())).await.unwrap();
        let credential = Credential::new("id".into(), Proof::Secret(secret.clone()), clock);
        assert_eq!(offered(&credential, &["old"]).await.0, None);
        replaced(&secret, &file, "new").await;
        assert_eq!(offered(&credential, &["old"]).await.0, None);
        let begin = tokio::time::Instant::now();
        let changed = begin + Duration::from_millis(500);
        let call = async |number: u64| {
            tokio::time::sleep(Duration::from_millis(number * 7)).await;
            let viewer = format!("v-{number}");
            let attempt = async |proof: Arc<Secret>| {
                // On its way, at the vendor, and back.
                tokio::time::sleep(Duration::from_millis(5 + number % 3 * 20)).await;
                let good = if tokio::time::Instant::now() < changed { "old" } else { "new" };
                let is_good = proof.expose() == good;
                tokio::time::sleep(Duration::from_millis(5 + number % 5 * 10)).await;
                if is_good { Ok(()) } else { Err(Fault::new(Code::CredentialsRejected, "no")) }
            };
            credential.offer_for(Some(Asker { embed: "sales", viewer: &viewer }), attempt).await
        };
        let results = futures_util::future::join_all((0..150).map(call)).await;
        let failed = results.iter().filter(|result| result.is_err()).count();
        assert_eq!(failed, 0);
    }
}
