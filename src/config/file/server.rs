//! `server:`

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::units::{Bytes, Mode, Span};
use super::{At, OneOrMany};

/// `server:`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Where apps ask: addresses, or paths of unix sockets such as unix:/run/sidemint/api.sock; default
    /// 127.0.0.1:8190.
    pub listen: Option<OneOrMany>,
    /// Every request must carry `Sidemint-Request: true`; default true.
    pub require_header: Option<bool>,
    /// A file with a secret that the header must carry instead of `true`.
    pub caller_token_file: Option<PathBuf>,
    /// An environment variable with that secret.
    pub caller_token_env: Option<String>,
    /// Host names accepted besides `localhost`, `127.0.0.1`, `[::1]` and the listen addresses.
    pub allowed_hosts: Vec<String>,
    /// Origins of browsers that may call directly; default none.
    pub allowed_origins: Vec<String>,
    /// Largest request body; default 64KiB.
    pub max_body: Option<Bytes>,
    /// Accept requests that carry X-Forwarded-*; default false.
    pub allow_forwarded: Option<bool>,
    /// Longest time for a request head to arrive; default 5s.
    pub header_timeout: Option<Span>,
    /// Longest time to finish what is in flight at a stop; default 10s.
    pub drain_timeout: Option<Span>,
    /// Event loops; one fills a core; default 1.
    pub workers: Option<usize>,
    /// Who may use the unix sockets of `listen`.
    pub unix_socket: Option<At<UnixSocket>>,
    /// What the TCP addresses of `listen` show and ask for; default: they speak plain HTTP.
    pub tls: Option<At<Tls>>,
}

/// `server.unix_socket`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UnixSocket {
    /// Permission bits of the socket's file; default "0660".
    pub mode: Option<Mode>,
    /// The file's owner, as a number; default: the user that sidemint runs as.
    pub owner: Option<u32>,
    /// The file's group, as a number; default: the group that sidemint runs as.
    pub group: Option<u32>,
    /// Users that are let in, as numbers; default: whomever the file's mode lets in.
    pub peer_uids: Vec<u32>,
}

/// `server.tls`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, with those between it and its root behind it, in PEM.
    pub cert_file: PathBuf,
    /// The certificate's private key, in PEM.
    pub key_file: PathBuf,
    /// The authorities whose client certificates callers must show, in PEM; default: none is asked for.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
}
