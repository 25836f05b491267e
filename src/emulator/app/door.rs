//! The vendor's proxy in front of the app: who is let in, and what the app is told of them.

use http::StatusCode;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::settings::AppRefusal;
use super::super::wire::{Asked, Reply};

/// The refusal, if there is one; a fault may want one whatever the token. Without a token, or with one that is none,
/// the proxy sends the caller to sign in, for WebSockets too; tokens work under `/api/` only.
pub fn refused(state: &State, asked: &Asked, fault: Option<AppRefusal>) -> Option<Reply> {
    if asked.path == "/oidc/oauth2/v2.0/authorize" {
        return Some(Reply::html("<html><head><title>Sign in</title></head><body>Sign in to Databricks</body></html>"));
    }
    if let Some(refusal) = fault {
        return Some(not_admitted(state, refusal));
    }
    let Some(token) = asked.bearer().filter(|_| asked.path.starts_with("/api/")) else {
        return Some(not_admitted(state, AppRefusal::SignIn));
    };
    match state.databricks.admits_to_app(token) {
        Some(true) => None,
        Some(false) => Some(Reply::platform(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "The token lacks scopes.")),
        None if token.matches('.').count() == 2 => Some(not_admitted(state, state.app.refusal())),
        None => Some(not_admitted(state, AppRefusal::SignIn)),
    }
}

fn not_admitted(state: &State, refusal: AppRefusal) -> Reply {
    match refusal {
        AppRefusal::Unauthorized => Reply::platform(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "Invalid Token"),
        AppRefusal::SignIn => {
            let own = &state.app.url;
            let place = format!("{own}/oidc/oauth2/v2.0/authorize?redirect_uri={own}/.auth/callback");
            Reply::redirect(StatusCode::FOUND, &place)
        }
    }
}

/// The headers as they arrive at the app: the proxy takes `Authorization` and its own cookies away and replaces
/// whatever identity the caller claims.
pub fn forwarded(state: &State, asked: &Asked) -> Value {
    let is_claimed =
        |name: &HeaderName| name == AUTHORIZATION || name == COOKIE || name.as_str().starts_with("x-forwarded-");
    let mut headers = Map::new();
    for (name, value) in asked.headers.iter().filter(|(name, _)| !is_claimed(name)) {
        headers.insert(name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())));
    }
    let settings = state.databricks.settings();
    let principal = format!("{}@{}", settings.client_id, settings.workspace_id);
    let host = state.app.url.split("//").nth(1).unwrap_or_default();
    for (name, value) in [
        ("x-forwarded-host", host),
        ("x-forwarded-user", &principal),
        ("x-forwarded-preferred-username", &settings.client_id),
        ("x-real-ip", "127.0.0.1"),
    ] {
        headers.insert(name.to_owned(), json!(value));
    }
    Value::Object(headers)
}
