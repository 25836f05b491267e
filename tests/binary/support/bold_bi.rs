//! A sidecar of Bold BI: the upstream is `acme` and the embed `sales`, as everywhere in these tests.

use sidemint::emulator::{BoldBiSettings, Settings as Vendors};

use super::config::Files;
use super::{Settings, Vendor};

/// A user of the emulator.
pub const VIEWER: &str = "viewer@example.com";

/// What a test changes of the usual config. Each text goes into its section as it is, in flow style.
#[derive(Clone)]
pub struct BoldBi {
    pub log: &'static str,
    /// Where the vendor is.
    pub place: String,
    pub upstream: &'static str,
    pub embed: String,
}

impl BoldBi {
    /// The viewer's value filters rows, and the emulator's secret is in the file `secret`.
    pub fn of(vendor: &Vendor) -> BoldBi {
        let id = &vendor.boldbi().dashboards.first().expect("there is a dashboard").id;
        BoldBi {
            log: "",
            place: format!("url: '{}/bi', site: site1", vendor.url()),
            upstream: "flow: object_model",
            embed: format!("dashboard_id: {id}, custom_attributes: {{region: viewer.value}}"),
        }
    }

    /// A folder with this config and the vendor's secret. `FOLDER` in any text is where it is.
    pub fn files(&self, vendor: &Vendor) -> Files {
        let files = Files::new(vendor, &Settings::default());
        files.write("secret", &vendor.boldbi().embed_secret);
        files.write("config.yaml", &self.text(&files));
        files
    }

    /// The config's text.
    pub fn text(&self, files: &Files) -> String {
        let BoldBi { log, place, upstream, embed } = self;
        let text = format!(
            "server: {{listen: \"127.0.0.1:0\"}}
admin: {{listen: \"127.0.0.1:0\"}}
log: {{{log}}}
upstreams:
  acme: {{kind: boldbi, {place}, auth: {{embed_secret_file: FOLDER/secret}}, {upstream}}}
embeds:
  sales: {{upstream: acme, {embed}}}
"
        );
        text.replace("FOLDER", &files.path("").display().to_string())
    }
}

/// A vendor with this server.
pub fn server(change: impl FnOnce(&mut BoldBiSettings)) -> Vendor {
    let mut boldbi = BoldBiSettings::default();
    change(&mut boldbi);
    Vendor::with(Vendors { boldbi, ..Vendors::default() })
}
