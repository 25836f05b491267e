//! `sidemint token`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::Failure;
use super::http::Server;
use crate::config::Environment;

/// Longer than any flight may take.
const PATIENCE: Duration = Duration::from_secs(70);

#[derive(clap::Args)]
pub(super) struct Args {
    /// The embed's name in the config
    embed: String,
    /// The viewer: stable and unique
    #[arg(long, required_unless_present = "viewer_token_file")]
    viewer_id: Option<String>,
    /// The viewer's row filter
    #[arg(long)]
    viewer_value: Option<String>,
    /// A role of the viewer; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// An attribute of the viewer; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
    /// A file with the viewer's own signed token, where the sidecar asks for one (viewers.source: jwt)
    #[arg(long, value_name = "FILE")]
    viewer_token_file: Option<PathBuf>,
    /// The sidecar: http://HOST:PORT, https://HOST:PORT or unix:/PATH; SIDEMINT_LISTEN or http://127.0.0.1:8190 if not
    /// given
    #[arg(long)]
    url: Option<String>,
    /// A file with more roots to trust, in PEM, for https
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A file with the caller secret, where the sidecar asks for one
    #[arg(long, value_name = "FILE")]
    caller_token_file: Option<PathBuf>,
    /// Ask as the renewal of an open dashboard, which does not count as a load
    #[arg(long)]
    renew: bool,
    /// Print the whole reply
    #[arg(long)]
    json: bool,
}

/// Not a value parser of clap's: it would repeat in its error what may be the value.
fn attributes(given: &[String]) -> Result<BTreeMap<&str, &str>, Failure> {
    let refused = |why: &str| Failure::Usage(vec![format!("--attribute: {why}")]);
    let mut attributes = BTreeMap::new();
    for text in given {
        let (name, value) = text.split_once('=').ok_or_else(|| refused("must be NAME=VALUE"))?;
        if attributes.insert(name, value).is_some() {
            return Err(refused("a name is there twice"));
        }
    }
    Ok(attributes)
}

/// Where a sidecar with this environment would listen, as one reaches it from here.
fn default_url(listen: Option<&str>) -> String {
    let listen = listen.and_then(|list| list.split(',').next()).unwrap_or("127.0.0.1:8190").trim();
    if listen.starts_with("unix:") {
        return listen.to_owned();
    }
    format!("http://{}", listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:"))
}

fn read(path: Option<&Path>) -> anyhow::Result<Option<String>> {
    let text = path.map(|path| std::fs::read_to_string(path).with_context(|| path.display().to_string()));
    Ok(text.transpose()?.map(|text| text.trim().to_owned()))
}

pub(super) async fn token(args: Args) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let url = args.url.clone().unwrap_or_else(|| default_url(environment.get("SIDEMINT_LISTEN")));
    let server = Server::parse(&url, args.ca_file.as_deref()).map_err(|wrong| Failure::Usage(vec![wrong]))?;
    let proof = read(args.caller_token_file.as_deref())?.unwrap_or_else(|| "true".to_owned());
    let bearer = read(args.viewer_token_file.as_deref())?.map(|token| format!("Bearer {token}"));
    let purpose = if args.renew { "renew" } else { "load" };
    let attributes = attributes(&args.attributes)?;
    // What was not given is not said: beside a viewer's token, an empty list would be one without roles.
    let (roles, attributes) =
        (Some(&args.roles).filter(|roles| !roles.is_empty()), Some(attributes).filter(|all| !all.is_empty()));
    let viewer = json!({"id": args.viewer_id, "value": args.viewer_value, "roles": roles, "attributes": attributes});
    let body = json!({"viewer": viewer, "purpose": purpose});
    let mut headers = vec![("sidemint-request", proof.as_str()), ("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    let path = format!("/v1/embeds/{}/token", args.embed);
    let answer = server.send("POST", &path, &headers, Some(body.to_string()), PATIENCE).await?;
    let reply: Value = serde_json::from_slice(&answer.body)
        .with_context(|| format!("{url} answered {}, but not as a sidecar does", answer.status))?;
    let text = |name: &str| reply.get(name).and_then(Value::as_str).unwrap_or_default();
    let known = if answer.status == 200 { "access_token" } else { "code" };
    if text(known).is_empty() {
        return Err(anyhow::anyhow!("{url} answered {}, but not as a sidecar does", answer.status).into());
    }
    if answer.status != 200 {
        return Err(anyhow::anyhow!("{} ({}): {}", text("title"), text("code"), text("detail")).into());
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&reply).map_err(anyhow::Error::from)?);
    } else {
        println!("{}", text("access_token"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::default_url;

    #[test]
    fn the_sidecar_of_this_environment_is_the_default() {
        for (listen, url) in [
            (None, "http://127.0.0.1:8190"),
            (Some("0.0.0.0:9000"), "http://127.0.0.1:9000"),
            (Some("[::]:9000, 127.0.0.1:1"), "http://[::1]:9000"),
            (Some("unix:/run/api.sock,127.0.0.1:8190"), "unix:/run/api.sock"),
        ] {
            assert_eq!(default_url(listen), url);
        }
    }
}
