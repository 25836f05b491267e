//! `viewers:`

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::units::Span;
use super::{At, OneOrMany};

/// `viewers:`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Viewers {
    /// request: the caller names the viewer; jwt: a signed token of the viewer does.
    pub source: Option<At<ViewerSource>>,
    /// Who signs the viewers' tokens, and what they must say.
    pub jwt: Option<At<Jwt>>,
    /// What becomes of a Databricks viewer id; default reject_pii.
    pub id_privacy: Option<IdPrivacy>,
    /// A file with the key that turns viewer ids into the audit trail's hashes, and into what the
    /// vendor sees under `hmac`; without one, hashes last as long as the process.
    pub hmac_key_file: Option<PathBuf>,
    /// An environment variable with that key.
    pub hmac_key_env: Option<String>,
}

/// `viewers.source`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ViewerSource {
    /// The caller names the viewer.
    #[default]
    Request,
    /// A signed token of the viewer does, which the caller passes on.
    Jwt,
}

/// `viewers.id_privacy`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdPrivacy {
    /// Refuse e-mail addresses.
    #[default]
    RejectPii,
    /// Send a keyed hash (HMAC-SHA256) in place of the id.
    Hmac,
    /// Take any id as it is.
    Plain,
}

/// `viewers.jwt`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The `iss` of the tokens; its keys are found by OpenID Connect Discovery, unless jwks_url or jwks_file is given.
    pub issuer: At<String>,
    /// Where the issuer's keys are.
    #[serde(default)]
    pub jwks_url: Option<At<String>>,
    /// A file with the issuer's keys, re-read when it changes.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// What must be among the tokens' `aud`: one text, or a list of which one will do.
    pub audience: OneOrMany,
    /// Accepted algorithms, asymmetric ones only; default RS256 and ES256.
    #[serde(default)]
    pub algorithms: Option<At<Vec<String>>>,
    /// The claim with the viewer's id; default sub. A name, or a JSON pointer such as /realm_access/roles.
    #[serde(default)]
    pub id_claim: Option<At<String>>,
    /// The claim with the viewer's value.
    #[serde(default)]
    pub value_claim: Option<At<String>>,
    /// The claim with the viewer's roles, a list of texts or one text.
    #[serde(default)]
    pub roles_claim: Option<At<String>>,
    /// Attributes of the viewer by name, each with its claim.
    #[serde(default)]
    pub attribute_claims: BTreeMap<String, At<String>>,
    /// How far the clocks of the issuer and this machine may be apart; default 60s, at most 5m.
    #[serde(default)]
    pub clock_skew: Option<At<Span>>,
    /// More roots to trust for the issuer.
    #[serde(default)]
    pub ca_file: Option<At<PathBuf>>,
    /// Accept http:// beyond loopback; default false.
    #[serde(default)]
    pub allow_insecure_http: bool,
}
