//! The token that a request to somebody else carries: the broad service token, or a narrowed one.

use std::sync::Arc;
use std::time::Duration;

use super::{Narrowed, Upstream};
use crate::lease::Grant;
use crate::model::{Code, Fault, Token};

/// Where such a token comes from.
#[derive(Clone)]
pub enum Bearer {
    /// The broad one.
    Service(Arc<Upstream>),
    /// One that is good for less.
    Narrowed(Narrowed),
}

impl Bearer {
    /// The token of the moment. One in hand is given without any wait.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self) -> Result<Grant<Token>, Fault> {
        match self {
            Bearer::Service(upstream) => match &upstream.service {
                Some(service) => service.token(Duration::ZERO).await,
                // The config rules it out.
                None => Err(Fault::new(Code::Internal, "an upstream without service tokens was asked for one")),
            },
            Bearer::Narrowed(narrowed) => narrowed.token().await,
        }
    }

    /// The same where it needs no wait; `None` where [`Bearer::token`] would wait.
    pub fn at_hand(&self) -> Option<Result<Grant<Token>, Fault>> {
        match self {
            Bearer::Service(upstream) => upstream.service.as_ref()?.at_hand(),
            Bearer::Narrowed(narrowed) => narrowed.at_hand(),
        }
    }

    /// Another one in place of this, which somebody refused. However many refuse one token, one other is
    /// fetched; `None` where that has been done a moment ago and was no use.
    pub async fn another(&self, refused: &Grant<Token>) -> Option<Result<Grant<Token>, Fault>> {
        match self {
            Bearer::Service(upstream) => upstream.service.as_ref()?.another(refused, Duration::ZERO).await,
            Bearer::Narrowed(narrowed) => narrowed.another(refused).await,
        }
    }

    /// Why no newer one could be had, if that failed.
    pub fn failure(&self) -> Option<Fault> {
        match self {
            Bearer::Service(upstream) => upstream.service.as_ref()?.failure(),
            Bearer::Narrowed(narrowed) => narrowed.failure(),
        }
    }

    /// Somebody took this token for a good one.
    pub fn proved(&self, token: &Grant<Token>) {
        match self {
            Bearer::Service(upstream) => upstream.service.iter().for_each(|service| service.proved(token, true)),
            Bearer::Narrowed(narrowed) => narrowed.proved(token),
        }
    }
}
