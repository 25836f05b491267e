//! The documents that clients read before they ask for a token.

use http::StatusCode;
use serde_json::json;

use super::{Directory, errors};
use crate::emulator::wire::{Asked, Reply};

/// Names of a tenant that stand for any. Service principals cannot get tokens under them.
const ANY_TENANT: [&str; 3] = ["common", "organizations", "consumers"];

/// Answers with the document that the path names.
pub(super) fn answer(directory: &Directory, asked: &Asked) -> Reply {
    let segments = asked.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["common", "discovery", "instance"] => instance(directory, asked),
        [tenant, "discovery", ..] if is_known(directory, tenant) => {
            Reply::json(StatusCode::OK, &directory.keys().jwks())
        }
        [tenant, ..] if is_known(directory, tenant) => openid(tenant, asked),
        [tenant, ..] => {
            let text = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
            errors::answer(StatusCode::BAD_REQUEST, 90_002, "invalid_tenant", &text)
        }
        [] => Reply::empty(StatusCode::NOT_FOUND),
    }
}

fn is_known(directory: &Directory, tenant: &str) -> bool {
    tenant.eq_ignore_ascii_case(&directory.settings.tenant_id) || ANY_TENANT.contains(&tenant)
}

/// `metadata` must not be empty, and its aliases must name the host: older Node clients fail without
/// (powerbi-boldbi.md section G).
fn instance(directory: &Directory, asked: &Asked) -> Reply {
    let authority = asked.base_url.split("://").nth(1).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let body = json!({
        "tenant_discovery_endpoint":
            format!("{}/{}/v2.0/.well-known/openid-configuration", asked.base_url, directory.settings.tenant_id),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": authority,
            "preferred_cache": authority,
            "aliases": [authority, host],
        }],
    });
    Reply::json(StatusCode::OK, &body)
}

/// The tenant is written as the client wrote it, as the vendor does it for `common`.
fn openid(tenant: &str, asked: &Asked) -> Reply {
    let base = format!("{}/{tenant}", asked.base_url);
    // Without `v2.0` it is the authority of an OpenID Connect client, which wants its own URL back as the issuer.
    let issuer = if asked.path.contains("/v2.0/") { format!("{base}/v2.0") } else { base.clone() };
    let body = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    });
    Reply::json(StatusCode::OK, &body)
}
