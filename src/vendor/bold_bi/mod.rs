//! Bold BI: tokens for a dashboard, asked for with the embed secret itself. There is no service token.
//!
//! Two flows: since v14.1 a JSON object with the secret in it, before that a query signed with it.
//! The secret goes to the configured server and nowhere else.

mod body;
mod page;
mod posted;
mod query;
mod refusal;
mod reply;
#[cfg(test)]
mod tests;
mod values;
mod wire;

use std::sync::Arc;

use super::credential::{Asker, Credential};
use super::{Mint, Minted};
use crate::config::{self, BoldBiItem, Flow};
use crate::model::{Clock, Code, Fault, Lifetime, Secret, Urgency};
use crate::upstream::{Client, Reply};
pub(super) use page::block;
pub use posted::check_posted;
pub use values::check_values;

/// One site.
pub struct BoldBi {
    config: config::BoldBi,
    client: Client,
    credential: Credential,
    clock: Clock,
}

impl BoldBi {
    /// A site that is called with this client and embed secret.
    pub fn new(config: config::BoldBi, client: Client, credential: Credential, clock: Clock) -> BoldBi {
        BoldBi { config, client, credential, clock }
    }

    pub(super) fn paused_for(&self) -> Option<std::time::Duration> {
        self.client.paused_for()
    }

    pub(super) fn trouble(&self) -> Option<Fault> {
        self.credential.rejection()
    }

    /// Whether the server answers at all: any HTTP reply will do.
    ///
    /// # Errors
    /// What the way to the server is to blame for.
    pub async fn reach(&self) -> Result<(), Fault> {
        let any = |_: &Reply| Ok(());
        self.client.call(&wire::front_page_call(&self.config), Urgency::Ahead, any).await
    }

    pub(super) async fn mint(&self, item: &BoldBiItem, mint: &Mint<'_>, urgency: Urgency) -> Result<Minted, Fault> {
        let viewer = mint.viewer;
        let values = &values::of(item, viewer)?;
        let asker = Asker { embed: mint.embed, viewer: &viewer.id };
        let attempt = |secret: Arc<Secret>| async move {
            // A nonce is taken once, also where its answer was lost: each attempt has a new one.
            let make = || match self.config.flow {
                Flow::ObjectModel => wire::object_call(&self.config, &secret, values),
                Flow::SignedQuery => {
                    let now = self.clock.now().unix_seconds();
                    wire::signed_call(&self.config, &secret, values, now, &nonce()?)
                }
            };
            self.client.call_anew(make, urgency, |answer| reply::authorized(answer, viewer)).await
        };
        let minted = self.credential.offer_for(Some(asker), attempt).await?;
        let lifetime = match item.lifetime {
            Some(most) => Lifetime::new(minted.lifetime.start(), minted.lifetime.ttl().min(most)),
            None => minted.lifetime,
        };
        Ok(Minted { lifetime, ..minted })
    }
}

/// A random UUID (RFC 9562 section 5.4).
fn nonce() -> Result<String, Fault> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Fault::new(Code::Internal, "no random numbers can be had"))?;
    let number = u128::from_be_bytes(bytes) & !(0xF000 << 64 | 0xC000 << 48) | (0x4000 << 64 | 0x8000 << 48);
    let hex = format!("{number:032x}");
    let cuts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    let parts: Vec<&str> = cuts.iter().filter_map(|(from, to)| hex.get(*from..*to)).collect();
    Ok(parts.join("-"))
}
