//! One Databricks workspace with one service principal and its published dashboards.

mod embed;
mod loads;
mod token;
mod tokeninfo;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};

pub use loads::LoadCounts;

use super::faults::Plan;
use super::keys::SigningKey;
use super::operation::Operation;
use super::settings::{AppSettings, Dashboard, DatabricksSettings};
use super::wire::{Asked, Reply};
use loads::LoadLog;

/// The state of the workspace.
#[derive(Debug)]
pub(super) struct Workspace {
    settings: DatabricksSettings,
    /// The client ids of the apps that tokens can be exchanged for, first that of the app which is there.
    apps: Vec<String>,
    /// Made when it is first needed, as most emulators see requests to one vendor only, and a key takes a while.
    keys: LazyLock<SigningKey>,
    /// Rises when tokens are revoked; each service token carries the number it was issued under.
    generation: AtomicU64,
    live: Mutex<Live>,
    loads: Mutex<LoadLog>,
}

/// Settings that change while it runs.
#[derive(Debug)]
struct Live {
    token_life: Duration,
    secrets: Vec<String>,
}

/// What a request to the workspace is for.
pub(super) fn operation(asked: &Asked) -> Operation {
    let segments = asked.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        [".well-known", "databricks-config"]
        | ["oidc", ".well-known", "oauth-authorization-server" | "openid-configuration"] => Operation::Discovery,
        ["oidc", "jwks.json"] => Operation::Jwks,
        ["oidc", "v1", "token"] if token::is_for_app(&asked.form) => Operation::AppToken,
        ["oidc", "v1", "token"] if token::is_mint(&asked.form) => Operation::Mint,
        ["oidc", "v1", "token"] => Operation::ServiceToken,
        ["api", "2.0", "lakeview", "dashboards", _, "published", "tokeninfo"] => Operation::TokenInfo,
        ["api", "2.0", "preview", "scim", "v2", "Me"] => Operation::Me,
        ["embed", "dashboardsv3", _] | ["embed", "dashboardsv3", _, "pages", _] => Operation::EmbedPage,
        ["embed", "assets", "embed.js"] => Operation::EmbedPage,
        ["api", "emulator", "dashboards", _, "load"] => Operation::Load,
        ["api", "emulator", "dashboards", _, "data"] => Operation::Data,
        _ => Operation::Unknown,
    }
}

impl Workspace {
    pub fn new(settings: DatabricksSettings, app: &AppSettings) -> Self {
        let mut secrets = settings.other_secrets.clone();
        secrets.push(settings.client_secret.clone());
        let limit = usize::try_from(settings.loads_per_second).unwrap_or(usize::MAX);
        Self {
            apps: [&app.client_id].into_iter().chain(&app.other_client_ids).cloned().collect(),
            // RFC 9068 section 2.1.
            keys: LazyLock::new(|| SigningKey::generate("at+jwt").expect("the system has random bytes for a key")),
            generation: AtomicU64::new(0),
            live: Mutex::new(Live { token_life: settings.token_life, secrets }),
            loads: Mutex::new(LoadLog::new(limit)),
            settings,
        }
    }

    /// Answers one request.
    pub fn answer(&self, operation: Operation, asked: &Asked, plan: &Plan, notes: &mut Vec<String>) -> Reply {
        let dashboard = || asked.segments().get(3).cloned().unwrap_or_default();
        let mut reply = match operation {
            Operation::ServiceToken | Operation::AppToken | Operation::Mint => token::answer(self, asked, plan, notes),
            _ if !allowed(operation, &asked.method) => {
                Reply::platform(StatusCode::NOT_FOUND, "ENDPOINT_NOT_FOUND", "No API found for this method")
            }
            Operation::TokenInfo => {
                let dashboard = asked.segments().get(4).cloned().unwrap_or_default();
                tokeninfo::answer(self, asked, &dashboard, plan)
            }
            Operation::Discovery => self.discovery(asked),
            Operation::Jwks => Reply::json(StatusCode::OK, &self.keys.jwks()),
            Operation::Me => self.me(asked),
            Operation::EmbedPage if asked.path.ends_with("embed.js") => embed::script(),
            Operation::EmbedPage => embed::page(self),
            Operation::Load => embed::data(self, asked, &dashboard(), true),
            Operation::Data => embed::data(self, asked, &dashboard(), false),
            _ => Reply::empty(StatusCode::NOT_FOUND),
        };
        plan.add_fields(&mut reply);
        reply
    }

    /// The discovery documents (databricks.md section 1.1), with the host under which the client came.
    fn discovery(&self, asked: &Asked) -> Reply {
        let oidc = format!("{}/oidc", asked.base_url);
        let body = if asked.path.ends_with("databricks-config") {
            json!({
                "oidc_endpoint": oidc,
                "workspace_id": self.settings.workspace_id,
                "account_id": "00000000-0000-4000-8000-000000000000",
                "cloud": "AWS",
                "host_type": "workspace",
                "token_federation_default_oidc_audiences": [format!("{oidc}/v1/token")],
            })
        } else {
            json!({
                "issuer": oidc,
                "authorization_endpoint": format!("{oidc}/v1/authorize"),
                "token_endpoint": format!("{oidc}/v1/token"),
                "jwks_uri": format!("{oidc}/jwks.json"),
                "grant_types_supported": ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            })
        };
        Reply::json(StatusCode::OK, &body)
    }

    fn me(&self, asked: &Asked) -> Reply {
        if let Err(refused) = self.service_caller(asked) {
            return refused;
        }
        let id = &self.settings.client_id;
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "id": "4711", "userName": id, "displayName": "Emulated service principal", "active": true,
        });
        Reply::json(StatusCode::OK, &body)
    }

    /// Lets pass whoever bears a living `all-apis` token of this workspace. One that was exchanged for an app is good
    /// for that app only.
    fn service_caller(&self, asked: &Asked) -> Result<(), Reply> {
        let Some(claims) = asked.bearer().and_then(|token| self.own(token)) else {
            return Err(Reply::platform(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "Invalid Token"));
        };
        if has_all_apis(&claims) {
            return Ok(());
        }
        let message = "Provided OAuth token does not have required scopes: all-apis";
        Err(Reply::platform(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message))
    }

    /// Whether a token has the scopes that open the app; none where it is not a living token of the workspace or of
    /// this app. What the vendor says to the token of another app is not known: it is taken for an invalid one.
    pub fn admits_to_app(&self, token: &str) -> Option<bool> {
        let is_for_app = |claims: &Value| self.apps.first().is_some_and(|app| claims["aud"] == app.as_str());
        let exchanged = || self.living(token).filter(is_for_app);
        self.own(token).or_else(exchanged).map(|claims| has_all_apis(&claims))
    }

    /// The claims of a living token for the workspace itself.
    fn own(&self, token: &str) -> Option<Value> {
        self.living(token).filter(|claims| claims["aud"] == self.settings.workspace_id.as_str())
    }

    /// The claims of a token that is ours, alive and not revoked.
    fn living(&self, token: &str) -> Option<Value> {
        self.keys.verify(token).ok().filter(|claims| !self.is_revoked(claims))
    }

    fn is_revoked(&self, claims: &Value) -> bool {
        let id = claims["jti"].as_str().unwrap_or_default();
        let generation = id.split('-').next().and_then(|text| text.parse::<u64>().ok());
        generation != Some(self.generation.load(Ordering::Relaxed))
    }

    fn new_token_id(&self) -> String {
        format!("{}-{:032x}", self.generation.load(Ordering::Relaxed), fastrand::u128(..))
    }

    fn knows(&self, id: &str, secret: &str) -> bool {
        id == self.settings.client_id && self.live().secrets.iter().any(|known| known == secret)
    }

    fn dashboard(&self, id: &str) -> Option<&Dashboard> {
        self.settings.dashboards.iter().find(|dashboard| dashboard.id == id)
    }

    fn token_life(&self) -> Duration {
        self.live().token_life
    }

    fn admit_load(&self) -> bool {
        self.load_log().admit(Instant::now())
    }

    pub fn settings(&self) -> &DatabricksSettings {
        &self.settings
    }

    pub fn set_token_life(&self, life: Duration) {
        self.live().token_life = life;
    }

    pub fn set_secrets(&self, secrets: &[&str]) {
        self.live().secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    }

    pub fn revoke_tokens(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub fn loads(&self) -> LoadCounts {
        self.load_log().counts()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_log(&self) -> MutexGuard<'_, LoadLog> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All but the token endpoint and the start of a dashboard are read.
fn allowed(operation: Operation, method: &Method) -> bool {
    operation == Operation::Load || *method == Method::GET || *method == Method::HEAD
}

fn has_all_apis(claims: &Value) -> bool {
    claims["scope"].as_str().is_some_and(|scope| scope.split(' ').any(|scope| scope == "all-apis"))
}
