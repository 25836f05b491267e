//! What a test may ask of a running emulator and do to it, for a Databricks App, Microsoft Entra, Power
//! BI and Bold BI.

use std::io;
use std::time::Duration;

use super::settings::{AppRefusal, AppSettings, BoldBiSettings, EntraSettings, PowerBiSettings};
use super::{AppTraffic, Emulator};

impl Emulator {
    /// The URL of the Databricks App.
    #[must_use]
    pub fn app_url(&self) -> String {
        self.state.app.url.clone()
    }

    /// What the Databricks App was started with.
    #[must_use]
    pub fn app(&self) -> &AppSettings {
        &self.state.app.settings
    }

    /// How tokens that are expired, revoked or another app's are refused from now on.
    pub fn set_app_refusal(&self, refusal: AppRefusal) {
        self.state.app.set_refusal(refusal);
    }

    /// What is under way at the Databricks App.
    #[must_use]
    pub fn app_traffic(&self) -> AppTraffic {
        self.state.app_traffic()
    }

    /// What it was started with, as far as Entra goes.
    #[must_use]
    pub fn entra(&self) -> &EntraSettings {
        self.state.entra.settings()
    }

    /// What it was started with, as far as Power BI goes.
    #[must_use]
    pub fn powerbi(&self) -> &PowerBiSettings {
        self.state.powerbi.settings()
    }

    /// The secrets that Entra accepts from now on; all others are refused (AADSTS7000215).
    pub fn set_entra_secrets(&self, secrets: &[&str]) {
        self.state.entra.set_secrets(secrets);
    }

    /// From now on this secret is known, but over (AADSTS7000222).
    pub fn expire_entra_secret(&self, secret: &str) {
        self.state.entra.expire_secret(secret);
    }

    /// The certificates that are registered from now on, PEM.
    ///
    /// # Errors
    /// If one is no certificate with an RSA key; then all stay as they were.
    pub fn set_entra_certificates(&self, certificates: &[&str]) -> io::Result<()> {
        self.state.entra.set_certificates(certificates)
    }

    /// Whether the app is enabled (AADSTS7000112 where it is not).
    pub fn set_entra_app_enabled(&self, enabled: bool) {
        self.state.entra.set_enabled(enabled);
    }

    /// The life of tokens that Entra issues from now on, those of managed identities aside.
    pub fn set_entra_token_life(&self, life: Duration) {
        self.state.entra.set_token_life(life);
    }

    /// The life of tokens of managed identities issued from now on.
    pub fn set_managed_identity_life(&self, life: Duration) {
        self.state.entra.set_managed_identity_life(life);
    }

    /// Power BI answers 401 to every Entra token issued so far. Embed tokens stay valid: no way to revoke one is
    /// documented.
    pub fn revoke_entra_tokens(&self) {
        self.state.entra.revoke_tokens();
    }

    /// Whether the workspaces are on a capacity from now on.
    pub fn set_on_capacity(&self, on_capacity: bool) {
        self.state.powerbi.set_on_capacity(on_capacity);
    }

    /// How many embed tokens may be made from now on without a capacity.
    pub fn set_trial_allowance(&self, allowance: u32) {
        self.state.powerbi.set_trial_allowance(allowance);
    }

    /// The most that an embed token may live from now on, besides the end of the Entra token and the life that was
    /// asked for; none is no such limit, as at the vendor.
    pub fn set_embed_life(&self, life: Option<Duration>) {
        self.state.powerbi.set_embed_life(life);
    }

    /// What it was started with, as far as Bold BI goes.
    #[must_use]
    pub fn boldbi(&self) -> &BoldBiSettings {
        self.state.boldbi.settings()
    }

    /// Changes what Bold BI is from now on: its users, dashboards, flows, how answers tell the end of a token ….
    pub fn change_boldbi(&self, change: impl FnOnce(&mut BoldBiSettings)) {
        self.state.boldbi.change(change);
    }

    /// The embed secret from now on, as if it had been generated anew. The old one is refused, and the journal notes
    /// where it was used; tokens stay valid.
    pub fn set_boldbi_secret(&self, secret: &str) {
        self.state.boldbi.set_secret(secret);
    }

    /// The life of tokens that Bold BI issues from now on, which is not the one that its answers tell.
    pub fn set_boldbi_token_life(&self, life: Duration) {
        self.state.boldbi.change(|settings| settings.token_life = life);
    }

    /// Embedded dashboards of Bold BI refuse every token issued so far. No way to do this is documented.
    pub fn revoke_boldbi_tokens(&self) {
        self.state.boldbi.revoke_tokens();
    }
}
