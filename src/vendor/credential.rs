//! What a service principal proves itself with, and the memory of a rejection.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Clock, Code, Fault, Moment, Secret};
use crate::secrets::{SecretLease, read_text};

/// Rejected credentials are not offered again before they change or so long has passed.
const BACKOFF: Duration = Duration::from_secs(30);

/// A service credential.
pub struct Credential {
    client_id: String,
    proof: Proof,
    rejection: Mutex<Option<Rejection>>,
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

struct Rejection {
    proof: Secret,
    at: Moment,
    fault: Fault,
}

impl Credential {
    /// A credential that nobody has rejected yet.
    pub fn new(client_id: String, proof: Proof, clock: Clock) -> Credential {
        Credential { client_id, proof, rejection: Mutex::new(None), clock }
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
    /// may have been rotated a moment ago; one that stays is remembered.
    ///
    /// # Errors
    /// Those of `attempt`; the vendor's rejection of this very proof, while it is remembered; or the
    /// federated token cannot be read.
    pub async fn offer<T, F>(&self, attempt: impl Fn(Arc<Secret>) -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let proof = self.present().await?;
        let result = attempt(Arc::clone(&proof)).await;
        if result.is_ok() {
            *self.rejection.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let Some(fault) = result.as_ref().err().filter(|fault| is_rejection(fault)) else { return result };
        let latest = self.latest().await?;
        if latest.same_as(&proof) {
            self.note_rejection(&proof, fault);
            return result;
        }
        let result = attempt(Arc::clone(&latest)).await;
        if let Some(fault) = result.as_ref().err().filter(|fault| is_rejection(fault)) {
            self.note_rejection(&latest, fault);
        }
        result
    }

    async fn present(&self) -> Result<Arc<Secret>, Fault> {
        let proof = match &self.proof {
            Proof::Secret(secret) => secret.current()?,
            Proof::Certificate(certificate, key) => {
                let key = key.as_ref().map(SecretLease::current).transpose()?;
                joined(certificate.current()?, key)
            }
            Proof::Federated(_) | Proof::Presence => self.latest().await?,
        };
        self.refuse_if_rejected(&proof)?;
        Ok(proof)
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
                read_text(path).await.map(|text| Arc::new(Secret::new(text))).map_err(|(_, message)| {
                    let detail = format!("the federated token {} cannot be read: it {message}", path.display());
                    Fault::new(Code::CredentialsRejected, detail)
                })
            }
        }
    }

    fn note_rejection(&self, proof: &Secret, fault: &Fault) {
        let rejection = Rejection { proof: proof.clone(), at: self.clock.now(), fault: fault.clone() };
        *self.rejection.lock().unwrap_or_else(PoisonError::into_inner) = Some(rejection);
    }

    /// The last rejection, for as long as it holds off attempts.
    pub(super) fn rejection(&self) -> Option<Fault> {
        let now = self.clock.now();
        let rejection = self.rejection.lock().unwrap_or_else(PoisonError::into_inner);
        rejection
            .as_ref()
            .filter(|rejection| now.since(rejection.at) < BACKOFF)
            .map(|rejection| rejection.fault.clone())
    }

    fn refuse_if_rejected(&self, proof: &Secret) -> Result<(), Fault> {
        let now = self.clock.now();
        let rejection = self.rejection.lock().unwrap_or_else(PoisonError::into_inner);
        match &*rejection {
            Some(rejection) if rejection.proof.same_as(proof) && now.since(rejection.at) < BACKOFF => {
                Err(rejection.fault.clone().remembered())
            }
            _ => Ok(()),
        }
    }
}
