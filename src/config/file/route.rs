//! The shapes of `routes`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::At;
use crate::config::units::Span;

/// `routes.*`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The upstream whose service token is injected.
    pub upstream: At<String>,
    /// Where requests go: scheme and host, such as `https://forecast-123.aws.databricksapps.com`.
    pub target: At<String>,
    /// databricks: the OAuth client id of the app, for a token that is good for it alone; default the service
    /// token itself.
    #[serde(default)]
    pub audience: Option<At<String>>,
    /// What may pass: a method and a path, such as `GET /api/**`; `*` is one segment, `**` at the end all that is
    /// below. Default nothing.
    #[serde(default)]
    pub allow: Option<At<Vec<String>>>,
    /// Whether callers must show what `server` asks for; default true.
    #[serde(default)]
    pub require_header: Option<bool>,
    /// Whether WebSockets pass; default true.
    #[serde(default)]
    pub websocket: Option<bool>,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: Option<RouteTimeouts>,
}

/// `routes.*.timeouts`. There is none for bodies: what streams may stream for ever.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouteTimeouts {
    /// Resolving, connecting and TLS; default 2s.
    pub connect: Option<Span>,
    /// From the end of the request to the head of the response; default 60s.
    pub response_headers: Option<Span>,
    /// Without a byte in either direction; default 5m.
    pub idle: Option<Span>,
}
