//! The Databricks workspace and the Databricks App.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Federation;

/// One Databricks workspace with one service principal.
#[derive(Clone, Debug)]
pub struct DatabricksSettings {
    /// The workspace id: `aud` of the tokens, `o` of the embed page.
    pub workspace_id: String,
    /// The application id of the service principal.
    pub client_id: String,
    /// Its OAuth secret.
    pub client_secret: String,
    /// Further secrets that are accepted: a principal may own five, so that they can be rotated with an overlap.
    pub other_secrets: Vec<String>,
    /// The published dashboards.
    pub dashboards: Vec<Dashboard>,
    /// The life of the tokens got with a secret.
    pub token_life: Duration,
    /// Dashboards that may start to load in any one second.
    pub loads_per_second: u32,
    /// Origins that may embed a dashboard; empty allows all.
    pub approved_domains: Vec<String>,
    /// The federation policy of the service principal, if it has one.
    pub federation: Option<Federation>,
    /// Whether a scoped token minted by token exchange keeps `custom.claim`. Off, as the vendor was seen to do
    /// (databricks.md section 0.6).
    pub federation_keeps_custom_claim: bool,
}

impl Default for DatabricksSettings {
    fn default() -> Self {
        Self {
            workspace_id: "1234567890123456".to_owned(),
            client_id: "6a1f0c52-3c1e-4f5b-9a57-2f2d6b1c9e10".to_owned(),
            // Published on the front page of the emulator: a fake, in the shape of the real ones.
            client_secret: "doseemulator0000notasecret00000000".to_owned(),
            other_secrets: Vec::new(),
            dashboards: vec![
                Dashboard::new("01f12716a3c41b5e9d7c2f60a1b2c3d4", "Sales by region"),
                Dashboard::new("01f12716b7e81c0fa2d4c6e8f0a1b2c3", "Order pipeline"),
            ],
            token_life: Duration::from_secs(3600),
            loads_per_second: 20,
            approved_domains: Vec::new(),
            federation: None,
            federation_keeps_custom_claim: false,
        }
    }
}

/// A published dashboard. Its rows are made up from its id.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// 32 hex digits.
    pub id: String,
    /// The heading.
    pub title: String,
}

impl Dashboard {
    /// A dashboard of this id and heading.
    #[must_use]
    pub fn new(id: &str, title: &str) -> Self {
        Self { id: id.to_owned(), title: title.to_owned() }
    }
}

/// A Databricks App, on a listener of its own, as an app has a host of its own.
#[derive(Clone, Debug)]
pub struct AppSettings {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The OAuth client id of the app: the audience of tokens that are exchanged for it.
    pub client_id: String,
    /// The client ids of other apps of the workspace: tokens can be exchanged for them, which this app refuses.
    pub other_client_ids: Vec<String>,
    /// How a token is refused that is expired, revoked or another app's. The vendor documents 401; 302 was seen.
    pub refusal: AppRefusal,
    /// The time that the vendor's proxy gives to a request: 120 s were seen. None is for ever.
    pub request_limit: Option<Duration>,
}

/// How the vendor's proxy in front of an app says that it does not take a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppRefusal {
    /// 401.
    #[default]
    Unauthorized,
    /// 302 to `/oidc/oauth2/v2.0/authorize`, as for those without any token.
    SignIn,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            client_id: "b8a3d0c4-5e1f-4c27-8f6a-0d9e7c1b2a35".to_owned(),
            other_client_ids: vec!["e52f7a90-1d3b-4b8e-a6c4-73d1f0b98e26".to_owned()],
            refusal: AppRefusal::Unauthorized,
            request_limit: None,
        }
    }
}
