//! What can be leased.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Lease, Policy};
use crate::model::{Fault, Lifetime, Urgency};

/// Where a leased thing comes from.
pub trait Source: Send + Sync + Sized + 'static {
    /// The thing itself.
    type Item: Send + Sync + 'static;

    /// Gets a new one.
    ///
    /// # Errors
    /// The fault that all who wait are told.
    fn fetch(&self, want: Want) -> impl Future<Output = Result<(Self::Item, Lifetime), Fault>> + Send;

    /// The policy by which this thing is renewed when nobody asks.
    fn policy(&self) -> Policy;

    /// Whether the thing may end sooner than the issuer's best, unless [`Want::life`] asks for that:
    /// since it ends with another thing, which may be old.
    fn ends_with_another(&self) -> bool {
        false
    }

    /// Called when a new thing takes the place of an old one.
    fn arrived(&self, _old: Option<&Self::Item>, _new: &Self::Item) {}

    /// Called after each flight, before the waiters are told.
    fn landed(_lease: &Arc<Lease<Self>>, _outcome: Result<(), &Fault>) {}

    /// Called when the thing has expired and nobody has asked for it for long.
    fn lapsed(&self) {}

    /// Whether the thing is of no use any more, for example since its configuration is gone.
    fn is_retired(&self) -> bool {
        false
    }
}

/// What a fetch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Whether somebody waits.
    pub urgency: Urgency,
    /// The life that the asker needs to be left: a thing that ends with another one (a viewer token
    /// with the service token that it was got with) may need a fresh one of that first.
    pub life: Duration,
    /// The life of what is held, to be replaced.
    pub held: Option<Lifetime>,
}
