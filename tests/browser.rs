//! Pages in a real browser: the demo, and the README's page for Power BI with the vendor's own client. A binary of its
//! own, so that it runs alone: a page's timing is what is tested, and a hundred other processes on the same cores would
//! be what is measured.

#[path = "binary/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the black-box tests use the rest of it")]
mod support;

use std::process::Command;
use std::time::Duration;

use sidemint::emulator::{DatasetKind, PowerBiSettings, ReportKind, Settings};
use support::sidecar::addresses;
use support::{Process, Vendor, python, tool};

/// Rows 43 to 45 and the demo's own promises: see tests/browser/demo_page.py for each.
#[test]
fn rows_43_44_45_the_demo_in_a_browser() {
    let demo = Process::start(&["demo"], []);
    let page = demo.out.find("the page's address", |said| {
        said.lines()
            .map(str::trim)
            .find(|line| line.starts_with("http://") && said.contains("Ctrl-C"))
            .map(str::to_owned)
    });
    let pictures = tempfile::tempdir().expect("a folder can be made");
    let folder = std::env::var("SIDEMINT_TEST_SCREENSHOTS").unwrap_or_else(|_| pictures.path().display().to_string());
    for variable in ["SIDEMINT_TEST_CHROMIUM", "SIDEMINT_TEST_CHROMEDRIVER"] {
        tool(variable);
    }
    let mut walk = Command::new(python());
    walk.args(["tests/browser/demo_page.py", &page, "--screenshots", &folder]);
    let ended = Process::spawn(walk).end(Duration::from_secs(240));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.out, ended.err);
    for promise in [
        "the rows of emea",
        "pane-c: the viewer chosen beside it",
        "pane-c: a second token without a reload",
        "the rows of amer",
        "the rows of amer at Bold BI",
        "row 43: exactly one ask",
        "row 45: pane-b fails",
        "pane-c: it stays up",
        "renewal goes on",
        "pane-b: it is back",
        "pane-c: it is back",
    ] {
        assert!(ended.out.contains(promise), "{promise} is missing in\n{}", ended.out);
    }
    assert!(demo.err.text().is_empty(), "the demo complains: {}", demo.err.text());
}

/// Row H60, and that the README's page for Power BI outlives outages: see tests/browser/powerbi_page.py for each.
#[test]
fn row_h60_the_readmes_page_with_the_vendors_own_client_of_power_bi() {
    let app_url = "https://app.powerbi.com";
    let powerbi = PowerBiSettings { app_url: Some(app_url.to_owned()), ..PowerBiSettings::default() };
    let vendor = Vendor::with(Settings { tls: true, powerbi, ..Settings::default() });
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (config, authority) = (folder.path().join("config.yaml"), folder.path().join("ca.pem"));
    std::fs::write(&authority, vendor.ca_pem().expect("it has an authority")).expect("the authority can be written");
    let text = power_bi_config(&vendor, app_url, &authority.display().to_string());
    std::fs::write(&config, text).expect("the config can be written");
    let secret = [("ENTRA_CLIENT_SECRET", vendor.entra().client_secret.clone())];
    let sidecar = Process::start(&["run", "--config", &config.display().to_string()], secret);
    let (listen, _) = addresses(&sidecar);
    for variable in ["SIDEMINT_TEST_CHROMIUM", "SIDEMINT_TEST_CHROMEDRIVER", "SIDEMINT_TEST_POWERBI_CLIENT"] {
        tool(variable);
    }
    let mut walk = Command::new(python());
    walk.args(["tests/browser/powerbi_page.py", "--sidecar", &format!("http://{listen}"), "--emulator", &vendor.url()]);
    let ended = Process::spawn(walk).end(Duration::from_secs(180));
    assert_eq!(ended.code, Some(0), "{}\n{}\n{}", ended.out, ended.err, sidecar.err.text());
    for promise in ["two calls of the sidecar", "a renewal that met 503 stayed pending", "brought the report back"] {
        assert!(ended.out.contains(promise), "{promise} is missing in\n{}", ended.out);
    }
}

/// Tokens are renewed when the vendor's sample page would, ten minutes before their end, and nothing bridges an outage:
/// what the page does about it is what is tested.
fn power_bi_config(vendor: &Vendor, app_url: &str, authority: &str) -> String {
    let (url, entra, powerbi) = (vendor.url(), vendor.entra(), vendor.powerbi());
    let dataset = powerbi.datasets.iter().find(|dataset| {
        matches!(&dataset.kind, DatasetKind::Secured { roles } if roles.iter().any(|role| role == "Customer"))
    });
    let dataset = dataset.expect("there is one with row-level security").id.clone();
    let shown = ReportKind::Interactive(dataset);
    let report = powerbi.reports.iter().find(|report| report.kind == shown).expect("it has a report");
    format!(
        "server: {{listen: \"127.0.0.1:0\"}}
admin: {{listen: \"127.0.0.1:0\"}}
upstreams:
  contoso:
    kind: powerbi
    tenant_id: {}
    authority: {url}
    api_url: {url}
    app_url: {app_url}
    ca_file: {authority}
    auth: {{client_id: {}, client_secret_env: ENTRA_CLIENT_SECRET}}
embeds:
  finance:
    upstream: contoso
    workspace_id: {}
    report_id: {}
    rls: {{username: viewer.value, roles: [Customer]}}
    min_ttl: 601s
    stale_until: 601s
",
        entra.tenant_id, entra.client_id, powerbi.workspace_id, report.id,
    )
}
