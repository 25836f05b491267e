//! Who vouches for viewers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::BaseUrl;

/// The issuer of the viewers' tokens, and what they must say.
#[derive(Clone, Debug, PartialEq)]
pub struct Issuer {
    /// The `iss` of the tokens.
    pub name: String,
    /// Where its keys are.
    pub keys: KeysFrom,
    /// One of these must be among the tokens' `aud`.
    pub audiences: Vec<String>,
    /// How tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Where the viewer's id is.
    pub id: Claim,
    /// Where the viewer's value is.
    pub value: Option<Claim>,
    /// Where the viewer's roles are.
    pub roles: Option<Claim>,
    /// Where the viewer's attributes are.
    pub attributes: BTreeMap<String, Claim>,
    /// How far clocks may be apart.
    pub clock_skew: Duration,
    /// More roots to trust.
    pub ca_file: Option<PathBuf>,
    /// Whether the keys may come over http:// from beyond this machine.
    pub insecure_allowed: bool,
}

impl Issuer {
    /// Whether the two have their keys from the same place, in the same way.
    pub fn has_the_keys_of(&self, other: &Issuer) -> bool {
        let way = |issuer: &Issuer| (issuer.name.clone(), issuer.ca_file.clone(), issuer.insecure_allowed);
        self.keys == other.keys && way(self) == way(other)
    }
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq)]
pub enum KeysFrom {
    /// Where its metadata says (OpenID Connect Discovery 1.0 section 4). The URL is that of the metadata.
    Discovery(Url),
    /// Here.
    Url(Url),
    /// In this file.
    File(PathBuf),
}

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Url {
    /// Scheme and authority.
    pub base: BaseUrl,
    /// Path and query, as they are sent.
    pub path: String,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.base, self.path)
    }
}

/// Where in a token's payload something is.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// The member of this very name.
    Name(String),
    /// A JSON pointer (RFC 6901).
    Pointer(String),
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Claim::Name(text) | Claim::Pointer(text)) = self;
        f.write_str(text)
    }
}

macro_rules! algorithms {
    ($($name:ident $text:literal),* $(,)?) => {
        /// A signature of RFC 7518 section 3 or RFC 8037 that needs no shared secret.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the words are those of the RFCs")]
        pub enum Algorithm { $($name),* }

        impl Algorithm {
            /// The word of the RFCs.
            pub fn as_str(self) -> &'static str { match self { $(Algorithm::$name => $text),* } }
            /// The algorithm of this name; letters count as they are.
            pub fn named(name: &str) -> Option<Algorithm> { match name { $($text => Some(Algorithm::$name),)* _ => None } }
        }
    };
}

algorithms! {
    Rs256 "RS256", Rs384 "RS384", Rs512 "RS512", Ps256 "PS256", Ps384 "PS384", Ps512 "PS512",
    Es256 "ES256", Es384 "ES384", EdDsa "EdDSA",
}
