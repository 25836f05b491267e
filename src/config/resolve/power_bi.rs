//! `upstreams` of Power BI.

mod item;

use std::path::PathBuf;
use std::time::Duration;

use super::super::file::{self, At, Cloud};
use super::super::{BaseUrl, Entra, EntraIdentity, Environment, IdentityEndpoint, PowerBi, Proof, SecretRef};
use super::url::{base_url, check_client_id};
use super::{Section, foreign, secret_ref};
pub(super) use item::item;

const TENANT_ID: &str = "AZURE_TENANT_ID";
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
/// The instance metadata service of Azure, and the variable with which its SDKs find another one.
const IMDS: &str = "http://169.254.169.254";
const IMDS_OVERRIDE: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

/// Where a cloud is. Source: the vendor's page on national clouds and its samples' cloud configs.
struct Preset {
    authority: &'static str,
    scope: &'static str,
    api: &'static str,
    app: &'static str,
}

fn preset(cloud: Cloud) -> Preset {
    let (authority, scope, api, app) = match cloud {
        Cloud::Public => (
            "https://login.microsoftonline.com",
            "https://analysis.windows.net/powerbi/api/.default",
            "https://api.powerbi.com",
            "https://app.powerbi.com",
        ),
        Cloud::UsgovGcc => (
            "https://login.microsoftonline.com",
            "https://analysis.usgovcloudapi.net/powerbi/api/.default",
            "https://api.powerbigov.us",
            "https://app.powerbigov.us",
        ),
        Cloud::UsgovHigh => (
            "https://login.microsoftonline.us",
            "https://high.analysis.usgovcloudapi.net/powerbi/api/.default",
            "https://api.high.powerbigov.us",
            "https://app.high.powerbigov.us",
        ),
        Cloud::UsgovDod => (
            "https://login.microsoftonline.us",
            "https://mil.analysis.usgovcloudapi.net/powerbi/api/.default",
            "https://api.mil.powerbigov.us",
            "https://app.mil.powerbigov.us",
        ),
        Cloud::China => (
            "https://login.chinacloudapi.cn",
            "https://analysis.chinacloudapi.cn/powerbi/api/.default",
            "https://api.powerbi.cn",
            "https://app.powerbi.cn",
        ),
    };
    Preset { authority, scope, api, app }
}

pub(super) fn system(given: &file::Upstream, env: &Environment, section: &mut Section<'_>) -> Option<PowerBi> {
    const OURS: [&str; 7] =
        ["tenant_id", "cloud", "authority", "api_url", "app_url", "scope", "service_token_min_life"];
    section.refuse_foreign("powerbi", &foreign::upstream_keys(given), &OURS);
    let preset = preset(given.cloud.as_ref().map(|cloud| cloud.value).unwrap_or_default());
    let mut url = |key: &str, written: Option<&At<String>>, default: &str| {
        let (text, place) = written.map_or((default, None), |at| (at.value.as_str(), Some(at.place)));
        base_url(text, given.allow_insecure_http).map_err(|message| section.add(place, key, message)).ok()
    };
    // The variable is part of the vendor's own names for a credential, and counts where no cloud is named.
    let by_name = env.get(AUTHORITY).filter(|_| given.cloud.is_none() && given.auth.is_none());
    let authority = url("authority", given.authority.as_ref(), by_name.unwrap_or(preset.authority));
    let api = url("api_url", given.api_url.as_ref(), preset.api);
    let app = url("app_url", given.app_url.as_ref(), preset.app);
    let scope = given.scope.as_ref().map_or(preset.scope, |scope| &scope.value).to_owned();
    if !scope.ends_with("/.default") || scope.contains(|c: char| c.is_whitespace() || c.is_control()) {
        section.add(given.scope.as_ref().map(At::place), "scope", "must be one resource and `/.default`");
    }
    let min_life = given.service_token_min_life.as_ref();
    let service_token_min_life = min_life.map_or(Duration::from_secs(1800), |life| life.value.0);
    if service_token_min_life > Duration::from_secs(24 * 3600) {
        section.add(min_life.map(At::place), "service_token_min_life", "must be at most 24h: no token lives longer");
    }
    let identity = identity(given, authority, env, section);
    Some(PowerBi { api: api?, app: app?, entra: Entra { scope, identity: identity? }, service_token_min_life })
}

fn identity(
    given: &file::Upstream,
    authority: Option<BaseUrl>,
    env: &Environment,
    section: &mut Section<'_>,
) -> Option<EntraIdentity> {
    let place = given.auth.as_ref().map(At::place);
    let auth = match &given.auth {
        Some(auth) => auth_given(&auth.value, env),
        None => auth_from_environment(env).map(|(client_id, proof)| Auth::Application { client_id, proof }),
    };
    match auth.map_err(|message| section.add(place, "auth", message)).ok()? {
        Auth::Managed { client_id, endpoint } => Some(EntraIdentity::Managed { client_id, endpoint }),
        Auth::Application { client_id, proof } => {
            let tenant = given.tenant_id.as_ref();
            let tenant_id = tenant.map(|tenant| tenant.value.as_str()).or_else(|| env.get(TENANT_ID));
            let Some(tenant_id) = tenant_id else {
                section.add(None, "tenant_id", format!("is missing, and {TENANT_ID} is not set"));
                return None;
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            // It is a part of a path, which dots alone would leave.
            let begins = tenant_id.starts_with(|c: char| c.is_ascii_alphanumeric());
            if !begins || !tenant_id.bytes().all(plain) {
                section.add(tenant.map(At::place), "tenant_id", "must be the tenant's UUID or a domain of it");
                return None;
            }
            Some(EntraIdentity::Application {
                authority: authority?,
                tenant_id: tenant_id.to_owned(),
                client_id,
                proof,
            })
        }
    }
}

enum Auth {
    Application { client_id: String, proof: Proof },
    Managed { client_id: Option<String>, endpoint: IdentityEndpoint },
}

fn auth_given(auth: &file::Auth, env: &Environment) -> Result<Auth, String> {
    let client_id = auth.client_id.clone().filter(|id| !id.is_empty());
    client_id.as_deref().map_or(Ok(()), check_client_id)?;
    let secret = secret_ref(auth.client_secret_file.as_deref(), auth.client_secret_env.as_deref())
        .map_err(|message| format!("client_secret {message}"))?;
    if auth.has_embed_secret() {
        return Err("has an embed secret, which Power BI does not take".into());
    }
    if auth.private_key_file.is_some() && auth.certificate_file.is_none() {
        return Err("has private_key_file without certificate_file".into());
    }
    let certificate = auth.certificate_file.clone();
    let certificate =
        certificate.map(|certificate| Proof::Certificate { certificate, private_key: auth.private_key_file.clone() });
    let token = auth.federated_token_file.clone().map(Proof::Federated);
    let mut proofs: Vec<Proof> = [secret.map(Proof::Secret), certificate, token].into_iter().flatten().collect();
    match (proofs.pop(), proofs.is_empty(), auth.managed_identity) {
        (None, _, true) => Ok(Auth::Managed { client_id, endpoint: identity_endpoint(env)? }),
        (Some(proof), true, false) => {
            Ok(Auth::Application { client_id: client_id.ok_or("client_id is missing")?, proof })
        }
        (None, _, false) => Err("needs one of client_secret_file, client_secret_env, certificate_file, \
                                 federated_token_file and managed_identity"
            .into()),
        _ => Err("has several of a client secret, a certificate, a federated token and managed_identity: keep one \
                  of them"
            .into()),
    }
}

/// What the vendor's SDKs call EnvironmentCredential and WorkloadIdentityCredential, in their order.
fn auth_from_environment(env: &Environment) -> Result<(String, Proof), String> {
    let client_id = env.get(CLIENT_ID).ok_or_else(|| format!("is not given, and {CLIENT_ID} is not set"))?.to_owned();
    check_client_id(&client_id)?;
    let proof = if env.get(CLIENT_SECRET).is_some() {
        Proof::Secret(SecretRef::Env(CLIENT_SECRET.into()))
    } else if let Some(path) = env.get(CERTIFICATE) {
        Proof::Certificate { certificate: PathBuf::from(path), private_key: None }
    } else if let Some(path) = env.get(TOKEN_FILE) {
        Proof::Federated(PathBuf::from(path))
    } else {
        return Err(format!("is not given, and none of {CLIENT_SECRET}, {CERTIFICATE} and {TOKEN_FILE} is set"));
    };
    Ok((client_id, proof))
}

/// App Service says by two variables where it is; everything else on Azure has the metadata service.
fn identity_endpoint(env: &Environment) -> Result<IdentityEndpoint, String> {
    if env.get("IDENTITY_SERVER_THUMBPRINT").is_some() || env.get("IMDS_ENDPOINT").is_some() {
        return Err(
            "has managed_identity, and this is Service Fabric or Azure Arc, whose endpoints are not spoken".into()
        );
    }
    match (env.get("IDENTITY_ENDPOINT"), env.get("IDENTITY_HEADER")) {
        (Some(endpoint), Some(_)) => {
            let bad = || "has managed_identity, but IDENTITY_ENDPOINT is no URL".to_owned();
            let uri: http::Uri = endpoint.parse().map_err(|_| bad())?;
            let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or_else(bad)?;
            // The platform set it: it is on this machine, whatever it is called.
            let host = base_url(&format!("{scheme}://{authority}"), true)?;
            let header = SecretRef::Env("IDENTITY_HEADER".into());
            Ok(IdentityEndpoint::AppService { host, path: uri.path().to_owned(), header })
        }
        _ => {
            let host = env.get(IMDS_OVERRIDE).unwrap_or(IMDS);
            let host = base_url(host, true).map_err(|message| format!("{IMDS_OVERRIDE}: {message}"))?;
            Ok(IdentityEndpoint::Imds(host))
        }
    }
}
