//! A sidecar of Power BI: the upstream is `acme` and the embed `sales`, as everywhere in these tests.

use sidemint::emulator::{
    DatasetKind, EntraSettings, JournalEntry, Operation, PowerBiReport, PowerBiSettings, ReportKind,
    Settings as Vendors,
};

use super::config::Files;
use super::{Settings, Sidecar, Vendor};

/// What a test changes of the usual config. Each text goes into its section as it is, in flow style.
#[derive(Clone)]
pub struct PowerBi {
    pub log: &'static str,
    /// `auth: {…}`, or nothing.
    pub auth: String,
    /// Where the vendor is, and whose tenant.
    pub place: String,
    pub upstream: String,
    pub embed: String,
}

/// A report and its dataset.
pub struct On {
    pub report: String,
    pub dataset: String,
}

pub const RLS: &str = "rls: {username: viewer.value, roles: [Customer]}";

impl PowerBi {
    /// The report with row-level security, and the emulator's secret, which is in the file `secret`.
    pub fn of(vendor: &Vendor) -> PowerBi {
        let (entra, url) = (vendor.entra(), vendor.url());
        PowerBi {
            log: "",
            auth: format!("auth: {{client_id: {}, client_secret_file: FOLDER/secret}}", entra.client_id),
            place: format!("tenant_id: {}, authority: '{url}', api_url: '{url}', app_url: '{url}'", entra.tenant_id),
            upstream: String::new(),
            embed: format!("report_id: {}, {RLS}", secured().report),
        }
    }

    /// A folder with this config and the vendor's secret. `FOLDER` in any text is where it is.
    pub fn files(&self, vendor: &Vendor) -> Files {
        let files = Files::new(vendor, &Settings::default());
        files.write("secret", &vendor.entra().client_secret);
        files.write("config.yaml", &self.text(&files));
        files
    }

    /// The config's text.
    pub fn text(&self, files: &Files) -> String {
        let keys = ["kind: powerbi", &self.place, &self.auth, &self.upstream].map(str::to_owned);
        let keys: Vec<String> = keys.into_iter().filter(|keys| !keys.is_empty()).collect();
        let text = format!(
            "server: {{listen: \"127.0.0.1:0\"}}
admin: {{listen: \"127.0.0.1:0\"}}
log: {{{}}}
upstreams:
  acme: {{{}}}
embeds:
  sales: {{upstream: acme, workspace_id: {}, {}}}
",
            self.log,
            keys.join(", "),
            PowerBiSettings::default().workspace_id,
            self.embed
        );
        text.replace("FOLDER", &files.path("").display().to_string())
    }

    /// A running sidecar of it.
    pub fn start(&self, vendor: &Vendor, variables: &[(&'static str, String)]) -> Sidecar {
        Sidecar::of(self.files(vendor), variables)
    }
}

/// The requests of this kind so far.
pub fn asked(vendor: &Vendor, operation: Operation) -> Vec<JournalEntry> {
    vendor.journal().into_iter().filter(|entry| entry.operation == operation).collect()
}

/// A vendor with this tenant.
pub fn tenant(entra: EntraSettings) -> Vendor {
    Vendor::with(Vendors { entra, ..Vendors::default() })
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
