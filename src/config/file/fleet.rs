//! `fleet:`

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::At;

/// `fleet:`
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// The Redis that all replicas share, such as rediss://redis.infra:6379/0; a user stands in it as
    /// rediss://user@host, a password never does.
    pub redis_url: Option<At<String>>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// An environment variable with the password.
    pub password_env: Option<String>,
    /// More roots to trust, in PEM; with rediss:// only.
    pub ca_file: Option<At<PathBuf>>,
    /// How many replicas there are: without Redis each keeps to its share of the limit. Between 1 and 10000.
    pub replicas: Option<At<u32>>,
}

/// A section without a key in it is as good as none.
pub(super) fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<At<Fleet>>, D::Error> {
    let section = Option::<At<Fleet>>::deserialize(deserializer)?;
    Ok(section.filter(|section| section.value != Fleet::default()))
}
