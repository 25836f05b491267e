//! Managed identities: the metadata service of a virtual machine (IMDS), and the endpoint of App Service, Functions and
//! Container Apps (powerbi-boldbi.md section B1).

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::Directory;
use super::token::{Wanted, issue};
use crate::emulator::faults::Plan;
use crate::emulator::wire::{Asked, Reply};

/// Answers either endpoint; the path tells which.
pub(super) fn answer(directory: &Directory, asked: &Asked, plan: &Plan) -> Reply {
    if asked.method != Method::GET {
        return Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let app_service = asked.path.starts_with("/msi/");
    let checked = if app_service { at_app_service(directory, asked) } else { at_imds(asked) };
    match checked.and_then(|()| wanted(directory, asked)) {
        Ok(wanted) => {
            let body = body(directory, &wanted, plan, app_service);
            Reply::json(StatusCode::OK, &Value::Object(body))
        }
        Err((status, why)) if app_service => {
            Reply::json(status, &json!({"statusCode": status.as_u16(), "message": why}))
        }
        Err((status, why)) => Reply::json(status, &json!({"error": "invalid_request", "error_description": why})),
    }
}

type Refusal = (StatusCode, String);

fn bad(why: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, why.to_owned())
}

/// Anything that a browser or a proxy could be led to send is refused: the header is one that nobody sends by mistake,
/// and a forwarded request comes from elsewhere.
fn at_imds(asked: &Asked) -> Result<(), Refusal> {
    if asked.headers.get("metadata").is_none_or(|value| !value.as_bytes().eq_ignore_ascii_case(b"true")) {
        return Err(bad("Required metadata header not specified"));
    }
    if asked.headers.contains_key("x-forwarded-for") {
        return Err(bad("The request was forwarded"));
    }
    has_version(asked)
}

fn at_app_service(directory: &Directory, asked: &Asked) -> Result<(), Refusal> {
    let sent = asked.headers.get("x-identity-header").map(|value| value.as_bytes());
    if sent != Some(directory.settings.identity_header.as_bytes()) {
        return Err((StatusCode::UNAUTHORIZED, "X-IDENTITY-HEADER is missing or wrong".to_owned()));
    }
    has_version(asked)
}

fn has_version(asked: &Asked) -> Result<(), Refusal> {
    if asked.query.contains_key("api-version") {
        Ok(())
    } else {
        Err(bad("Required query variable 'api-version' is missing"))
    }
}

/// The system-assigned identity, or the one that the query names. Selection by object or resource id is not emulated:
/// an unknown identity is the answer.
fn wanted(directory: &Directory, asked: &Asked) -> Result<Wanted, Refusal> {
    let settings = &directory.settings;
    let resource = asked.query.get("resource").ok_or_else(|| bad("Required query variable 'resource' is missing"))?;
    let others = ["object_id", "principal_id", "msi_res_id", "mi_res_id"];
    let named = asked.query.get("client_id");
    let identity = match named {
        _ if others.iter().any(|name| asked.query.contains_key(*name)) => None,
        Some(id) => settings.user_assigned.iter().find(|known| known.eq_ignore_ascii_case(id)),
        None => Some(&settings.managed_identity_id).filter(|_| settings.managed_identity),
    };
    let identity = identity.ok_or_else(|| bad("Identity not found"))?;
    let resource = resource.trim_end_matches('/');
    if !directory.has_resource(resource) {
        return Err(bad(&format!("AADSTS500011: The resource principal named {resource} was not found")));
    }
    let id = identity.clone();
    Ok(Wanted { resource: resource.to_owned(), client_id: id.clone(), object_id: id, strength: "2" })
}

/// Numbers are strings here. App Service sends no `expires_in`.
fn body(directory: &Directory, wanted: &Wanted, plan: &Plan, app_service: bool) -> Map<String, Value> {
    let life = plan.token_life.unwrap_or_else(|| directory.live().managed_identity_life);
    let issued = issue(directory, wanted, life, plan);
    let left = (issued.expires - issued.began).to_string();
    let mut body = Map::new();
    let mut put = |name: &str, value: &str| drop(body.insert(name.to_owned(), json!(value)));
    put("access_token", &issued.token);
    put("client_id", &wanted.client_id);
    put("expires_on", &issued.expires.to_string());
    put("resource", &wanted.resource);
    put("token_type", "Bearer");
    if !app_service {
        put("not_before", &issued.began.to_string());
        put("ext_expires_in", &left);
        Plan::put(&mut body, "expires_in", plan.expires_in.as_ref(), json!(left));
    }
    body
}
