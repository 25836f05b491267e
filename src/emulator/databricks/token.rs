//! `POST /oidc/v1/token`: the broad token of the service principal and the scoped token of one viewer
//! (databricks.md sections 1.2, 3 and 6.1).

use http::header::WWW_AUTHENTICATE;
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Workspace, has_all_apis, tokeninfo};
use crate::emulator::faults::Plan;
use crate::emulator::federation;
use crate::emulator::wire::{Asked, Params, Reply, form_decoded};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const NOTEBOOK_TOKEN: &str = "urn:databricks:params:oauth:token-type:personal-access-token";
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Scopes that a service principal may ask for. The vendor's list is not published; these are all that were seen.
const SCOPES: [&str; 7] = [
    "all-apis",
    "offline_access",
    "sql",
    "dashboards.lakeview-embedded:read",
    "dashboards.query-execution",
    "settings:read",
    "sql.redash-config:read",
];

/// Whether the form asks for a token narrower than `all-apis`.
pub(super) fn is_mint(form: &Params) -> bool {
    form.contains_key("authorization_details")
        || form.contains_key("custom_claim")
        || form.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one.starts_with("dashboards")))
}

/// Whether the form exchanges a broad token for one of an app (databricks.md section 5). The vendor documents the type
/// of a notebook's token; the general one of RFC 8693 is taken too, where an audience tells what it is for.
pub(super) fn is_for_app(form: &Params) -> bool {
    form.get("subject_token_type").is_some_and(|kind| match kind.as_str() {
        NOTEBOOK_TOKEN => true,
        ACCESS_TOKEN => form.contains_key("audience"),
        _ => false,
    })
}

/// Answers the token endpoint.
pub(super) fn answer(workspace: &Workspace, asked: &Asked, plan: &Plan, notes: &mut Vec<String>) -> Reply {
    if asked.method != Method::POST {
        return Reply::platform(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "use POST");
    }
    let grant = match grant(workspace, asked) {
        Ok(grant) => grant,
        Err(reply) => return reply,
    };
    match claims(workspace, asked, &grant, plan, notes) {
        Ok(mut claims) => {
            claims.insert("iss".to_owned(), json!(format!("{}/oidc", asked.base_url)));
            issue(workspace, claims, &grant, plan)
        }
        Err(reply) => reply,
    }
}

/// Who asks, and until when the token may live.
struct Grant {
    subject: String,
    audience: String,
    /// The end of the subject JWT: a federated token inherits it (databricks.md section 0.7).
    expires: Option<i64>,
}

fn grant(workspace: &Workspace, asked: &Asked) -> Result<Grant, Reply> {
    let Some(grant_type) = asked.form.get("grant_type") else {
        // A malformed request was seen to be answered without any body.
        return Err(Reply::empty(StatusCode::BAD_REQUEST));
    };
    if asked.repeated {
        return Err(bad_request("invalid_request", "a parameter is repeated"));
    }
    match grant_type.as_str() {
        "client_credentials" if authenticated(workspace, asked) => Ok(Grant {
            subject: workspace.settings.client_id.clone(),
            audience: workspace.settings.workspace_id.clone(),
            expires: None,
        }),
        "client_credentials" => Err(invalid_client()),
        TOKEN_EXCHANGE if is_for_app(&asked.form) => app_exchange(workspace, &asked.form),
        TOKEN_EXCHANGE => exchange(workspace, asked),
        other => Err(bad_request("unsupported_grant_type", &format!("grant type {other} is not supported"))),
    }
}

/// Basic, raw as most clients send it or percent-encoded first as Go's does (RFC 6749 section 2.3.1), or in the body.
fn authenticated(workspace: &Workspace, asked: &Asked) -> bool {
    let in_body = || Some((asked.form.get("client_id")?.clone(), asked.form.get("client_secret")?.clone()));
    let Some((id, secret)) = asked.basic().or_else(in_body) else {
        return false;
    };
    workspace.knows(&id, &secret) || workspace.knows(&form_decoded(&id), &form_decoded(&secret))
}

fn exchange(workspace: &Workspace, asked: &Asked) -> Result<Grant, Reply> {
    let policy = workspace.settings.federation.as_ref();
    let policy =
        policy.ok_or_else(|| bad_request("invalid_grant", "the service principal has no federation policy"))?;
    if asked.form.get("subject_token_type").is_none_or(|kind| kind != JWT_TYPE) {
        return Err(bad_request("invalid_request", "subject_token_type must be a JWT"));
    }
    let jwt = asked.form.get("subject_token").map(String::as_str).unwrap_or_default();
    let token_url = format!("{}/oidc/v1/token", asked.base_url);
    let subject =
        federation::verify(policy, jwt, &token_url).map_err(|why| bad_request("invalid_grant", &why.to_string()))?;
    let name = match asked.form.get("client_id") {
        Some(id) if *id != workspace.settings.client_id => return Err(invalid_client()),
        Some(id) => id.clone(),
        // Without a client id the token is the user's, not the service principal's (databricks.md section 6.1).
        None => subject.sub,
    };
    let audience = workspace.settings.workspace_id.clone();
    Ok(Grant { subject: name, audience, expires: Some(subject.exp) })
}

/// No client authentication: the broad token is the proof.
fn app_exchange(workspace: &Workspace, form: &Params) -> Result<Grant, Reply> {
    let token = form.get("subject_token").map(String::as_str).unwrap_or_default();
    // Neither the token of a viewer nor that of another app becomes broad here.
    let claims = workspace.own(token).filter(has_all_apis);
    let claims = claims.ok_or_else(|| bad_request("invalid_grant", "the subject token is not valid"))?;
    if form.get("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN) {
        return Err(bad_request("invalid_request", "requested_token_type must be an access token"));
    }
    match form.get("audience") {
        Some(audience) if workspace.apps.contains(audience) => Ok(Grant {
            subject: claims["sub"].as_str().unwrap_or_default().to_owned(),
            audience: audience.clone(),
            expires: None,
        }),
        // RFC 8693 section 2.2.2.
        _ => Err(bad_request("invalid_target", "no app of that audience")),
    }
}

/// What the token will say besides whose it is and how long it lives.
fn claims(
    workspace: &Workspace,
    asked: &Asked,
    grant: &Grant,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<Map<String, Value>, Reply> {
    let form = &asked.form;
    let mut claims = Map::new();
    if let Some(scope) = form.get("scope") {
        if let Some(unknown) = scope.split_whitespace().find(|scope| !SCOPES.contains(scope)) {
            return Err(bad_request("invalid_scope", &format!("unknown scope {unknown}")));
        }
        claims.insert("scope".to_owned(), json!(scope));
    }
    if !is_mint(form) {
        return Ok(claims);
    }
    if let Some(details) = form.get("authorization_details") {
        let details = authorization_details(details)?;
        claims.insert("authorization_details".to_owned(), details);
        for name in tokeninfo::field_names() {
            match form.get(name) {
                Some(value) if tokeninfo::FUTURE_FIELDS.contains(&name) => {
                    claims.insert(name.to_owned(), json!(value));
                }
                Some(_) => {}
                None => notes.push(format!("the tokeninfo field {name} was not passed on")),
            }
        }
    }
    let keeps = grant.expires.is_none() || workspace.settings.federation_keeps_custom_claim;
    match form.get("custom_claim") {
        Some(claim) if keeps && !plan.drop_custom_claim => {
            claims.insert("custom".to_owned(), json!({"claim": claim}));
        }
        Some(_) => notes.push("custom_claim was dropped".to_owned()),
        None => {}
    }
    Ok(claims)
}

/// A JSON array of objects with a `type` each (RFC 9396 section 2, which names the error too).
fn authorization_details(text: &str) -> Result<Value, Reply> {
    let details: Value = serde_json::from_str(text).unwrap_or_default();
    let sound = details.as_array().is_some_and(|entries| entries.iter().all(|entry| entry["type"].is_string()));
    if sound { Ok(details) } else { Err(bad_request("invalid_authorization_details", "not an array of typed objects")) }
}

fn issue(workspace: &Workspace, mut claims: Map<String, Value>, grant: &Grant, plan: &Plan) -> Reply {
    // The first key is made here, which takes a while: a token's time begins after that.
    let keys = &*workspace.keys;
    let now = Timestamp::now().as_second();
    let life = plan.token_life.unwrap_or_else(|| workspace.token_life());
    let expires = grant.expires.filter(|_| plan.token_life.is_none());
    let expires = expires.unwrap_or_else(|| now.saturating_add_unsigned(life.as_secs()));
    claims.insert("client_id".to_owned(), json!(workspace.settings.client_id));
    claims.insert("aud".to_owned(), json!(grant.audience));
    claims.insert("sub".to_owned(), json!(grant.subject));
    claims.insert("iat".to_owned(), json!(now));
    claims.insert("exp".to_owned(), json!(plan.jwt_exp_life.map_or(expires, |life| now.saturating_add(life))));
    claims.insert("jti".to_owned(), json!(workspace.new_token_id()));
    let scope = claims.get("scope").cloned();
    let is_for_app = workspace.apps.contains(&grant.audience);
    let mut body = Map::new();
    body.insert("access_token".to_owned(), json!(keys.sign(&Value::Object(claims))));
    body.insert("token_type".to_owned(), json!("Bearer"));
    if is_for_app {
        // RFC 8693 section 2.2.1 requires it.
        body.insert("issued_token_type".to_owned(), json!(ACCESS_TOKEN));
    }
    Plan::put(&mut body, "expires_in", plan.expires_in.as_ref(), json!(expires - now));
    if let Some(scope) = scope {
        body.insert("scope".to_owned(), scope);
    }
    Reply::json(StatusCode::OK, &Value::Object(body))
}

fn bad_request(error: &str, description: &str) -> Reply {
    Reply::oauth(StatusCode::BAD_REQUEST, error, description)
}

fn invalid_client() -> Reply {
    let reply = Reply::oauth(StatusCode::UNAUTHORIZED, "invalid_client", "Client authentication failed");
    reply.with(WWW_AUTHENTICATE, "Basic realm=\"oidc\"")
}
