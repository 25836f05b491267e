//! One Microsoft Entra tenant with one app, and the token endpoints of managed identities.
//!
//! Described in powerbi-boldbi.md section B. There are no users and no interactive sign-in: only what a service calls.

mod assertion;
mod client;
mod discovery;
pub(super) mod errors;
mod managed;
mod token;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::faults::Plan;
use super::keys::{Refused, SigningKey};
use super::operation::Operation;
use super::settings::EntraSettings;
use super::wire::{Asked, Reply};
use assertion::Certificate;

/// The `iss` of tokens for resources that have not asked for the newer format; Power BI is one of them.
const ISSUER: &str = "https://sts.windows.net";

/// The state of the tenant.
#[derive(Debug)]
pub(super) struct Directory {
    settings: EntraSettings,
    /// Made when it is first needed: most emulators never see a request to Entra, and a key takes a while.
    keys: OnceLock<SigningKey>,
    /// Rises when tokens are revoked; each token carries the number it was issued under.
    generation: AtomicU64,
    live: Mutex<Live>,
}

/// Settings that change while it runs.
#[derive(Debug)]
struct Live {
    token_life: Duration,
    managed_identity_life: Duration,
    secrets: Vec<String>,
    expired_secrets: Vec<String>,
    certificates: Vec<Certificate>,
    enabled: bool,
    /// The `jti` of assertions seen, each with its end.
    seen: BTreeMap<String, f64>,
}

/// Who bears a token.
#[derive(Debug)]
pub(super) struct Caller {
    /// The object id of the service principal.
    pub object_id: String,
    /// The end of the token, seconds since 1970.
    pub expires: i64,
    /// The resource that it is for.
    pub audience: String,
}

/// What a request is for, if it is one to Entra or to a managed identity.
pub(super) fn operation(asked: &Asked) -> Option<Operation> {
    let segments = asked.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        ["oidc", ..] => None,
        ["common", "discovery", "instance"] | [_, "discovery", "v2.0", "keys"] => Some(Operation::EntraDiscovery),
        [_, "v2.0", ".well-known", "openid-configuration"] | [_, ".well-known", "openid-configuration"] => {
            Some(Operation::EntraDiscovery)
        }
        [_, "oauth2", "v2.0", "token"] => Some(Operation::EntraToken),
        ["metadata", "identity", "oauth2", "token"] | ["msi", "token"] => Some(Operation::ManagedIdentity),
        _ => None,
    }
}

impl Directory {
    pub fn new(settings: EntraSettings) -> io::Result<Self> {
        let mut secrets = settings.other_secrets.clone();
        secrets.push(settings.client_secret.clone());
        let certificates = settings.certificates.iter().map(|pem| Certificate::read(pem)).collect::<io::Result<_>>()?;
        let live = Live {
            token_life: settings.token_life,
            managed_identity_life: settings.managed_identity_life,
            secrets,
            expired_secrets: Vec::new(),
            certificates,
            enabled: true,
            seen: BTreeMap::new(),
        };
        Ok(Self { settings, keys: OnceLock::new(), generation: AtomicU64::new(0), live: Mutex::new(live) })
    }

    /// Answers one request.
    pub fn answer(&self, operation: Operation, asked: &Asked, plan: &Plan, notes: &mut Vec<String>) -> Reply {
        let mut reply = match operation {
            Operation::EntraToken => token::answer(self, asked, plan, notes),
            Operation::ManagedIdentity => managed::answer(self, asked, plan),
            _ if asked.method != Method::GET => Reply::empty(http::StatusCode::METHOD_NOT_ALLOWED),
            _ => discovery::answer(self, asked),
        };
        plan.add_fields(&mut reply);
        reply
    }

    /// Whose token this is; `Refused` where it is not ours, not alive or revoked.
    pub fn caller(&self, token: &str) -> Result<Caller, Refused> {
        let claims = self.keys().verify(token)?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        if text("tid") != self.settings.tenant_id || self.is_revoked(&claims) {
            return Err(Refused::Invalid);
        }
        let expires = claims["exp"].as_i64().ok_or(Refused::Invalid)?;
        Ok(Caller { object_id: text("oid"), expires, audience: text("aud") })
    }

    fn keys(&self) -> &SigningKey {
        self.keys.get_or_init(|| SigningKey::generate("JWT").expect("the system has random bytes for a key"))
    }

    fn is_revoked(&self, claims: &Value) -> bool {
        let id = claims["uti"].as_str().unwrap_or_default();
        let generation = id.split('-').next().and_then(|text| text.parse::<u64>().ok());
        generation != Some(self.generation.load(Ordering::Relaxed))
    }

    fn new_token_id(&self) -> String {
        format!("{}-{:032x}", self.generation.load(Ordering::Relaxed), fastrand::u128(..))
    }

    /// Whether tokens are issued for this resource.
    fn has_resource(&self, resource: &str) -> bool {
        super::powerbi::RESOURCES.contains(&resource)
            || self.settings.other_resources.iter().any(|other| other == resource)
    }

    pub fn settings(&self) -> &EntraSettings {
        &self.settings
    }

    pub fn set_token_life(&self, life: Duration) {
        self.live().token_life = life;
    }

    pub fn set_managed_identity_life(&self, life: Duration) {
        self.live().managed_identity_life = life;
    }

    pub fn set_secrets(&self, secrets: &[&str]) {
        self.live().secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    }

    pub fn expire_secret(&self, secret: &str) {
        self.live().expired_secrets.push(secret.to_owned());
    }

    pub fn set_certificates(&self, certificates: &[&str]) -> io::Result<()> {
        let read = certificates.iter().map(|pem| Certificate::read(pem)).collect::<io::Result<_>>()?;
        self.live().certificates = read;
        Ok(())
    }

    pub fn set_enabled(&self, enabled: bool) {
        self.live().enabled = enabled;
    }

    pub fn revoke_tokens(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
