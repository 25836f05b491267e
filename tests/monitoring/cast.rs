//! The sidecars of the scenes.

use std::net::SocketAddr;
use std::time::Duration;

use super::load::{Load, ask, token};
use super::stage::Store;
use super::support::bold_bi::VIEWER;
use super::support::config::Files;
use super::support::credentials::Certificate;
use super::support::power_bi::{secured, tenant};
use super::support::sidecar::PROOF;
use super::support::{Settings, Sidecar, Vendor};
use sidemint::emulator::{EntraSettings, Fault, PowerBiSettings};

const LOG: &str = "level: info, audit: false";

/// The life of a vendor's tokens where an outage is to outlive them. No key is minted twice within 10 s, and a token of such a
/// life is good for half of it.
pub const LIFE: Duration = Duration::from_secs(24);

/// A vendor whose tokens end soon.
pub fn brief_vendor() -> Vendor {
    let vendor = Vendor::start();
    vendor.set_token_life(LIFE);
    vendor
}

/// One upstream and one embed, as usual.
pub fn plain(vendor: &Vendor, upstream: &str, more: &str) -> Sidecar {
    let settings = Settings { log: LOG, upstream: upstream.to_owned(), more: more.to_owned(), ..Settings::default() };
    Sidecar::with(vendor, &settings).ready()
}

/// Such a vendor, who knows this app.
pub fn brief_vendor_of(app: &Certificate) -> Vendor {
    let vendor = tenant(EntraSettings { certificates: vec![app.public.clone()], ..EntraSettings::default() });
    vendor.set_token_life(LIFE);
    vendor
}

/// All kinds of upstreams, a route, a fleet. The secret of Bold BI is in the file `bold`.
pub fn everything(vendor: &Vendor, app: &Certificate, store: &Store) -> Sidecar {
    let files = Files::new(vendor, &Settings::default());
    files.write("certificate", &format!("{}{}", app.public, app.private));
    files.write("bold", &vendor.boldbi().embed_secret);
    let (databricks, entra, url) = (vendor.databricks(), vendor.entra(), vendor.url());
    let board = &vendor.boldbi().dashboards.first().expect("there is a dashboard").id;
    let text = format!(
        "server: {{listen: \"127.0.0.1:0\"}}
admin: {{listen: \"127.0.0.1:0\"}}
log: {{{LOG}}}
upstreams:
  acme:
    kind: databricks
    host: {url}
    workspace_id: \"{}\"
    auth: {{client_id: {}, client_secret_file: FOLDER/secret}}
    load_limit: {{per_second: 5, max_wait: 500ms, max_waiting: 2, per_viewer_per_second: 1000}}
  contoso:
    kind: powerbi
    tenant_id: {}
    authority: {url}
    api_url: {url}
    app_url: {url}
    auth: {{client_id: {}, certificate_file: FOLDER/certificate}}
  bold: {{kind: boldbi, url: {url}/bi, site: site1, auth: {{embed_secret_file: FOLDER/bold}}}}
embeds:
  sales: {{upstream: acme, dashboard_id: {}}}
  finance:
    upstream: contoso
    workspace_id: {}
    report_id: {}
    rls: {{username: viewer.value, roles: [Customer]}}
  supply: {{upstream: bold, dashboard_id: {board}, custom_attributes: {{region: viewer.value}}}}
routes:
  app: {{upstream: acme, target: {}, allow: ['GET /api/**']}}
fleet: {{redis_url: redis://{}/0, replicas: 1}}
",
        databricks.workspace_id,
        databricks.client_id,
        entra.tenant_id,
        entra.client_id,
        vendor.dashboard(),
        PowerBiSettings::default().workspace_id,
        secured().report,
        vendor.app_url(),
        store.address(),
    );
    files.write("config.yaml", &text.replace("FOLDER/", &files.path("").display().to_string()));
    vendor.inject(Fault { path: Some("/api/broken".to_owned()), ..Fault::status("app", 503) });
    Sidecar::of(files, &[]).ready()
}

/// Hits, misses, loads of which some are turned away, calls through the route that go well and that do not, and asks that
/// are refused.
pub fn crowd(address: SocketAddr) -> [Load; 2] {
    let asks = move |number: u64| {
        let status = match number % 8 {
            0 => token(address, "sales", &format!("u-{number}"), "renew"),
            1 => token(address, "sales", "u-1", "renew"),
            2 => token(address, "finance", "u-1", "renew"),
            3 => token(address, "supply", VIEWER, "renew"),
            4 => ask(address, "/proxy/app/api/x", &[PROOF]),
            5 => ask(address, "/proxy/app/api/broken", &[PROOF]),
            6 => ask(address, "/v1/embeds/sales/token?viewer_id=u-1", &[]),
            _ => token(address, "sales", "a%3Ab", "renew"),
        };
        let wanted = [200, 200, 200, 200, 200, 503, 403, 422];
        let wanted = wanted.get(usize::try_from(number % 8).expect("below eight")).copied();
        assert!(
            wanted.is_some() && status.as_ref().ok() == wanted.as_ref(),
            "ask {number}: {status:?}, not {wanted:?}"
        );
    };
    let loads = move |number: u64| {
        let status = token(address, "sales", &format!("u-{}", number % 3), "load");
        assert!(matches!(status, Ok(200 | 429)), "{status:?}");
    };
    [Load::of(1, asks), Load::of(6, loads)]
}
