//! Microsoft Entra: tokens for an application that proves itself (client credentials, v2.0 endpoint),
//! or for the identity of the machine that we run on. No discovery: the token endpoint of a tenant
//! has one place, and the vendor's own workload-identity client goes straight there, too.

mod assertion;
mod managed;
mod reply;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use super::credential::Credential;
use crate::model::{Clock, Fault, Lifetime, Secret, Token, Urgency};
use crate::upstream::Client;
pub use managed::{Endpoint, Managed};

/// Where Entra's tokens come from.
pub struct Entra {
    client: Client,
    scope: String,
    identity: Identity,
}

/// Who we are.
pub enum Identity {
    /// An application of a tenant.
    Application(Application),
    /// The identity of the machine or service.
    Managed(Managed),
}

/// An application of a tenant.
pub struct Application {
    tenant_id: String,
    /// The URL of the token endpoint, which assertions are made out to.
    token_endpoint: String,
    credential: Credential,
    clock: Clock,
}

impl Application {
    /// An application of this tenant at this authority (`https://login.microsoftonline.com`).
    pub fn new(authority: &str, tenant_id: String, credential: Credential, clock: Clock) -> Application {
        let token_endpoint = format!("{authority}{}", wire::token_path(&tenant_id));
        Application { tenant_id, token_endpoint, credential, clock }
    }
}

impl Entra {
    /// Tokens of this scope (a resource and `/.default`) for this identity.
    pub fn new(client: Client, scope: String, identity: Identity) -> Entra {
        Entra { client, scope, identity }
    }

    /// Gets a token.
    ///
    /// # Errors
    /// What Entra, or the way to it, is to blame for. All that a person must mend (secret,
    /// certificate, tenant, scope) is [`Code::CredentialsRejected`], which is not tried again at once.
    pub async fn token(&self, urgency: Urgency) -> Result<(Token, Lifetime), Fault> {
        match &self.identity {
            Identity::Application(application) => {
                let attempt = |proof: Arc<Secret>| async move {
                    // Made anew for each attempt: an assertion is good for one use.
                    let make = || wire::token_call(application, &self.scope, &proof);
                    self.client.call_anew(make, urgency, reply::token).await
                };
                application.credential.offer(attempt).await
            }
            Identity::Managed(managed) => {
                let attempt = |header: Arc<Secret>| async move {
                    let call = managed.call(&self.scope, &header)?;
                    self.client.call(&call, urgency, managed::token).await
                };
                managed.credential().offer(attempt).await
            }
        }
    }

    /// How long Entra wants no call yet.
    pub fn paused_for(&self) -> Option<std::time::Duration> {
        self.client.paused_for()
    }

    /// Whether Entra answers at all: any HTTP reply will do. Of a managed identity, nothing can be asked
    /// without a token.
    ///
    /// # Errors
    /// What the way to Entra is to blame for.
    pub async fn reach(&self) -> Result<(), Fault> {
        let Identity::Application(application) = &self.identity else { return Ok(()) };
        self.client.call(&wire::discovery_call(&application.tenant_id), Urgency::Ahead, |_| Ok(())).await
    }
}
