//! `sidemint demo`: fake vendors, the sidecar, and a small app that somebody could have.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Failure;
use crate::app::App;
use crate::config::{self, Environment};
use crate::demo::{Host, HostSettings};
use crate::emulator::{DatasetKind, Emulator, PowerBiDataset, PowerBiReport, ReportKind, Settings};
use crate::telemetry::log;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where the app's page is; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    listen: SocketAddr,
}

pub(super) async fn demo(args: Args) -> Result<(), Failure> {
    let emulator = Emulator::start(Settings::default()).await.map_err(anyhow::Error::from)?;
    let environment = Environment::from([
        ("DATABRICKS_CLIENT_SECRET", emulator.databricks().client_secret.as_str()),
        ("ENTRA_CLIENT_SECRET", emulator.entra().client_secret.as_str()),
        ("BOLDBI_EMBED_SECRET", emulator.boldbi().embed_secret.as_str()),
    ]);
    let config = config::from_text(&sidecar_config(&emulator), &environment)
        .map_err(|problems| Failure::Usage(problems.iter().map(ToString::to_string).collect()))?;
    log::start(&config.log);
    let app = App::start(config, environment).await.map_err(anyhow::Error::msg)?;
    let sidecar_url = app.addresses().first().map(|address| format!("http://{address}")).unwrap_or_default();
    let admin_url = format!("http://{}", app.admin());
    let settings = HostSettings {
        listen: args.listen,
        sidecar_url: sidecar_url.clone(),
        admin_url: admin_url.clone(),
        ..HostSettings::default()
    };
    let emulator = Arc::new(emulator);
    let host = Host::start(settings, Arc::clone(&emulator)).await.map_err(anyhow::Error::from)?;
    println!("The demo runs. Open its page in a browser:\n");
    println!("    {}\n", host.url());
    println!("  sidecar      {sidecar_url}");
    println!("  its status   {admin_url}/status");
    println!("  its metrics  {admin_url}/metrics");
    println!("  fake vendors {}\n", emulator.url());
    println!("Ask for a token yourself:\n");
    println!("    curl -H 'Sidemint-Request: true' -H 'Content-Type: application/json' \\");
    println!(
        "      -d '{{\"viewer\":{{\"id\":\"u-4711\",\"value\":\"emea\"}}}}' {sidecar_url}/v1/embeds/sales/token\n"
    );
    println!("Call a Databricks App, without any token in your hands:\n");
    println!("    curl -H 'Sidemint-Request: true' {sidecar_url}/proxy/forecast/api/hello\n");
    println!("Ctrl-C ends it.");
    let stop = app.tasks().stop().clone();
    app.tasks().chore(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.begin();
        }
    });
    app.run().await;
    Ok(())
}

/// Each `min_ttl` is as low as the vendor's page client, or its sample page, renews, so that the page's switch to short
/// token lives shows renewals within seconds; `max_wait` lets a burst of 100 loads all start, and the quarter of a
/// second that its window is longer than the vendor's is for the browser, which first fetches the page that then loads.
/// `stale_until` is as high as it goes, so that an outage reaches the pages of all vendors, which then wait. Nobody who
/// looks at Bold BI is a user there: a group lets them in, and an attribute of theirs picks the rows.
fn sidecar_config(emulator: &Emulator) -> String {
    let (url, databricks, entra, powerbi) =
        (emulator.url(), emulator.databricks(), emulator.entra(), emulator.powerbi());
    let app = emulator.app_url();
    let bold_bi = emulator.boldbi();
    let (root, site) =
        bold_bi.sites.first().map(|site| (site.root.as_str(), site.identifier.as_str())).unwrap_or_default();
    let group = bold_bi.groups.first().map(String::as_str).unwrap_or_default();
    let board = bold_bi.dashboards.first().map(|dashboard| dashboard.id.as_str()).unwrap_or_default();
    let dashboard = databricks.dashboards.first().map(|dashboard| dashboard.id.as_str()).unwrap_or_default();
    // The first one whose rows depend on who looks, by a role.
    let by_role =
        |dataset: &&PowerBiDataset| matches!(&dataset.kind, DatasetKind::Secured { roles } if !roles.is_empty());
    let dataset = powerbi.datasets.iter().find(by_role).map(|dataset| dataset.id.as_str()).unwrap_or_default();
    let shows = |report: &&PowerBiReport| matches!(&report.kind, ReportKind::Interactive(shown) if shown == dataset);
    let report = powerbi.reports.iter().find(shows).map(|report| report.id.as_str()).unwrap_or_default();
    format!(
        "
server: {{listen: \"127.0.0.1:0\"}}
admin: {{listen: \"127.0.0.1:0\"}}
log: {{level: error, format: text, audit: false}}
upstreams:
  lakehouse:
    kind: databricks
    host: {url}
    workspace_id: \"{}\"
    auth: {{client_id: \"{}\", client_secret_env: DATABRICKS_CLIENT_SECRET}}
    load_limit: {{window: 1250ms, max_wait: 10s}}
  fabric:
    kind: powerbi
    tenant_id: \"{}\"
    authority: {url}
    api_url: {url}
    app_url: {url}
    auth: {{client_id: \"{}\", client_secret_env: ENTRA_CLIENT_SECRET}}
  bold:
    kind: boldbi
    url: {url}{root}
    site: \"{site}\"
    auth: {{embed_secret_env: BOLDBI_EMBED_SECRET}}
embeds:
  sales: {{upstream: lakehouse, dashboard_id: \"{dashboard}\", min_ttl: 301s}}
  finance:
    upstream: fabric
    workspace_id: \"{}\"
    report_id: \"{report}\"
    rls: {{username: viewer.value, roles: [Customer]}}
    min_ttl: 601s
    stale_until: 601s
  supply:
    upstream: bold
    dashboard_id: \"{board}\"
    anonymous_group: \"{group}\"
    custom_attributes: {{region: viewer.value}}
    min_ttl: 301s
    stale_until: 301s
routes:
  forecast: {{upstream: lakehouse, target: \"{app}\", allow: [GET /api/**, POST /api/**]}}
",
        databricks.workspace_id, databricks.client_id, entra.tenant_id, entra.client_id, powerbi.workspace_id
    )
}
