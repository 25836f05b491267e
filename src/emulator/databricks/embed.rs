//! The embedded dashboard: the page for the iframe and the data it asks for.
//!
//! The page and its protocol follow databricks.md sections 4.2 to 4.4. What today's page calls for data is unknown, so
//! these endpoints are the emulator's own: `load` once at the start of a page, `data` for each refresh.

use http::header::{CONTENT_SECURITY_POLICY, RETRY_AFTER};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Workspace, tokeninfo};
use crate::emulator::dashboard::{self, sales};
use crate::emulator::keys::Refused;
use crate::emulator::wire::{Asked, Reply};

const CLAIM_PREFIX: &str = "urn:aibi:external_data:";

/// The page; the dashboard is named by its own URL.
pub(super) fn page(workspace: &Workspace) -> Reply {
    let domains = &workspace.settings.approved_domains;
    let ancestors = if domains.is_empty() { "*".to_owned() } else { domains.join(" ") };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
         img-src 'self' data:; frame-ancestors {ancestors}"
    );
    let page = include_str!("embed.html").replace("{style}", dashboard::STYLE);
    Reply::html(page).with(CONTENT_SECURITY_POLICY, &policy)
}

/// Its script.
pub(super) fn script() -> Reply {
    Reply::new(StatusCode::OK, "text/javascript; charset=utf-8", dashboard::script(include_str!("embed.js")))
}

/// Rows for the viewer that the token names. `starts` is true for the first request of a page, which is what the
/// vendor's limit counts.
pub(super) fn data(workspace: &Workspace, asked: &Asked, dashboard: &str, starts: bool) -> Reply {
    let wanted = if starts { Method::POST } else { Method::GET };
    if asked.method != wanted {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "load is POST, data is GET");
    }
    let viewer = match viewer(workspace, asked.bearer().unwrap_or_default(), dashboard) {
        Ok(viewer) => viewer,
        Err(reply) => return reply,
    };
    let Some(title) = workspace.dashboard(dashboard).map(|dashboard| &dashboard.title) else {
        return refused(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", "This dashboard does not exist.");
    };
    if starts && !workspace.admit_load() {
        let limit = workspace.settings.loads_per_second;
        let why = format!("More than {limit} dashboards started to load within one second.");
        return refused(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", &why).with(RETRY_AFTER, "1");
    }
    let body = json!({
        "title": title,
        "external_value": viewer.value,
        "rows": sales::rows_of(dashboard, &viewer.value),
    });
    Reply::json(StatusCode::OK, &body)
}

/// Whom a token lets look at what.
struct Viewer {
    value: String,
}

/// The texts are the vendor's where one is known (databricks.md section 3).
fn viewer(workspace: &Workspace, token: &str, dashboard: &str) -> Result<Viewer, Reply> {
    let claims = workspace.keys.verify(token).map_err(|why| {
        let name = if why == Refused::Expired { "The token is expired." } else { "Invalid Token" };
        refused(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", name)
    })?;
    let claim = claims["custom"]["claim"].as_str().and_then(parse_claim);
    let (value, claimed) = claim
        .ok_or_else(|| refused(StatusCode::BAD_REQUEST, "BAD_REQUEST", "Dashboard ID is missing in token claim."))?;
    let scope = claims["scope"].as_str().unwrap_or_default();
    if !scope.split(' ').any(|one| one.starts_with("dashboards")) {
        return Err(forbidden("Provided OAuth token does not have required scopes: dashboards"));
    }
    if claimed != dashboard || !may_run(workspace, &claims, dashboard) {
        return Err(forbidden("The token is for another dashboard."));
    }
    // A token minted by hand, without `authorization_details`, was seen to work: only the documented way passes
    // the other fields on.
    let lost = tokeninfo::FUTURE_FIELDS.into_iter().find(|name| claims[*name].is_null());
    if let (Some(name), true) = (lost, claims["authorization_details"].is_array()) {
        return Err(forbidden(&format!("The token was minted without the tokeninfo field {name}.")));
    }
    Ok(Viewer { value: value.to_owned() })
}

/// Value and dashboard of `urn:aibi:external_data:<value>:<viewer>:<dashboard>`. The parts are not escaped: one that
/// holds a colon leaves no way to tell them apart, and a `|` was seen to have the same effect.
fn parse_claim(claim: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = claim.strip_prefix(CLAIM_PREFIX)?.split(':').collect();
    match parts[..] {
        [value, _viewer, dashboard] if !dashboard.is_empty() && !claim.contains('|') => Some((value, dashboard)),
        _ => None,
    }
}

fn may_run(workspace: &Workspace, claims: &Value, dashboard: &str) -> bool {
    let Some(rules) = claims["authorization_details"].as_array() else {
        return true;
    };
    let resource = format!("workspaces/{}/dashboards/{dashboard}", workspace.settings.workspace_id);
    rules.iter().any(|rule| {
        let grants = rule["grant_rules"].as_array();
        rule["resource_name"] == resource.as_str()
            && grants
                .is_some_and(|all| all.iter().any(|grant| grant["permission_set"] == "permissionSets/dashboard.runner"))
    })
}

/// The embed API's errors have a shape of their own.
fn refused(status: StatusCode, message: &str, name: &str) -> Reply {
    Reply::json(status, &json!({"message": message, "name": name}))
}

fn forbidden(name: &str) -> Reply {
    refused(StatusCode::FORBIDDEN, "PERMISSION_DENIED", name)
}
