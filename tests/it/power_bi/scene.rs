//! A sidecar of Power BI beside an emulator. The upstream is called `acme` and the embed `sales`, as everywhere in
//! these tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sidemint::emulator::{
    DatasetKind, Emulator, EntraSettings, JournalEntry, Operation, PowerBiReport, PowerBiSettings, ReportKind, Settings,
};

use crate::support::{Reply, Setup, Stage};

/// Row-level security by the viewer's value.
pub const RLS: &str = "rls: {username: viewer.value, roles: [Customer]}";

/// What a sidecar is told. By default `sales` is a report on a dataset with row-level security.
#[derive(Clone)]
pub struct PowerBi {
    auth: Option<String>,
    upstream: String,
    embeds: Vec<(String, String)>,
    entra: EntraSettings,
    variables: Vec<(String, String)>,
}

/// An item and the dataset that it shows.
pub struct On {
    pub report: String,
    pub dataset: String,
}

impl Default for PowerBi {
    fn default() -> PowerBi {
        let scene = PowerBi {
            auth: None,
            upstream: String::new(),
            embeds: Vec::new(),
            entra: EntraSettings::default(),
            variables: Vec::new(),
        };
        scene.sales(RLS)
    }
}

impl PowerBi {
    /// Keys of the upstream, in flow style.
    pub fn upstream(self, keys: &str) -> PowerBi {
        PowerBi { upstream: keys.to_owned(), ..self }
    }

    /// The credential, in flow style, instead of the emulator's secret.
    pub fn auth(self, keys: &str) -> PowerBi {
        PowerBi { auth: Some(keys.to_owned()), ..self }
    }

    /// The tenant.
    pub fn entra(self, entra: EntraSettings) -> PowerBi {
        PowerBi { entra, ..self }
    }

    /// A variable of the environment.
    pub fn variable(mut self, name: &str, value: &str) -> PowerBi {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An embed of these keys, in flow style.
    pub fn embed(mut self, name: &str, keys: &str) -> PowerBi {
        self.embeds.retain(|(other, _)| other != name);
        self.embeds.push((name.to_owned(), keys.to_owned()));
        self
    }

    /// The report on the secured dataset with these keys besides.
    pub fn sales(self, keys: &str) -> PowerBi {
        let also = if keys.is_empty() { String::new() } else { format!(", {keys}") };
        self.embed("sales", &format!("report_id: {}{also}", secured().report))
    }

    /// The file's text.
    pub fn yaml(&self, vendor: &Emulator) -> String {
        let also = |keys: &str| if keys.is_empty() { String::new() } else { format!(", {keys}") };
        let (entra, url) = (vendor.entra(), vendor.url());
        let auth = format!("{{client_id: {}, client_secret_env: ENTRA_SECRET}}", entra.client_id);
        let workspace = workspace();
        let embeds: String = (self.embeds.iter())
            .map(|(name, keys)| format!("  {name}: {{upstream: acme, workspace_id: {workspace}, {keys}}}\n"))
            .collect();
        format!(
            "server: {{listen: 127.0.0.1:0}}\n\
             admin: {{listen: 127.0.0.1:0}}\n\
             log: {{audit: false}}\n\
             upstreams:\n  acme: {{kind: powerbi, tenant_id: {tenant}, authority: '{url}', api_url: '{url}', \
             app_url: '{url}', auth: {auth}{upstream}}}\n\
             embeds:\n{embeds}",
            tenant = entra.tenant_id,
            auth = self.auth.as_deref().unwrap_or(&auth),
            upstream = also(&self.upstream),
        )
    }

    /// Starts a vendor for it.
    pub async fn vendor(&self) -> Emulator {
        let settings = Settings { entra: self.entra.clone(), ..Settings::default() };
        Emulator::start(settings).await.expect("a free port")
    }

    /// Starts the sidecar and a vendor for it.
    pub async fn start(self) -> Stage {
        let vendor = self.vendor().await;
        self.beside(vendor).await
    }

    /// The same with the service token in hand and the journal empty.
    pub async fn warm(self) -> Stage {
        self.start().await.warmed().await
    }

    /// Starts the sidecar beside this vendor.
    pub async fn beside(self, vendor: Emulator) -> Stage {
        let text = self.yaml(&vendor);
        let setup = Setup::default().variable("ENTRA_SECRET", &vendor.entra().client_secret);
        let setup = self.variables.iter().fold(setup, |setup, (name, value)| setup.variable(name, value));
        setup.with_text(vendor, &text).await
    }
}

pub fn workspace() -> String {
    PowerBiSettings::default().workspace_id
}

fn on(kind: impl Fn(&DatasetKind) -> bool) -> On {
    let settings = PowerBiSettings::default();
    let dataset = settings.datasets.iter().find(|one| kind(&one.kind)).expect("a dataset of that kind").id.clone();
    let shows = |one: &&PowerBiReport| one.kind == ReportKind::Interactive(dataset.clone());
    let report = settings.reports.iter().find(shows).expect("a report on it").id.clone();
    On { report, dataset }
}

/// Without row-level security.
pub fn plain() -> On {
    on(|kind| *kind == DatasetKind::Plain)
}

/// With row-level security by roles.
pub fn secured() -> On {
    on(|kind| matches!(kind, DatasetKind::Secured { roles } if !roles.is_empty()))
}

/// A paginated report, on this dataset or on none of Power BI.
pub fn paginated(dataset: Option<&str>) -> String {
    let settings = PowerBiSettings::default();
    let kind = ReportKind::Paginated(dataset.map(str::to_owned));
    settings.reports.iter().find(|one| one.kind == kind).expect("a paginated report").id.clone()
}

/// How often Entra was asked for a token, and Power BI for a report and for an embed token.
pub fn calls(stage: &Stage) -> (u64, u64, u64) {
    let count = |operation| stage.vendor.count(operation);
    (count(Operation::EntraToken), count(Operation::PowerBiReport), count(Operation::GenerateToken))
}

/// The requests of this kind, oldest first.
pub fn requests(stage: &Stage, operation: Operation) -> Vec<JournalEntry> {
    stage.vendor.journal().into_iter().filter(|entry| entry.operation == operation).collect()
}

/// The bodies of the requests for embed tokens.
pub fn bodies(stage: &Stage) -> Vec<Value> {
    let body = |entry: JournalEntry| entry.body.expect("a request for an embed token has a body");
    requests(stage, Operation::GenerateToken).into_iter().map(body).collect()
}

/// What is sealed in an embed token of the emulator, which stores it as it is.
pub fn opened(token: &str) -> String {
    assert!(token.starts_with("H4sI"), "no embed token");
    String::from_utf8_lossy(&STANDARD.decode(token).expect("an embed token is base64")).into_owned()
}

/// A refusal, which says what to do and repeats neither secret nor token.
#[track_caller]
pub fn told(reply: &Reply, status: u16, code: &str, says: &str) {
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{}", reply.text());
    assert!(reply.detail().contains(says), "{says} is missing in: {}", reply.detail());
    for secret in ["eyJ", "H4sI", "emu8Q~"] {
        assert!(!reply.text().contains(secret), "{}", reply.text());
    }
}
