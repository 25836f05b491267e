//! `upstreams` and `embeds` of Databricks.

use std::path::PathBuf;
use std::time::Duration;

use super::super::file;
use super::super::{Databricks, Environment, Item, Proof, SecretRef};
use super::url::{base_url, check_client_id, is_id};
use super::{Section, foreign, secret_ref};

const CLIENT_ID: [&str; 2] = ["DATABRICKS_CLIENT_ID", "SERVICE_PRINCIPAL_ID"];
const CLIENT_SECRET: [&str; 2] = ["DATABRICKS_CLIENT_SECRET", "SERVICE_PRINCIPAL_SECRET"];
const TOKEN_FILE: &str = "DATABRICKS_OIDC_TOKEN_FILEPATH";

/// The vendor's page client renews five minutes before the end and loops without pause when it
/// gets less (reference: aibi-client 1.0.3, 515 calls in 2.5 s).
pub(super) const PAGE_CLIENT_MARGIN: Duration = Duration::from_secs(300);

pub(super) fn system(given: &file::Upstream, env: &Environment, section: &mut Section<'_>) -> Option<Databricks> {
    section.refuse_foreign("databricks", &foreign::upstream_keys(given), &["host", "workspace_id", "metadata_service"]);
    let host = match &given.host {
        None => {
            section.add(None, "host", "is missing: the URL of the workspace");
            None
        }
        Some(host) => base_url(&host.value, given.allow_insecure_http)
            .map_err(|message| section.add(Some(host.place), "host", message))
            .ok(),
    };
    let workspace_id = given.workspace_id.as_ref();
    if let Some(id) =
        workspace_id.filter(|id| id.value.is_empty() || !id.value.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        section.add(Some(id.place), "workspace_id", "must be letters and digits");
    }
    let auth = match &given.auth {
        Some(auth) => auth_given(&auth.value).map_err(|message| section.add(Some(auth.place), "auth", message)),
        None => auth_from_environment(env).map_err(|message| section.add(None, "auth", message)),
    };
    let (client_id, proof) = auth.ok()?;
    Some(Databricks {
        host: host?,
        workspace_id: workspace_id.map(|id| id.value.clone()),
        client_id,
        proof,
        metadata_service: given.metadata_service.as_ref().is_some_and(|opened| opened.value),
    })
}

pub(super) fn item(given: &file::Embed, section: &mut Section<'_>) -> Option<Item> {
    section.refuse_foreign("databricks", &foreign::embed_keys(given), &["dashboard_id"]);
    let Some(id) = &given.dashboard_id else {
        section.add(None, "dashboard_id", "is missing: the id from the dashboard's URL");
        return None;
    };
    if !is_id(&id.value) {
        let message = "must be the id from the dashboard's URL: letters, digits, '-' and '_'";
        section.add(Some(id.place), "dashboard_id", message);
        return None;
    }
    Some(Item::Databricks { dashboard_id: id.value.clone() })
}

fn auth_given(auth: &file::Auth) -> Result<(String, Proof), String> {
    if auth.certificate_file.is_some()
        || auth.private_key_file.is_some()
        || auth.managed_identity
        || auth.has_embed_secret()
    {
        return Err("has a certificate, managed identity or embed secret, which Databricks does not take".into());
    }
    let client_id = auth.client_id.clone().filter(|id| !id.is_empty()).ok_or("client_id is missing")?;
    check_client_id(&client_id)?;
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
    Ok((client_id, proof))
}

fn auth_from_environment(env: &Environment) -> Result<(String, Proof), String> {
    let client_id = env.first(&CLIENT_ID).map(|(_, id)| id.to_owned());
    let secret = env.first(&CLIENT_SECRET).map(|(name, _)| Proof::Secret(SecretRef::Env(name.into())));
    let token = env.get(TOKEN_FILE).map(|path| Proof::Federated(PathBuf::from(path)));
    match (client_id, secret.or(token)) {
        (Some(client_id), Some(proof)) => Ok((client_id, proof)),
        (None, _) => Err("is not given, and DATABRICKS_CLIENT_ID (or SERVICE_PRINCIPAL_ID) is not set".into()),
        (_, None) => Err(format!(
            "is not given, and neither DATABRICKS_CLIENT_SECRET (or SERVICE_PRINCIPAL_SECRET) nor {TOKEN_FILE} is set"
        )),
    }
}
