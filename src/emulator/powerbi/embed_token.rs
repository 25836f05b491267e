//! Embed tokens: opaque to clients, gzip and base64 as the vendor's are, and sealed, so that nothing has to be kept.

use std::fmt::{self, Debug};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::request::Identity;

/// What an embed token opens, for whom and until when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Grant {
    pub token_id: String,
    /// Seconds since 1970.
    pub expires: i64,
    pub reports: Vec<String>,
    pub datasets: Vec<String>,
    pub dashboards: Vec<String>,
    pub tiles: Vec<String>,
    /// Where reports may be saved.
    pub workspaces: Vec<String>,
    /// Whether any report may be changed.
    pub edit: bool,
    pub identities: Vec<Identity>,
}

/// The key that tells own tokens from others.
pub(super) struct Seal(hmac::Key);

const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// CRC-32 and length, RFC 1952 section 2.3.1.
const GZIP_TRAILER: usize = 8;
const TAG: usize = 32;

impl Seal {
    pub fn new() -> Self {
        let key: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// The token of a grant.
    pub fn token(&self, grant: &Grant) -> String {
        let plain = serde_json::to_vec(grant).unwrap_or_default();
        let mut content = hmac::sign(&self.0, &plain).as_ref().to_vec();
        content.extend(plain);
        STANDARD.encode(gzip(&content))
    }

    /// The grant of a token; none where it is not ours.
    pub fn open(&self, token: &str) -> Option<Grant> {
        let content = stored(&STANDARD.decode(token).ok()?)?;
        let (tag, plain) = content.split_at_checked(TAG)?;
        hmac::verify(&self.0, plain, tag).ok()?;
        serde_json::from_slice(plain).ok()
    }
}

impl Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// A gzip file whose blocks are stored as they are (RFC 1951 section 3.2.4): what matters is what it looks like.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut file = GZIP_HEADER.to_vec();
    let count = content.len().div_ceil(usize::from(u16::MAX));
    for (place, block) in content.chunks(usize::from(u16::MAX)).enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        file.push(u8::from(place + 1 == count));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(block);
    }
    file.extend(crc32(content).to_le_bytes());
    file.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    file
}

/// What such a file holds.
fn stored(file: &[u8]) -> Option<Vec<u8>> {
    let mut rest = file.strip_prefix(&GZIP_HEADER)?;
    let mut content = Vec::new();
    while rest.len() > GZIP_TRAILER {
        let length = u16::from_le_bytes([*rest.get(1)?, *rest.get(2)?]);
        let (block, after) = rest.get(5..)?.split_at_checked(usize::from(length))?;
        content.extend(block);
        rest = after;
    }
    Some(content)
}

/// RFC 1952 section 8.
fn crc32(content: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !content.iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_begins_as_the_vendors_do_and_opens_again() {
        let seal = Seal::new();
        let identity = Identity { username: Some("u".repeat(70_000)), ..Identity::default() };
        let grant = Grant { token_id: "t".to_owned(), expires: 7, identities: vec![identity], ..Grant::default() };
        let token = seal.token(&grant);
        assert!(token.starts_with("H4sI"));
        let opened = seal.open(&token).expect("our own token");
        assert_eq!((opened.expires, &opened.identities[0].username), (7, &grant.identities[0].username));
        assert!(Seal::new().open(&token).is_none());
        assert!(seal.open("H4sI").is_none() && seal.open(&token[..40]).is_none());
    }

    #[test]
    fn the_check_value_of_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
