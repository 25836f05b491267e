//! A sidecar of Bold BI beside an emulator. The upstream is called `acme` and the embed `sales`, as everywhere in these
//! tests.

use std::collections::BTreeSet;

use serde_json::Value;
use sidemint::emulator::{BoldBiSettings, BoldBiUser, Emulator, JournalEntry, Operation, Settings};

use crate::support::{Reply, Setup, Stage};

/// A user of the emulator.
pub const VIEWER: &str = "viewer@example.com";
/// Another one.
pub const READER: &str = "reader@example.com";
/// The viewer's value, as an attribute that filters rows.
pub const REGION: &str = "custom_attributes: {region: viewer.value}";

/// What a sidecar is told. By default the viewer's value filters the rows of `sales`.
#[derive(Clone)]
pub struct BoldBi {
    server: String,
    auth: String,
    root: String,
    site: String,
    upstream: String,
    embeds: Vec<(String, String)>,
    settings: BoldBiSettings,
}

impl Default for BoldBi {
    fn default() -> BoldBi {
        let scene = BoldBi {
            server: String::new(),
            auth: "{embed_secret_env: BOLD_SECRET}".to_owned(),
            root: "/bi".to_owned(),
            site: "site1".to_owned(),
            upstream: String::new(),
            embeds: Vec::new(),
            settings: BoldBiSettings::default(),
        };
        scene.sales(REGION)
    }
}

impl BoldBi {
    /// By the flow before v14.1.
    pub fn signed() -> BoldBi {
        BoldBi::default().upstream("flow: signed_query")
    }

    /// Keys of `server`, in flow style.
    pub fn server(self, keys: &str) -> BoldBi {
        BoldBi { server: keys.to_owned(), ..self }
    }

    /// The credential, in flow style, instead of the emulator's secret.
    pub fn auth(self, keys: &str) -> BoldBi {
        BoldBi { auth: keys.to_owned(), ..self }
    }

    /// The path of the server and the site.
    pub fn place(self, root: &str, site: &str) -> BoldBi {
        BoldBi { root: root.to_owned(), site: site.to_owned(), ..self }
    }

    /// Keys of the upstream, in flow style.
    pub fn upstream(self, keys: &str) -> BoldBi {
        BoldBi { upstream: keys.to_owned(), ..self }
    }

    /// Keys of the embed `sales`, in flow style.
    pub fn sales(self, keys: &str) -> BoldBi {
        self.embed("sales", keys)
    }

    /// An embed of the emulator's dashboard with these keys, in flow style.
    pub fn embed(mut self, name: &str, keys: &str) -> BoldBi {
        self.embeds.retain(|(other, _)| other != name);
        self.embeds.push((name.to_owned(), keys.to_owned()));
        self
    }

    /// What the server is.
    pub fn settings(mut self, change: impl FnOnce(&mut BoldBiSettings)) -> BoldBi {
        change(&mut self.settings);
        self
    }

    /// More users of the server.
    pub fn users(self, emails: &[impl AsRef<str>]) -> BoldBi {
        let user = |email: &str| BoldBiUser { email: email.to_owned(), name: "Somebody".to_owned() };
        self.settings(|settings| settings.users.extend(emails.iter().map(|email| user(email.as_ref()))))
    }

    /// The file's text.
    pub fn yaml(&self, vendor: &Emulator) -> String {
        let also = |keys: &str| if keys.is_empty() { String::new() } else { format!(", {keys}") };
        let id = dashboard();
        let embeds: String = (self.embeds.iter())
            .map(|(name, keys)| format!("  {name}: {{upstream: acme, dashboard_id: {id}{}}}\n", also(keys)))
            .collect();
        format!(
            "server: {{listen: 127.0.0.1:0{server}}}\n\
             admin: {{listen: 127.0.0.1:0}}\n\
             log: {{audit: false}}\n\
             upstreams:\n  acme: {{kind: boldbi, url: '{url}{root}', site: '{site}', auth: {auth}{upstream}}}\n\
             embeds:\n{embeds}",
            server = also(&self.server),
            url = vendor.url(),
            root = self.root,
            site = self.site,
            auth = self.auth,
            upstream = also(&self.upstream),
        )
    }

    /// Starts a vendor for it.
    pub async fn vendor(&self) -> Emulator {
        let settings = Settings { boldbi: self.settings.clone(), ..Settings::default() };
        Emulator::start(settings).await.expect("a free port")
    }

    /// Starts the sidecar and a vendor for it.
    pub async fn start(self) -> Stage {
        let vendor = self.vendor().await;
        self.beside(vendor).await
    }

    /// Starts the sidecar beside this vendor.
    pub async fn beside(self, vendor: Emulator) -> Stage {
        let text = self.yaml(&vendor);
        self.with_text(vendor, &text).await
    }

    /// Starts the sidecar with a file of the test's own.
    pub async fn with_text(self, vendor: Emulator, text: &str) -> Stage {
        let setup = Setup::default().variable("BOLD_SECRET", &vendor.boldbi().embed_secret);
        setup.with_text(vendor, text).await
    }
}

/// The emulator's dashboard.
pub fn dashboard() -> String {
    BoldBiSettings::default().dashboards.first().expect("there is a dashboard").id.clone()
}

/// How often Bold BI was asked, for anything.
pub fn calls(stage: &Stage) -> usize {
    stage.vendor.journal().len()
}

/// The requests for tokens, oldest first.
pub fn asked(stage: &Stage) -> Vec<JournalEntry> {
    let is_ask = |entry: &JournalEntry| entry.operation == Operation::BoldBiAuthorize;
    stage.vendor.journal().into_iter().filter(is_ask).collect()
}

/// The bodies of the requests of the newer flow.
pub fn bodies(stage: &Stage) -> Vec<Value> {
    asked(stage).into_iter().map(|entry| entry.body.expect("the newer flow has a body")).collect()
}

/// The regions that Bold BI shows to who brings this token.
pub async fn regions(stage: &Stage, token: &str) -> BTreeSet<String> {
    let path = format!("/bi/site/site1/embed/data?dashboard={}", dashboard());
    let bearer = format!("Bearer {token}");
    let reply = stage.client.get(stage.vendor.addr(), &path, &[("authorization", &bearer)]).await;
    let rows = reply.json()["rows"].as_array().expect("the dashboard is shown").clone();
    rows.iter().map(|row| row["region"].as_str().expect("rows have a region").to_owned()).collect()
}

/// All that there is to see.
pub const ALL_REGIONS: [&str; 6] = ["amer", "anz", "apac", "emea", "latam", "nordics"];

/// A set of texts, to compare with.
pub fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A refusal, which says what to do and repeats neither secret, address nor token.
#[track_caller]
pub fn told(reply: &Reply, status: u16, code: &str, says: &str) {
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{}", reply.text());
    assert!(reply.detail().contains(says), "{says} is missing in: {}", reply.detail());
    for secret in ["eyJ", "bold-embed-secret", "@example.com"] {
        assert!(!reply.text().contains(secret), "{}", reply.text());
    }
}
