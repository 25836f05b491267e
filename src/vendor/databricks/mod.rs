//! Databricks AI/BI dashboards, embedded for external users.
//!
//! One viewer token takes three calls: service token (`all-apis`), token info, scoped token. Only
//! the first is shared between viewers. Source: the vendor's page on external embedding, step 4.

mod page;
mod reply;
mod wire;

use std::sync::Arc;

use crate::model::{Code, Fault, Lifetime, Secret, Token, Urgency};
use crate::telemetry::metrics::Operation;
use crate::upstream::Client;

use super::credential::Credential;
use super::{Mint, MintFault, Minted};
pub(super) use page::block;
pub use reply::TokenInfo;

/// One workspace.
pub struct Databricks {
    client: Client,
    credential: Credential,
    workspace_id: Option<String>,
}

impl Databricks {
    /// A workspace that is called with this client and credential.
    pub fn new(client: Client, credential: Credential, workspace_id: Option<String>) -> Databricks {
        Databricks { client, credential, workspace_id }
    }

    /// Gets an `all-apis` token.
    pub(super) async fn service_token(&self, urgency: Urgency) -> Result<(Token, Lifetime), Fault> {
        let form = wire::Form::new().with("scope", "all-apis");
        self.token_endpoint(Operation::ServiceToken, form, urgency).await
    }

    /// How long the vendor wants no call yet.
    pub(super) fn paused_for(&self) -> Option<std::time::Duration> {
        self.client.paused_for()
    }

    /// Whether the workspace answers at all: any HTTP reply will do.
    ///
    /// # Errors
    /// What the way to the vendor is to blame for.
    pub async fn reach(&self) -> Result<(), Fault> {
        self.client.call(&wire::discovery_call(), Urgency::Ahead, |_| Ok(())).await
    }

    /// Asks what a token for this viewer must carry.
    ///
    /// # Errors
    /// [`MintFault::ServiceTokenRefused`] on a 401.
    pub async fn token_info(&self, service: &Token, mint: &Mint<'_>, urgency: Urgency) -> Result<TokenInfo, MintFault> {
        let call = wire::token_info_call(service, self.workspace_id.as_deref(), mint).map_err(MintFault::Other)?;
        let result = self.client.call(&call, urgency, reply::token_info).await;
        result.map_err(|fault| match fault.code() {
            Code::CredentialsRejected => MintFault::ServiceTokenRefused(fault),
            _ => MintFault::Other(fault),
        })
    }

    /// Mints the scoped token that the viewer's browser gets.
    pub(super) async fn mint(&self, service: &Token, mint: &Mint<'_>, urgency: Urgency) -> Result<Minted, MintFault> {
        let info = self.token_info(service, mint, urgency).await?;
        let minted = self.scoped_token(&info, urgency).await;
        minted.map_err(MintFault::Other)
    }

    async fn scoped_token(&self, info: &TokenInfo, urgency: Urgency) -> Result<Minted, Fault> {
        let form = wire::scoped_form(info);
        let (token, lifetime) = self.token_endpoint(Operation::Mint, form, urgency).await?;
        // An opaque token cannot be looked into, and is believed.
        let lacks_claim = token.claims().is_some_and(|claims| !claims.has_custom_claim());
        if lacks_claim && self.credential.is_federated() {
            return Err(Fault::new(
                Code::Rejected,
                "Databricks minted a token without custom.claim, which no dashboard accepts: with a federated identity \
                 it drops that claim; use an OAuth client secret for this upstream",
            ));
        }
        Ok(Minted { token, lifetime, lacks_claim, beside: None })
    }

    /// Gets a token for one app, exchanged for the broad one, or one with fewer rights.
    ///
    /// # Errors
    /// [`MintFault::ServiceTokenRefused`] where the broad one was no good.
    pub(super) async fn narrowed_token(
        &self,
        service: &Token,
        audience: Option<&str>,
        scope: Option<&str>,
        urgency: Urgency,
    ) -> Result<(Token, Lifetime), MintFault> {
        let scope = scope.unwrap_or("all-apis");
        let Some(audience) = audience else {
            let form = wire::Form::new().with("scope", scope);
            return self.token_endpoint(Operation::ServiceToken, form, urgency).await.map_err(MintFault::Other);
        };
        let mut last = None;
        for kind in wire::SUBJECT_TYPES {
            let call = wire::exchange_call(service, kind, audience, scope);
            match self.client.call(&call, urgency, reply::exchanged).await {
                Err(fault) if fault.code() == Code::CredentialsRejected => {
                    return Err(MintFault::ServiceTokenRefused(fault));
                }
                Err(fault) if fault.code() == Code::Rejected => last = Some(fault),
                result => return result.map_err(MintFault::Other),
            }
        }
        Err(MintFault::Other(last.unwrap_or_else(|| Fault::new(Code::Internal, "no kind of token to exchange"))))
    }

    async fn token_endpoint(
        &self,
        operation: Operation,
        form: wire::Form,
        urgency: Urgency,
    ) -> Result<(Token, Lifetime), Fault> {
        let form = &form;
        let attempt = |proof: Arc<Secret>| async move {
            let call = wire::token_call(operation, &self.credential, &proof, form)?;
            self.client.call(&call, urgency, reply::token).await
        };
        self.credential.offer(attempt).await
    }
}

#[cfg(test)]
mod tests;
