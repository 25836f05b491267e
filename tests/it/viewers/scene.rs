//! A sidecar whose viewers come with tokens, beside a vendor and an issuer of those tokens. The upstream is `acme` and
//! the embed `sales`, as everywhere in these tests.

use std::ops::Deref;

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use sidemint::app::App;

use crate::issuer::{AUDIENCE, Issuer, Token, rsa};
use crate::support::{Client, Reply, Setup, Stage, emulator, until};

/// What every caller sends.
pub const PROOF: (&str, &str) = ("sidemint-request", "true");
pub const JSON: (&str, &str) = ("content-type", "application/json");
/// Where the tests ask. Renewals never wait for the load limit.
pub const TOKEN: &str = "/v1/embeds/sales/token";
pub const RENEW: &str = "/v1/embeds/sales/token?purpose=renew";

/// What a sidecar is told about its viewers.
#[derive(Clone)]
pub struct Gate {
    /// Where the keys are, if not where discovery says: `jwks_url: …`. `ISSUER` is the issuer's URL.
    keys: String,
    jwt: String,
    viewers: String,
    setup: Setup,
}

/// All of it, running.
pub struct Scene {
    pub issuer: Issuer,
    pub stage: Stage,
    gate: Gate,
}

/// Another sidecar beside the same vendor and issuer.
pub struct Another {
    pub app: App,
    client: Client,
}

impl Default for Gate {
    fn default() -> Gate {
        let keys = String::new();
        let jwt = "value_claim: region".to_owned();
        Gate { keys, jwt, viewers: String::new(), setup: Setup::default() }
    }
}

impl Gate {
    /// Another way to the keys, in flow style: `jwks_url: 'ISSUER/keys'`.
    pub fn keys(self, keys: &str) -> Gate {
        Gate { keys: keys.to_owned(), ..self }
    }

    /// Keys of `viewers.jwt` in place of the usual `value_claim: region`, in flow style.
    pub fn jwt(self, keys: &str) -> Gate {
        Gate { jwt: keys.to_owned(), ..self }
    }

    /// More keys of `viewers`, in flow style.
    pub fn viewers(self, keys: &str) -> Gate {
        Gate { viewers: keys.to_owned(), ..self }
    }

    /// The rest of the config.
    pub fn setup(self, change: impl FnOnce(Setup) -> Setup) -> Gate {
        Gate { setup: change(self.setup), ..self }
    }

    /// The section `viewers`.
    pub fn section(&self, issuer: &Issuer) -> String {
        let keys = [&self.keys, &self.jwt].into_iter().filter(|keys| !keys.is_empty());
        let keys: String = keys.map(|keys| format!(", {keys}")).collect();
        let audience = if keys.contains("audience:") { String::new() } else { format!(", audience: {AUDIENCE}") };
        let more = if self.viewers.is_empty() { String::new() } else { format!(", {}", self.viewers) };
        let jwt = format!("{{issuer: '{}'{audience}{keys}}}", issuer.url()).replace("ISSUER", &issuer.url());
        format!("viewers: {{source: jwt, jwt: {jwt}{more}}}\n")
    }

    /// What the sidecar is told.
    pub fn setup_for(&self, issuer: &Issuer) -> Setup {
        self.setup.clone().more(&self.section(issuer))
    }

    /// Starts a sidecar, a vendor and an issuer, and waits for the first keys.
    pub async fn start(self) -> Scene {
        self.beside(Issuer::start()).await.ready().await
    }

    /// Starts a sidecar and a vendor beside this issuer, which may be out of order.
    pub async fn beside(self, issuer: Issuer) -> Scene {
        let stage = self.setup_for(&issuer).beside(emulator().await).await;
        stage.metric_reaches(r#"sidemint_service_token_refreshes_total{outcome="ok",upstream="acme"}"#, 1.0).await;
        stage.vendor.clear_journal();
        Scene { issuer, stage, gate: self }
    }
}

impl Deref for Scene {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl Scene {
    /// With everything as it should be.
    pub async fn new() -> Scene {
        Gate::default().start().await
    }

    /// Waits for the first keys.
    pub async fn ready(self) -> Scene {
        let ready = async || self.admin("/startupz").await.text() == "started\n";
        until("the first keys are here", ready).await;
        self
    }

    /// A right token, yet to be changed and signed.
    pub fn token(&self) -> Token {
        Token::by(rsa(), &self.issuer)
    }

    /// What this token gets, for whom it names: a GET without a viewer.
    pub async fn get(&self, token: &str) -> Reply {
        self.get_with(&format!("Bearer {token}")).await
    }

    /// The same with an Authorization header of the test's own.
    pub async fn get_with(&self, authorization: &str) -> Reply {
        self.send("GET", RENEW, &[PROOF, ("authorization", authorization)], "").await
    }

    /// A POST with this body.
    pub async fn ask(&self, token: &str, body: &Value) -> Reply {
        self.ask_raw(token, &body.to_string()).await
    }

    pub async fn ask_raw(&self, token: &str, body: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        self.send("POST", TOKEN, &[PROOF, JSON, ("authorization", &bearer)], body.to_owned()).await
    }

    /// A POST that names this viewer.
    pub async fn ask_for(&self, token: &str, viewer: Value) -> Reply {
        self.ask(token, &json!({"viewer": viewer, "purpose": "renew"})).await
    }

    /// How often the issuer's keys were asked for, by outcome, as `/metrics` has it.
    pub async fn counted(&self, outcome: &str) -> f64 {
        self.metric(&counted_series(outcome)).await.unwrap_or_default()
    }

    /// Another sidecar beside the same vendor and issuer, told otherwise about its viewers.
    pub async fn another(&self, gate: &Gate) -> Another {
        let text = gate.setup_for(&self.issuer).yaml(&self.stage.vendor);
        let environment = self.gate.setup.variables(&self.stage.vendor);
        let app = App::start(self.stage.parsed(&text), environment).await.expect("free ports and a readable secret");
        Another { app, client: self.stage.client.clone() }
    }
}

pub fn counted_series(outcome: &str) -> String {
    format!(r#"sidemint_upstream_requests_total{{operation="jwks",outcome="{outcome}",upstream="viewers.jwt"}}"#)
}

impl Another {
    /// What this token gets, for whom it names.
    pub async fn get(&self, token: &str) -> Reply {
        let address = self.app.addresses().first().expect("the token API listens");
        let request = Request::get(format!("http://{address}{RENEW}"))
            .header(PROOF.0, PROOF.1)
            .header("authorization", format!("Bearer {token}"));
        let request = request.body(Full::default()).expect("a request of known parts");
        self.client.send(request).await.expect("the sidecar answers")
    }

    /// How often keys were asked for with this outcome.
    pub async fn counted(&self, outcome: &str) -> f64 {
        self.series(|series| series == counted_series(outcome)).await
    }

    /// How often keys were asked for in all.
    pub async fn asked(&self) -> f64 {
        self.series(|series| series.starts_with("sidemint_upstream_requests_total{operation=\"jwks\"")).await
    }

    /// The sum of some series.
    async fn series(&self, wanted: impl Fn(&str) -> bool) -> f64 {
        let text = self.admin("/metrics").await.text();
        let lines = text.lines().filter_map(|line| line.rsplit_once(' ')).filter(|(series, _)| wanted(series));
        lines.map(|(_, value)| value.parse::<f64>().expect("a number")).sum()
    }

    /// A page of the admin port.
    pub async fn admin(&self, path: &str) -> Reply {
        self.client.get(self.app.admin(), path, &[]).await
    }
}

impl Drop for Another {
    fn drop(&mut self) {
        self.app.tasks().stop().force();
    }
}

/// The viewer of a minted token, as the vendor filters by it: `value:id`.
pub fn seen(token: &str) -> String {
    let claim = crate::support::claim(token);
    let viewer = claim.strip_prefix("urn:aibi:external_data:").expect("a viewer token has this claim");
    viewer.rsplit_once(':').expect("the dashboard comes last").0.to_owned()
}

/// A refusal of the token, as RFC 6750 section 3 wants it, that tells nothing of it.
#[track_caller]
pub fn unauthenticated(reply: &Reply, what: &str) {
    assert_eq!(reply.refusal(), (401, "viewer_unauthenticated".to_owned()), "{what}: {}", reply.text());
    let challenge = reply.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Bearer"), "{what}: {challenge}");
    assert!(!reply.text().contains("eyJ") && !challenge.contains("eyJ"), "{what}: {}", reply.text());
    assert_eq!(reply.json()["class"], "refused", "{what}");
}
