//! `sidemint token`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::{Failure, http};
use crate::config::Environment;

/// Longer than any flight may take.
const PATIENCE: Duration = Duration::from_secs(70);

#[derive(clap::Args)]
pub(super) struct Args {
    /// The embed's name in the config
    embed: String,
    /// The viewer: stable and unique
    #[arg(long)]
    viewer_id: String,
    /// The viewer's row filter
    #[arg(long)]
    viewer_value: Option<String>,
    /// A role of the viewer; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// An attribute of the viewer; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
    /// The sidecar; SIDEMINT_LISTEN or http://127.0.0.1:8190 if not given
    #[arg(long)]
    url: Option<String>,
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

pub(super) async fn token(args: Args) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let listen = environment.get("SIDEMINT_LISTEN").and_then(|list| list.split(',').next()).unwrap_or("127.0.0.1:8190");
    let listen = listen.trim().replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
    let url = args.url.clone().unwrap_or_else(|| format!("http://{listen}"));
    let proof = match &args.caller_token_file {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?.trim().to_owned(),
        None => "true".to_owned(),
    };
    let purpose = if args.renew { "renew" } else { "load" };
    let attributes = attributes(&args.attributes)?;
    let viewer =
        json!({"id": args.viewer_id, "value": args.viewer_value, "roles": args.roles, "attributes": attributes});
    let body = json!({"viewer": viewer, "purpose": purpose});
    let headers = [("sidemint-request", proof.as_str()), ("content-type", "application/json")];
    let target = format!("{}/v1/embeds/{}/token", url.trim_end_matches('/'), args.embed);
    let answer = http::send(&target, "POST", &headers, Some(body.to_string()), PATIENCE).await?;
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
