//! What a service principal proves itself with, and the memory of a rejection.

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
    /// A token of another issuer; read at each use, since kubelet rotates it.
    Federated(PathBuf),
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

    /// Whether the proof is a federated token.
    pub fn is_federated(&self) -> bool {
        matches!(self.proof, Proof::Federated(_))
    }

    /// The proof to offer now.
    ///
    /// # Errors
    /// The vendor's rejection of this very proof, while it is remembered; or the federated token
    /// cannot be read.
    pub async fn present(&self) -> Result<Arc<Secret>, Fault> {
        let proof = match &self.proof {
            Proof::Secret(secret) => secret.current()?,
            Proof::Federated(_) => self.latest().await?,
        };
        self.refuse_if_rejected(&proof)?;
        Ok(proof)
    }

    /// The proof as it is at its source at this moment.
    ///
    /// # Errors
    /// The federated token cannot be read.
    pub async fn latest(&self) -> Result<Arc<Secret>, Fault> {
        match &self.proof {
            Proof::Secret(secret) => secret.latest().await,
            Proof::Federated(path) => {
                read_text(path).await.map(|text| Arc::new(Secret::new(text))).map_err(|(_, message)| {
                    let detail = format!("the federated token {} cannot be read: it {message}", path.display());
                    Fault::new(Code::CredentialsRejected, detail)
                })
            }
        }
    }

    /// Remembers that the vendor rejected this proof.
    pub fn note_rejection(&self, proof: &Secret, fault: &Fault) {
        let rejection = Rejection { proof: proof.clone(), at: self.clock.now(), fault: fault.clone() };
        *self.rejection.lock().unwrap_or_else(PoisonError::into_inner) = Some(rejection);
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
