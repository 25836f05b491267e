//! `POST /{tenant}/oauth2/v2.0/token` (powerbi-boldbi.md sections B1 and B2).

use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Directory, ISSUER, client, errors};
use crate::emulator::faults::Plan;
use crate::emulator::wire::{Asked, Reply};

const OPENID_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Answers the token endpoint. Fields, headers and a query that it does not know are ignored: the vendor's own
/// libraries send many.
pub(super) fn answer(directory: &Directory, asked: &Asked, plan: &Plan, notes: &mut Vec<String>) -> Reply {
    if asked.method != Method::POST {
        return Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    match granted(directory, asked, notes) {
        Ok(token) => {
            let life = plan.token_life.unwrap_or_else(|| directory.live().token_life);
            let issued = issue(directory, &token, life, plan);
            Reply::json(StatusCode::OK, &Value::Object(issued.body(plan)))
        }
        Err(refused) => refused,
    }
}

/// What a token is to say.
pub(super) struct Wanted {
    pub resource: String,
    pub client_id: String,
    pub object_id: String,
    /// `appidacr`: 1 for a secret, 2 for a certificate or a federated assertion.
    pub strength: &'static str,
}

/// A token and its times.
pub(super) struct Issued {
    pub token: String,
    pub began: i64,
    pub expires: i64,
}

impl Issued {
    fn body(self, plan: &Plan) -> Map<String, Value> {
        let left = self.expires - self.began;
        let mut body = Map::new();
        body.insert("token_type".to_owned(), json!("Bearer"));
        body.insert("ext_expires_in".to_owned(), json!(left));
        Plan::put(&mut body, "expires_in", plan.expires_in.as_ref(), json!(left));
        body.insert("access_token".to_owned(), json!(self.token));
        body
    }
}

fn granted(directory: &Directory, asked: &Asked, notes: &mut Vec<String>) -> Result<Wanted, Reply> {
    let tenant = asked.segments().first().cloned().unwrap_or_default();
    if !tenant.eq_ignore_ascii_case(&directory.settings.tenant_id) {
        return Err(errors::error(90_002, &format!("Tenant '{tenant}'.")));
    }
    match asked.form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => {}
        Some(other) => return Err(errors::error(70_003, &format!("'{other}'"))),
        None => return Err(errors::error(900_144, "'grant_type'")),
    }
    let proof = client::authenticate(directory, asked)?;
    notes.push(format!("authenticated by {}", proof.name()));
    let scope = asked.form.get("scope").ok_or_else(|| errors::error(900_144, "'scope'"))?;
    Ok(Wanted {
        resource: resource(directory, scope)?,
        client_id: directory.settings.client_id.clone(),
        object_id: directory.settings.object_id.clone(),
        strength: if proof == client::Proof::Secret { "1" } else { "2" },
    })
}

/// One resource and `/.default`, which is all that a service may ask for. The scopes of OpenID Connect are passed over:
/// older versions of the vendor's library for Node send them too.
fn resource(directory: &Directory, scope: &str) -> Result<String, Reply> {
    let mut scopes = scope.split_whitespace().filter(|one| !OPENID_SCOPES.contains(one));
    let first = scopes.next().unwrap_or_default();
    if scopes.next().is_some() {
        return Err(errors::error(28_000, &format!("The scope was {scope}.")));
    }
    let resource = first.strip_suffix("/.default").filter(|resource| !resource.is_empty());
    let resource = resource.ok_or_else(|| errors::error(70_011, &format!("The scope {scope} is not valid.")))?;
    if directory.has_resource(resource) {
        Ok(resource.to_owned())
    } else {
        Err(errors::error(500_011, &format!("The resource principal named {resource}.")))
    }
}

/// Signs a token in the format that Power BI is given.
pub(super) fn issue(directory: &Directory, wanted: &Wanted, life: Duration, plan: &Plan) -> Issued {
    // The first key is made here, which takes a while: a token's time begins after that.
    let keys = directory.keys();
    let began = Timestamp::now().as_second();
    let expires = began.saturating_add_unsigned(life.as_secs());
    let tenant = &directory.settings.tenant_id;
    let claims = json!({
        "aud": wanted.resource,
        "iss": format!("{ISSUER}/{tenant}/"),
        "iat": began,
        "nbf": began,
        "exp": plan.jwt_exp_life.map_or(expires, |life| began.saturating_add(life)),
        "appid": wanted.client_id,
        "appidacr": wanted.strength,
        "idp": format!("{ISSUER}/{tenant}/"),
        "idtyp": "app",
        "oid": wanted.object_id,
        "sub": wanted.object_id,
        "tid": tenant,
        "uti": directory.new_token_id(),
        "ver": "1.0",
    });
    Issued { token: keys.sign(&claims), began, expires }
}
