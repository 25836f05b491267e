//! Power BI "embed for your customers": embed tokens by `GenerateToken`, got with a token of
//! Microsoft Entra.
//!
//! An embed token ends with the Entra token that it was got with ("the token's lifetime is the
//! remaining lifetime of the Microsoft Entra token", vendor's page on embed tokens), so whoever
//! mints sees to a parent with enough life first; and it is opaque, so `expiration` alone tells its
//! end.

mod body;
mod page;
mod reply;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::entra::Entra;
use super::{Beside, Details, Mint, MintFault, Minted};
use crate::config::{self, PowerBiItem, Shown};
use crate::lease::Grant;
use crate::model::{Clock, Code, Fault, Lifetime, Moment, Token, Urgency};
use crate::upstream::{Client, Reply};
pub use body::check_identity;
pub use page::Page;
pub use reply::{Dataset, Report};

/// What is left of the free trial allowance is none of our business for so long after it was used up.
const EXHAUSTED_FOR: Duration = Duration::from_secs(60);

/// Then one mint in this time finds out whether there is capacity again.
const PROBED_EVERY: Duration = Duration::from_secs(5);

/// One tenant.
pub struct PowerBi {
    config: config::PowerBi,
    client: Client,
    entra: Entra,
    clock: Clock,
    /// Until when the capacity counts as exhausted, which holds for the whole service principal.
    exhausted: Mutex<Option<(Moment, Fault)>>,
}

impl PowerBi {
    /// A tenant whose API is called with this client.
    pub fn new(config: config::PowerBi, client: Client, entra: Entra, clock: Clock) -> PowerBi {
        PowerBi { config, client, entra, clock, exhausted: Mutex::new(None) }
    }

    /// Microsoft Entra, which issues the service tokens.
    pub fn entra(&self) -> &Entra {
        &self.entra
    }

    pub(super) async fn service_token(&self, urgency: Urgency) -> Result<(Token, Lifetime), Fault> {
        self.entra.token(urgency).await
    }

    /// How long Entra or Power BI wants no call yet.
    pub(super) fn paused_for(&self) -> Option<Duration> {
        self.client.paused_for().max(self.entra.paused_for())
    }

    /// Looks up what an embed token and a page need to know of an item.
    ///
    /// # Errors
    /// [`MintFault::ServiceTokenRefused`] on a 401, and on a 403 that speaks of an expired token.
    pub(super) async fn look_up(
        &self,
        service: &Token,
        item: &PowerBiItem,
        urgency: Urgency,
    ) -> Result<Details, MintFault> {
        let mut reports = Vec::new();
        let parse = |reply: &Reply| reply::report(reply, &self.config.api);
        if let Shown::Reports(ids) = &item.shown {
            for id in ids {
                let call = wire::report_call(service, item, id).map_err(MintFault::Other)?;
                reports.push(self.client.call(&call, urgency, parse).await.map_err(refused)?);
            }
        }
        Ok(Details { page: page::opening(&self.config.app, item, &reports), reports })
    }

    /// Looks up what a dataset says of row-level security.
    ///
    /// # Errors
    /// As any call.
    pub async fn dataset(&self, service: &Token, item: &PowerBiItem, id: &str) -> Result<Dataset, Fault> {
        let call = wire::dataset_call(service, item, id)?;
        self.client.call(&call, Urgency::Waited, reply::dataset).await
    }

    pub(super) async fn mint(
        &self,
        service: &Grant<Token>,
        item: &PowerBiItem,
        mint: &Mint<'_>,
        urgency: Urgency,
    ) -> Result<Minted, MintFault> {
        let reports = mint.details.map_or(&[][..], |details| &details.reports);
        let make = || {
            self.refuse_if_exhausted()?;
            wire::generate_call(&service.item, item, reports, mint)
        };
        let longest = longest(service.lifetime.remaining(self.clock.now()), item.lifetime_minutes);
        let parse = |reply: &Reply| {
            let read = reply::embed_token(reply, longest);
            // Noted before the seat is free for the next in the queue.
            self.note_capacity(read.as_ref().err());
            read
        };
        let generated = self.client.call_anew(make, urgency, parse).await;
        let reply::EmbedToken { token, token_id, lifetime } = generated.map_err(refused)?;
        let opening = mint.details.map(|details| Arc::clone(&details.page)).unwrap_or_default();
        Ok(Minted { token, lifetime, lacks_claim: false, beside: Some(Beside::Page(Page { opening, token_id })) })
    }

    /// Notes that the capacity is exhausted, or that it is no more.
    fn note_capacity(&self, fault: Option<&Fault>) {
        let mut noted = self.exhausted.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            None => *noted = None,
            Some(fault) if reply::is_exhaustion(fault) => {
                *noted = Some((self.clock.now().after(EXHAUSTED_FOR), fault.clone()));
            }
            Some(_) => {}
        }
    }

    /// When the time is over, one is let through to see, and the others wait for what it finds; if that
    /// is nothing about the capacity, the next one is let through soon.
    fn refuse_if_exhausted(&self) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut noted = self.exhausted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((until, fault)) = &mut *noted else { return Ok(()) };
        let rest = until.since(now);
        if rest.is_zero() {
            *until = now.after(PROBED_EVERY);
            return Ok(());
        }
        Err(fault.clone().remembered().retry_after(rest))
    }
}

/// The most that an embed token can live, if the clocks agree.
fn longest(parent: Duration, minutes: Option<u32>) -> Duration {
    minutes.map_or(parent, |minutes| parent.min(Duration::from_secs(60 * u64::from(minutes))))
}

/// A refused service token is worth another one; whatever else Power BI says is about the item. When
/// it says the same of a fresh token, it is access that is missing.
fn refused(fault: Fault) -> MintFault {
    match fault.code() {
        Code::CredentialsRejected => {
            MintFault::ServiceTokenRefused(Fault::new(Code::Denied, fault.detail().to_owned()))
        }
        _ => MintFault::Other(fault),
    }
}
