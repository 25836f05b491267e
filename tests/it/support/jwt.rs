//! What a token says, read without checking it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The payload.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWT has three parts");
    let json = URL_SAFE_NO_PAD.decode(payload).expect("a payload is base64url");
    serde_json::from_slice(&json).expect("a payload is JSON")
}

/// The claim that filters the rows: `urn:aibi:external_data:<value>:<viewer>:<dashboard>`.
pub fn claim(token: &str) -> String {
    claims(token)["custom"]["claim"].as_str().unwrap_or_default().to_owned()
}
