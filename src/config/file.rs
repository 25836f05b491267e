//! The shapes of the config file, and the only YAML in the crate.
//!
//! Everything here is optional that may be left out; what it all means together is decided in
//! [`super::resolve`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

pub use embed::{AccessLevel, Embed, Filter, GroupAccess, Operator, Origin, Rls, Roles, ViewerField};
pub use fleet::Fleet;
pub use route::{Route, RouteTimeouts};
pub use server::{Server, Tls, UnixSocket};
pub use upstream::{Auth, Cloud, Flow, Kind, LoadLimit, Retry, SignedText, Timeouts, Upstream};
pub use viewers::{IdPrivacy, Jwt, ViewerSource, Viewers};

use super::Problem;
use super::units::{Bytes, Span};

mod embed;
mod fleet;
mod route;
mod server;
mod upstream;
mod viewers;

/// Reads a config file's text.
///
/// # Errors
/// The first problem, with its line and column and without a word of the file's text: a file may
/// hold what somebody wrongly pasted into it.
pub fn parse(text: &str) -> Result<File, Problem> {
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    serde_saphyr::from_str_with_options::<Option<File>>(text, options).map(Option::unwrap_or_default).map_err(|error| {
        let place = error.location().map(|l| (l.line(), l.column()));
        let text = error.without_snippet().to_string();
        // The library puts the place at the end of the sentence; ours stands in front of it.
        let message = text.split(" at line ").next().unwrap_or(&text);
        // And it tells its own callers what they could allow.
        let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message).to_owned();
        Problem { place, key: String::new(), message: message.replace('\n', " ") }
    })
}

/// The `admin.listen` of a config that may be wrong in any other way.
pub fn admin_listen(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Loose {
        admin: LooseAdmin,
    }
    #[derive(Deserialize)]
    struct LooseAdmin {
        listen: String,
    }
    serde_saphyr::from_str::<Loose>(text).ok().map(|loose| loose.admin.listen)
}

/// A section that is there but empty, its keys all commented out, is a section of defaults.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Line and column, from 1.
    pub place: (u64, u64),
}

impl<T> At<T> {
    /// Where it stands.
    pub fn place(&self) -> (u64, u64) {
        self.place
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<At<T>, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        let place = (spanned.referenced.line(), spanned.referenced.column());
        Ok(At { value: spanned.value, place })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// A key that must not be used; the message says what to write instead.
#[derive(Clone, Debug, PartialEq)]
pub struct LiteralSecret;

impl<'de> Deserialize<'de> for LiteralSecret {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<LiteralSecret, D::Error> {
        Err(serde::de::Error::custom(
            "a secret does not belong into the config: name a file with `client_secret_file` (boldbi: `embed_secret_file`) or a variable with `client_secret_env` (`embed_secret_env`)",
        ))
    }
}

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Sidemint configuration")]
pub struct File {
    /// The token API for apps.
    #[serde(deserialize_with = "or_default")]
    pub server: At<Server>,
    /// Health, metrics and status.
    #[serde(deserialize_with = "or_default")]
    pub admin: At<Admin>,
    /// Logging and the audit trail.
    #[serde(deserialize_with = "or_default")]
    pub log: Log,
    /// The cache of viewer tokens.
    #[serde(deserialize_with = "or_default")]
    pub cache: Cache,
    /// Who the viewers are.
    #[serde(deserialize_with = "or_default")]
    pub viewers: Viewers,
    /// Vendor systems that issue tokens, by name.
    #[serde(deserialize_with = "or_default")]
    pub upstreams: BTreeMap<String, At<Upstream>>,
    /// What can be shown, by name.
    #[serde(deserialize_with = "or_default")]
    pub embeds: BTreeMap<String, At<Embed>>,
    /// Reverse-proxy targets that are called with a service token, by name.
    #[serde(deserialize_with = "or_default")]
    pub routes: BTreeMap<String, At<Route>>,
    /// One load limit for all replicas, kept in Redis; default: each process keeps its own.
    #[serde(deserialize_with = "fleet::or_none")]
    pub fleet: Option<At<Fleet>>,
}

impl<T: Default> Default for At<T> {
    fn default() -> Self {
        At { value: T::default(), place: (1, 1) }
    }
}

/// One text or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// `admin:`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Where /livez, /readyz, /startupz, /metrics and /status are; default 127.0.0.1:8191.
    pub listen: Option<String>,
    /// Open POST /quitquitquit; default false.
    pub quit: Option<bool>,
}

/// `log:`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// error, warn, info, debug or trace, or directives such as `info,sidemint::upstream=debug`.
    pub level: Option<String>,
    /// json or text; default json.
    pub format: Option<LogFormat>,
    /// Write one line for each hand-out and each refusal; default true.
    pub audit: Option<bool>,
}

/// `log.format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// `cache:`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Bound on the memory of viewer tokens; default 64MiB.
    pub max_size: Option<Bytes>,
    /// Stop renewing what nobody asked for so long; default 30m.
    pub idle: Option<Span>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_have_a_place_and_do_not_quote_the_file() {
        for (text, place, says) in [
            ("server:\n  lissten: x\n", (2, 3), "unknown field `lissten`"),
            ("log: {}\nlog: {}\n", (2, 1), "duplicate"),
            ("server:\n  workers: many\n", (2, 12), ""),
            ("routes:\n  forecast: {upstream: a}\n", (2, 14), "missing field `target`"),
            ("fleet:\n  replica: 2\n", (2, 3), "unknown field `replica`"),
            ("fleet: {replicas: 2, replicas: 2}\n", (1, 22), "duplicate"),
            ("cache: {max_size: 64}\n", (1, 19), "not a size"),
            (
                "upstreams:\n  a:\n    kind: databricks\n    host: h\n    auth:\n      client_secret: dose123\n",
                (6, 22),
                "does not belong",
            ),
        ] {
            let problem = parse(text).expect_err(text);
            assert_eq!(problem.place, Some(place), "{text}: {problem:?}");
            assert!(problem.message.contains(says), "{problem:?}");
            assert!(!problem.message.contains("dose123"));
        }
    }

    #[test]
    fn an_empty_file_is_a_file() {
        assert!(parse("").is_ok());
        assert!(parse("# nothing\n").is_ok());
        assert!(parse("server:\nroutes: {}\nfleet: null\n").is_ok());
        assert!(parse("fleet: {}\n").is_ok_and(|file| file.fleet.is_none()));
    }
}
