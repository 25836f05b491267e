//! A sidecar beside an emulator.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use sidemint::app::App;
use sidemint::config::{self, Environment, Listen};
use sidemint::emulator::{DatabricksSettings, Emulator, Operation, Settings};

use super::{Client, Reply, log, secrecy, until};

/// The dashboard of the embed `sales`.
pub const DASHBOARD: &str = "01f12716a3c41b5e9d7c2f60a1b2c3d4";
/// The dashboard of the embed `orders`.
pub const ORDERS: &str = "01f12716b7e81c0fa2d4c6e8f0a1b2c3";

/// What a sidecar is told, besides where the emulator is.
#[derive(Clone, Default)]
pub struct Setup {
    auth: Option<String>,
    server: String,
    upstream: String,
    embed: String,
    more: String,
    environment: Vec<(String, String)>,
}

/// A sidecar, its vendor and somebody who asks. All of it ends with this.
pub struct Stage {
    pub vendor: Emulator,
    pub app: App,
    pub client: Client,
    pub setup: Setup,
}

/// An emulator on a free port, as it is by default.
pub async fn emulator() -> Emulator {
    emulator_of(DatabricksSettings::default()).await
}

async fn emulator_of(databricks: DatabricksSettings) -> Emulator {
    Emulator::start(Settings { databricks, ..Settings::default() }).await.expect("a free port and a signing key")
}

/// Runs all at once and waits for each.
pub async fn joined<T>(all: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::future::join_all(all).await
}

impl Setup {
    /// Keys of `server`, in flow style: `max_body: 1KiB, drain_timeout: 1s`.
    pub fn server(mut self, keys: &str) -> Setup {
        self.server = keys.to_owned();
        self
    }

    /// Keys of the upstream, in flow style.
    pub fn upstream(mut self, keys: &str) -> Setup {
        self.upstream = keys.to_owned();
        self
    }

    /// Keys of both embeds, in flow style.
    pub fn embed(mut self, keys: &str) -> Setup {
        self.embed = keys.to_owned();
        self
    }

    /// More of the file, in block style.
    pub fn more(mut self, yaml: &str) -> Setup {
        self.more = yaml.to_owned();
        self
    }

    /// A secret in a file instead of the environment.
    pub fn secret_file(mut self, vendor: &Emulator, path: &Path) -> Setup {
        let id = &vendor.databricks().client_id;
        self.auth = Some(format!("{{client_id: {id}, client_secret_file: {}}}", path.display()));
        self
    }

    /// A federated token instead of a secret.
    pub fn federated(mut self, vendor: &Emulator, path: &Path) -> Setup {
        let id = &vendor.databricks().client_id;
        self.auth = Some(format!("{{client_id: {id}, federated_token_file: {}}}", path.display()));
        self
    }

    /// A variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> Setup {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The file's text.
    pub fn yaml(&self, vendor: &Emulator) -> String {
        let settings = vendor.databricks();
        let auth = || format!("{{client_id: {}, client_secret_env: SECRET}}", settings.client_id);
        let also = |keys: &str| if keys.is_empty() { String::new() } else { format!(", {keys}") };
        format!(
            "server: {{listen: 127.0.0.1:0{server}}}\n\
             admin: {{listen: 127.0.0.1:0}}\n\
             log: {{audit: false}}\n\
             {more}\n\
             upstreams:\n  acme: {{kind: databricks, host: '{host}', workspace_id: '{workspace}', auth: {auth}{upstream}}}\n\
             embeds:\n  sales: {{upstream: acme, dashboard_id: {DASHBOARD}{embed}}}\n  \
             orders: {{upstream: acme, dashboard_id: {ORDERS}{embed}}}\n",
            server = also(&self.server),
            more = self.more,
            host = vendor.url(),
            workspace = settings.workspace_id,
            auth = self.auth.clone().unwrap_or_else(auth),
            upstream = also(&self.upstream),
            embed = also(&self.embed),
        )
    }

    /// The variables: the emulator's secret is `SECRET`.
    pub fn variables(&self, vendor: &Emulator) -> Environment {
        // `Environment` is made of arrays only, so a few places are kept free.
        let mut pairs = [("", ""); 4];
        pairs[0] = ("SECRET", &vendor.databricks().client_secret);
        let given = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pairs.iter_mut().skip(1).zip(given).for_each(|(place, pair)| *place = pair);
        Environment::from(pairs)
    }

    /// Starts the sidecar and a vendor for it.
    pub async fn start(self) -> Stage {
        self.beside(emulator().await).await
    }

    /// Starts the sidecar beside this vendor, which may be out of order already.
    pub async fn beside(self, vendor: Emulator) -> Stage {
        let text = self.yaml(&vendor);
        self.with_text(vendor, &text).await
    }

    /// Starts the sidecar with a file of the test's own.
    pub async fn with_text(self, vendor: Emulator, text: &str) -> Stage {
        let environment = self.variables(&vendor);
        self.hide(&vendor, text);
        let config = config::from_text(text, &environment);
        let config = config.unwrap_or_else(|problems| panic!("{problems:?} in\n{text}"));
        let app = App::start(config, environment).await.expect("free ports and a readable secret");
        app.addresses().iter().filter_map(Listen::tcp).chain([app.admin()]).for_each(secrecy::ours);
        Stage { vendor, app, client: Client::new(), setup: self }
    }

    /// Hides all that the sidecar is about to know and must not say, in its log neither.
    fn hide(&self, vendor: &Emulator, text: &str) {
        let (databricks, entra, boldbi) = (vendor.databricks(), vendor.entra(), vendor.boldbi());
        for secret in [&databricks.client_secret, &entra.client_secret, &entra.identity_header, &boldbi.embed_secret] {
            secrecy::hide_secret("a secret of the vendor", secret);
        }
        self.environment.iter().for_each(|(name, value)| secrecy::said::variable(name, value));
        secrecy::said::config(text);
        log::watch();
    }

    /// A vendor with settings of its own.
    pub async fn vendor(databricks: DatabricksSettings) -> Emulator {
        emulator_of(databricks).await
    }
}

impl Stage {
    /// A config that this one may be told in the place of its own.
    pub fn parsed(&self, text: &str) -> config::Config {
        secrecy::said::config(text);
        let parsed = config::from_text(text, &self.setup.variables(&self.vendor));
        parsed.unwrap_or_else(|problems| panic!("{problems:?} in\n{text}"))
    }

    pub async fn new() -> Stage {
        Setup::default().start().await
    }

    /// With the service token in hand and the journal empty.
    pub async fn warm() -> Stage {
        Stage::new().await.warmed().await
    }

    /// The same with the service token in hand and the journal empty.
    pub async fn warmed(self) -> Stage {
        self.metric_reaches(r#"sidemint_service_token_refreshes_total{outcome="ok",upstream="acme"}"#, 1.0).await;
        self.vendor.clear_journal();
        self
    }

    pub fn url(&self, path: &str) -> String {
        let address = self.app.addresses().first().expect("the token API listens");
        format!("http://{address}{path}")
    }

    /// A token to renew with, which no load limit holds up.
    pub async fn renew(&self, viewer: &str, value: &str) -> Reply {
        self.renew_of("sales", viewer, value).await
    }

    pub async fn renew_of(&self, embed: &str, viewer: &str, value: &str) -> Reply {
        self.post(embed, &json!({"viewer": {"id": viewer, "value": value}, "purpose": "renew"})).await
    }

    /// A token to start a dashboard with.
    pub async fn load(&self, viewer: &str, value: &str) -> Reply {
        self.post("sales", &json!({"viewer": {"id": viewer, "value": value}})).await
    }

    pub async fn post(&self, embed: &str, body: &Value) -> Reply {
        let headers = [("sidemint-request", "true"), ("content-type", "application/json")];
        self.send("POST", &format!("/v1/embeds/{embed}/token"), &headers, body.to_string()).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request of known parts");
        self.client.send(request).await.expect("the sidecar answers")
    }

    pub async fn admin(&self, path: &str) -> Reply {
        self.client.get(self.app.admin(), path, &[]).await
    }

    /// What the vendor was asked for, in order.
    pub fn operations(&self) -> Vec<&'static str> {
        self.vendor.journal().iter().map(|entry| entry.operation.name()).collect()
    }

    /// How often the vendor was asked for a service token, token info and a mint.
    pub fn counts(&self) -> (u64, u64, u64) {
        let count = |operation| self.vendor.count(operation);
        (count(Operation::ServiceToken), count(Operation::TokenInfo), count(Operation::Mint))
    }

    /// The value of one series, as `/metrics` writes it; none if it is not there.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin("/metrics").await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a number"))
    }

    pub async fn metric_reaches(&self, series: &str, value: f64) {
        let what = format!("{series} reaches {value}");
        until(&what, async || self.metric(series).await.is_some_and(|found| found >= value)).await;
    }

    /// How many requests for the embed `sales` ended so.
    pub async fn outcomes(&self, outcome: &str) -> f64 {
        let series = format!(r#"sidemint_embed_requests_total{{embed="sales",outcome="{outcome}"}}"#);
        self.metric(&series).await.expect("every outcome is counted from the start")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Before its ports are free for others.
        self.app.addresses().iter().filter_map(Listen::tcp).chain([self.app.admin()]).for_each(secrecy::no_longer_ours);
        self.app.tasks().stop().force();
    }
}

/// A file in a folder of its own, which goes with the second.
pub fn file_with(text: &str) -> (PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("secret");
    secrecy::hide_secret("a secret in a file", text);
    std::fs::write(&path, text).expect("a temporary file");
    (path, folder)
}
