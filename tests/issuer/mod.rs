//! An OpenID provider for tests, on loopback and over real sockets: it publishes what a test wants published, however it
//! wants that to arrive, counts who fetched it, and signs whatever a test wants signed, right or wrong.
//!
//! It runs on threads of its own, so that tests with and without a runtime can have it, and shares no code with what it
//! is there to test.

#![allow(dead_code, unused_imports, reason = "each of the programs that include this uses a part of it")]

mod answer;
mod keys;
mod server;
mod tls;
mod tokens;

pub use answer::{Answer, Manner};
pub use keys::{SigningKey, ed25519, other_p256, other_rsa, p256, p384, rsa};
pub use server::Issuer;
pub use tokens::{Token, base64, joined, now, opened, unbase64};

use serde_json::{Value, json};

/// The audience of the tokens.
pub const AUDIENCE: &str = "my-app";

/// A set of these keys, as it is published.
pub fn set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}
