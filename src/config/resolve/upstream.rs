//! `upstreams`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{self, At};
use super::super::{Auth, BaseUrl, Environment, LoadLimit, Proof, Retry, SecretRef, Timeouts, Upstream};
use super::{Problems, secret_ref};

const CLIENT_ID: [&str; 2] = ["DATABRICKS_CLIENT_ID", "SERVICE_PRINCIPAL_ID"];
const CLIENT_SECRET: [&str; 2] = ["DATABRICKS_CLIENT_SECRET", "SERVICE_PRINCIPAL_SECRET"];
const TOKEN_FILE: &str = "DATABRICKS_OIDC_TOKEN_FILEPATH";

pub(super) fn resolve(
    name: &str,
    file: &At<file::Upstream>,
    env: &Environment,
    problems: &mut Problems,
) -> Option<Upstream> {
    let before = problems.0.len();
    let key = |key: &str| format!("upstreams.{name}.{key}");
    let given = &file.value;
    let host = base_url(&given.host.value, given.allow_insecure_http)
        .map_err(|message| problems.add(Some(given.host.place), &key("host"), message));
    let workspace_id = given.workspace_id.as_ref();
    if let Some(id) =
        workspace_id.filter(|id| id.value.is_empty() || !id.value.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        problems.add(Some(id.place), &key("workspace_id"), "must be letters and digits");
    }
    let auth = match &given.auth {
        Some(auth) => auth_given(auth).map_err(|message| problems.add(Some(auth.place), &key("auth"), message)),
        None => auth_from_environment(env).map_err(|message| problems.add(Some(file.place), &key("auth"), message)),
    };
    let limit = given.load_limit.as_ref();
    let load_limit = load_limit(limit.map(|limit| &limit.value))
        .map_err(|message| problems.add(limit.map(|limit| limit.place), &key("load_limit"), message));
    if let Some(ca) = given.ca_file.as_ref().filter(|ca| !ca.value.is_file()) {
        problems.add(Some(ca.place), &key("ca_file"), format!("{} is not a file", ca.value.display()));
    }
    let attempts = given.retry.attempts.unwrap_or(4);
    if !(1..=10).contains(&attempts) {
        problems.add(Some(file.place), &key("retry.attempts"), "must be between 1 and 10");
    }
    let span = |span: Option<super::units::Span>, default| span.map_or(Duration::from_secs(default), |span| span.0);
    let timeouts = Timeouts { connect: span(given.timeouts.connect, 2), request: span(given.timeouts.request, 10) };
    if timeouts.connect.is_zero() || timeouts.request.is_zero() {
        problems.add(Some(file.place), &key("timeouts"), "must be above zero");
    }
    let upstream = Upstream {
        name: name.to_owned(),
        host: host.ok()?,
        workspace_id: workspace_id.map(|id| id.value.clone()),
        auth: auth.ok()?,
        load_limit: load_limit.ok()?,
        timeouts,
        retry: Retry { attempts, max_backoff: span(given.retry.max_backoff, 8) },
        ca_file: given.ca_file.as_ref().map(|ca| ca.value.clone()),
    };
    (problems.0.len() == before).then_some(upstream)
}

/// Limits belong to a workspace, so upstreams of one host share one: it may be written at any of
/// them, and where it is written twice it must say the same.
pub(super) fn share_limits(
    upstreams: &mut BTreeMap<String, Arc<Upstream>>,
    files: &BTreeMap<String, At<file::Upstream>>,
    problems: &mut Problems,
) {
    let mut written: BTreeMap<String, (String, LoadLimit)> = BTreeMap::new();
    for (name, upstream) in upstreams.iter() {
        let Some(limit) = files.get(name).and_then(|file| file.value.load_limit.as_ref()) else {
            continue;
        };
        match written.get(&upstream.host.authority) {
            Some((other, agreed)) if *agreed != upstream.load_limit => problems.add(
                Some(limit.place),
                &format!("upstreams.{name}.load_limit"),
                format!("differs from that of upstream `{other}`, which has the same host and so the same limit"),
            ),
            Some(_) => {}
            None => {
                written.insert(upstream.host.authority.clone(), (name.clone(), upstream.load_limit.clone()));
            }
        }
    }
    for upstream in upstreams.values_mut() {
        if let Some((_, agreed)) = written.get(&upstream.host.authority) {
            Arc::make_mut(upstream).load_limit = agreed.clone();
        }
    }
}

/// `https://host[:port]`, or `http://` for loopback and where it is allowed. Nothing else may be
/// in it: requests are built from parts, never by joining texts.
pub(super) fn base_url(text: &str, insecure_allowed: bool) -> Result<BaseUrl, String> {
    let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => {
            return Err(format!("`{text}` is not a URL such as https://acme.cloud.databricks.com"));
        }
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
    // One workspace has one limit, however its host is written.
    let default_port = if https { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority).to_owned();
    let parsed: http::uri::Authority =
        authority.parse().map_err(|_| format!("`{text}` is not a URL such as https://acme.cloud.databricks.com"))?;
    if authority.contains('@') || parsed.host().is_empty() || authority.ends_with(':') {
        return Err(format!("`{text}` must be just https:// and a host name"));
    }
    let loopback = match parsed.host().trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    };
    if !https && !loopback && !insecure_allowed {
        return Err(
            "sends the secret over the network in the clear: use https://, or set allow_insecure_http: true".into()
        );
    }
    Ok(BaseUrl { https, authority })
}

fn auth_given(auth: &At<file::Auth>) -> Result<Auth, String> {
    let auth = &auth.value;
    let client_id = auth.client_id.clone().filter(|id| !id.is_empty()).ok_or("client_id is missing")?;
    if client_id.contains(|c: char| c.is_control() || c == ':') {
        return Err("client_id holds a character that no client id has".into());
    }
    let secret = secret_ref(auth.client_secret_file.as_deref(), auth.client_secret_env.as_deref())
        .map_err(|message| format!("client_secret {message}"))?;
    let proof = match (secret, &auth.federated_token_file) {
        (Some(secret), None) => Proof::Secret(secret),
        (None, Some(file)) => Proof::Federated(file.clone()),
        (Some(_), Some(_)) => {
            return Err("has a client secret and a federated token: keep one of them".into());
        }
        (None, None) => {
            return Err("needs one of client_secret_file, client_secret_env and federated_token_file".into());
        }
    };
    Ok(Auth { client_id, proof })
}

fn auth_from_environment(env: &Environment) -> Result<Auth, String> {
    let client_id = env.first(&CLIENT_ID).map(|(_, id)| id.to_owned());
    let secret = env.first(&CLIENT_SECRET).map(|(name, _)| Proof::Secret(SecretRef::Env(name.into())));
    let token = env.get(TOKEN_FILE).map(|path| Proof::Federated(PathBuf::from(path)));
    match (client_id, secret.or(token)) {
        (Some(client_id), Some(proof)) => Ok(Auth { client_id, proof }),
        (None, _) => Err("is not given, and DATABRICKS_CLIENT_ID (or SERVICE_PRINCIPAL_ID) is not set".into()),
        (_, None) => Err(format!(
            "is not given, and neither DATABRICKS_CLIENT_SECRET (or SERVICE_PRINCIPAL_SECRET) nor {TOKEN_FILE} is set"
        )),
    }
}

fn load_limit(given: Option<&file::LoadLimit>) -> Result<LoadLimit, String> {
    let default = file::LoadLimit::default();
    let given = given.unwrap_or(&default);
    let limit = LoadLimit {
        per_second: given.per_second.unwrap_or(20),
        window: given.window.map_or(Duration::from_secs(1), |window| window.0),
        max_wait: given.max_wait.map_or(Duration::from_secs(2), |wait| wait.0),
        max_waiting: given.max_waiting.unwrap_or(200),
        per_viewer_per_second: given.per_viewer_per_second.unwrap_or(5),
    };
    if !(1..=100_000).contains(&limit.per_second) {
        return Err("per_second must be between 1 and 100000".into());
    }
    if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&limit.window) {
        return Err("window must be between 1s and 1m".into());
    }
    if limit.per_viewer_per_second == 0 {
        return Err("per_viewer_per_second must be at least 1".into());
    }
    Ok(limit)
}
