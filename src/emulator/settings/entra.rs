//! The Microsoft Entra tenant.

use std::time::Duration;

use super::Federation;

/// One tenant with one app registration and its service principal, and the managed identities of one host.
///
/// There are no users: whatever a master user could do is not emulated.
#[derive(Clone, Debug)]
pub struct EntraSettings {
    /// The tenant.
    pub tenant_id: String,
    /// The application id of the app.
    pub client_id: String,
    /// The object id of its service principal: `oid` of its tokens.
    pub object_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Further secrets that are accepted, so that they can be rotated with an overlap.
    pub other_secrets: Vec<String>,
    /// Certificates registered for the app, PEM, RSA.
    pub certificates: Vec<String>,
    /// Whether a `jti` may come twice. Off, to show a client that signs once and sends the same assertion again. The
    /// vendor must take it: its own Python library keeps an assertion for nine minutes (powerbi-boldbi.md section B1).
    pub assertions_may_repeat: bool,
    /// The federated credential of the app, if it has one.
    pub federation: Option<Federation>,
    /// Resources besides those of Power BI in all clouds for which tokens are issued.
    pub other_resources: Vec<String>,
    /// Whether the host has a system-assigned managed identity.
    pub managed_identity: bool,
    /// Its client id. The object id is the same, which no vendor promises and no client may rely on.
    pub managed_identity_id: String,
    /// Client ids of the user-assigned managed identities of the host.
    pub user_assigned: Vec<String>,
    /// What App Service wants to see in `X-IDENTITY-HEADER`.
    pub identity_header: String,
    /// The life of tokens.
    pub token_life: Duration,
    /// The life of tokens of managed identities.
    pub managed_identity_life: Duration,
}

impl Default for EntraSettings {
    fn default() -> Self {
        Self {
            tenant_id: "3f2b8c1e-7a4d-4e5f-9b60-1c2d3e4f5a6b".to_owned(),
            client_id: "c4e1a7b2-9d3f-4a68-8b5c-7e6f5d4c3b2a".to_owned(),
            object_id: "e7d6c5b4-a392-4817-9605-f4e3d2c1b0a9".to_owned(),
            // Published on the front page of the emulator: a fake, in the shape of the real ones.
            client_secret: "emu8Q~notasecret00000000000000000000000".to_owned(),
            other_secrets: Vec::new(),
            certificates: Vec::new(),
            assertions_may_repeat: false,
            federation: None,
            other_resources: Vec::new(),
            managed_identity: true,
            managed_identity_id: "5d4c3b2a-1908-4f7e-a6d5-c4b3a2918070".to_owned(),
            user_assigned: vec!["92a1b0c9-d8e7-4f60-8a5b-6c7d8e9fa0b1".to_owned()],
            identity_header: "emulated-identity-header".to_owned(),
            token_life: Duration::from_secs(3600),
            managed_identity_life: Duration::from_secs(86_399),
        }
    }
}
