//! Values that must not be seen.

use aws_lc_rs::digest;
use secrecy::{ExposeSecret, SecretString};

/// A secret in memory: zeroized when dropped, without `Display`, `Serialize` or `PartialEq`, and
/// with a `Debug` that tells nothing.
///
/// Copies that leave through an HTTP client (header values) cannot be wiped; they are marked
/// sensitive instead, so that nothing prints or indexes them.
#[derive(Clone)]
pub struct Secret {
    text: SecretString,
    digest: [u8; 32],
}

impl Secret {
    /// Takes the text into custody.
    pub fn new(text: String) -> Secret {
        let digest = sha256(text.as_bytes());
        Secret { text: SecretString::from(text), digest }
    }

    /// The text itself. Each use is a place to review.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Compares with an offered text in constant time. Digests are compared, not texts, so that
    /// neither the length nor a matching prefix shows in the time.
    pub fn matches(&self, offered: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.digest, &sha256(offered)).is_ok()
    }

    /// Whether two secrets hold the same text.
    pub fn same_as(&self, other: &Secret) -> bool {
        self.digest == other.digest
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// The first eight bytes of a digest in lower-case hex: enough to tell values apart in a log,
/// far too little to be of use to anybody else. Kept in place: there is one with each token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortHex([u8; 16]);

impl ShortHex {
    /// Of the first eight bytes of `digest`.
    pub fn of(digest: &[u8]) -> ShortHex {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [b'0'; 16];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        ShortHex(hex)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        // Only digits were put in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_nothing_and_equality_is_exact() {
        let secret = Secret::new("dose0123".into());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert!(secret.matches(b"dose0123"));
        for wrong in ["", "dose012", "dose01234", "Dose0123", "dose0123\0"] {
            assert!(!secret.matches(wrong.as_bytes()), "{wrong:?}");
        }
    }
}
