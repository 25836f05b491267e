//! Tokens: HS256 JWTs with the claims of the vendor's example, and the answer around them.

use std::fmt::{self, Debug};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::asked::{Viewer, Wanted};
use super::filters::Filters;
use crate::emulator::faults::Plan;
use crate::emulator::keys::Refused;
use crate::emulator::settings::{BoldBiDashboard, BoldBiSettings};
use crate::emulator::wire::{Reply, uuid};

/// The key that signs tokens: not the embed secret, which the vendor's clients know.
pub(super) struct Seal([u8; 32]);

impl Seal {
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| fastrand::u8(..)))
    }

    fn sign(&self, claims: &Value) -> String {
        let key = EncodingKey::from_secret(&self.0);
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("any key signs any claims by HMAC")
    }

    /// The claims of a token of ours, if it is still alive: in the second of its `exp` it is not any more.
    pub fn open(&self, token: &str) -> Result<Value, Refused> {
        let unwrapped = URL_SAFE_NO_PAD.decode(token).ok().and_then(|raw| String::from_utf8(raw).ok());
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        rules.validate_aud = false;
        let key = DecodingKey::from_secret(&self.0);
        match jsonwebtoken::decode::<Value>(unwrapped.as_deref().unwrap_or(token), &key, &rules) {
            Ok(token) if token.claims["exp"].as_i64() <= Some(Timestamp::now().as_second()) => Err(Refused::Expired),
            Ok(token) => Ok(token.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(Refused::Expired),
            Err(_) => Err(Refused::Invalid),
        }
    }
}

impl Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

/// Issues a token and answers it. A life that was asked for, or that a fault sets, is that of the token and the one that
/// is told; otherwise they differ as the settings have it.
pub(super) fn issue(settings: &BoldBiSettings, seal: &Seal, issuer: &str, wanted: &Wanted, plan: &Plan) -> Reply {
    let now = Timestamp::now().as_second();
    let after = |life: Duration| now.saturating_add_unsigned(life.as_secs());
    let set = plan.token_life.or(wanted.life);
    let usual = after(set.unwrap_or(settings.token_life));
    let end = plan.jwt_exp_life.map_or(usual, |life| now.saturating_add(life));
    let told = set.unwrap_or(settings.announced_life);
    let jwt = seal.sign(&claims(issuer, wanted, now, end, plan));
    let token = if settings.opaque_tokens { URL_SAFE_NO_PAD.encode(jwt) } else { jwt };
    let Viewer { email, .. } = &wanted.viewer;
    let mut data = Map::from_iter([
        ("email".to_owned(), json!(email)),
        ("username".to_owned(), json!(username(email))),
        ("access_token".to_owned(), json!(token)),
        ("token_type".to_owned(), json!("bearer")),
        ("UserDetail".to_owned(), json!(user_detail(&wanted.viewer))),
        ("ItemDetail".to_owned(), json!(wanted.dashboard.as_ref().map(item_detail))),
    ]);
    if settings.expires_in || plan.expires_in.is_some() {
        Plan::put(&mut data, "expires_in", plan.expires_in.as_ref(), json!(told.as_secs()));
    }
    if settings.dot_expires || plan.expiration.is_some() {
        Plan::put(&mut data, ".expires", plan.expiration.as_ref(), json!(american(after(told))));
    }
    Reply::json(StatusCode::OK, &json!({"ApiStatus": true, "Data": data, "Status": true}))
}

fn claims(issuer: &str, wanted: &Wanted, now: i64, end: i64, plan: &Plan) -> Value {
    let Viewer { email, .. } = &wanted.viewer;
    let Filters { datasource, parameters, attributes } = &wanted.filters;
    let mut claims = json!({
        "email": email,
        "upn": username(email),
        "nameid": "1",
        "unique_name": uuid(),
        "IP": "::1",
        "issued_date": american(now),
        "custom_attribute": json!(attributes).to_string(),
        "nbf": now,
        "exp": end,
        "iat": now,
        "iss": issuer,
        "aud": issuer,
    });
    if plan.drop_custom_claim {
        claims["custom_attribute"] = json!("{}");
    }
    for (name, filters) in [("datasource_filter", datasource), ("dashboard_parameter", parameters)] {
        if !filters.is_empty() {
            claims[name] = json!(json!(filters).to_string());
        }
    }
    claims
}

/// What was minted into a token of ours.
pub(super) fn filters(claims: &Value) -> Filters {
    Filters {
        datasource: read(claims, "datasource_filter"),
        parameters: read(claims, "dashboard_parameter"),
        attributes: read(claims, "custom_attribute"),
    }
}

/// JSON in a string.
fn read<T: DeserializeOwned + Default>(claims: &Value, name: &str) -> T {
    claims[name].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn username(email: &str) -> &str {
    email.split('@').next().unwrap_or_default()
}

fn user_detail(viewer: &Viewer) -> String {
    let Viewer { email, name } = viewer;
    let detail = json!({"DisplayName": name, "Email": email, "FirstName": name, "Username": username(email)});
    detail.to_string()
}

fn item_detail(dashboard: &BoldBiDashboard) -> String {
    json!({
        "CanClone": false,
        "CanCopy": false,
        "CanCreateItem": false,
        "CanDelete": false,
        "CanWrite": false,
        "CategoryName": dashboard.category,
        "Description": "Made-up sales",
        "Id": dashboard.id,
        "ItemLocation": format!("{}/1", dashboard.id),
        "Name": dashboard.name,
    })
    .to_string()
}

/// As the vendor's examples write a time: of the United States, and without a zone. That it is UTC is a choice.
fn american(second: i64) -> String {
    let time = Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC);
    time.strftime("%-m/%-d/%Y %-I:%M:%S %p").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_in_the_vendors_example() {
        assert_eq!(american(1_770_899_345), "2/12/2026 12:29:05 PM");
        assert_eq!(american(1_770_854_400), "2/12/2026 12:00:00 AM");
        assert_eq!(american(1_786_352_765), "8/10/2026 9:06:05 AM");
    }
}
