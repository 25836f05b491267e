//! Who is looking: a viewer is who the issuer's signature says, not who the caller says.
//!
//! A token passes in this order, and the first gate that it does not fit refuses it: its size and shape and header
//! ([`jws`]), the issuer's keys ([`KeySet`]), its signature, its claims ([`claims`]). The library checks signatures;
//! what it lets pass besides (RFC 8725 says what should not) is refused here. The keys are a lease ([`Issuer`]):
//! fetched ahead of time, kept through outages, and fetched anew for a key that nobody knows, but not in a loop.

pub mod claims;
mod issuer;
mod json;
mod jwk;
pub mod jws;
mod key_set;
mod source;

pub use issuer::{Issuer, KeysStatus};
pub use key_set::KeySet;
pub use source::KeySource;

/// Why a token proves nothing; the text says nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none, or there are several.
    #[error("send the viewer's token in the header `Authorization: Bearer`, once")]
    Missing,
    /// Over [`jws::LONGEST`].
    #[error("the viewer's token is over 16 KiB")]
    TooLong,
    /// Not three parts in base64url.
    #[error("the viewer's token is no signed JWT: it must be three parts in base64url, without padding")]
    Shape,
    /// Its header says something that is not taken here.
    #[error("the header of the viewer's token {0}")]
    Header(&'static str),
    /// Signed by a key that the issuer does not publish.
    #[error("the viewer's token is signed by a key that is not among the issuer's")]
    UnknownKey,
    /// Signed by somebody else, or changed since.
    #[error("the signature of the viewer's token is wrong")]
    Signature,
    /// A claim is missing or is not as it has to be.
    #[error("the viewer's token {0}")]
    Claim(&'static str),
    /// A claim that the config names is missing, or is no text.
    #[error("the viewer's token lacks the claim that viewers.jwt.{0} names, or has it as something else than {1}")]
    Named(&'static str, &'static str),
}
