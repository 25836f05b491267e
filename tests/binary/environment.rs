//! Variables: a sidecar without a config file, and what overrides the file.

use crate::support::http::send;
use crate::support::sidecar::{JSON, PROOF, addresses};
use crate::support::{Process, Settings, Sidecar, Vendor};

const VIEWER: &str = r#"{"viewer": {"id": "u-1", "value": "emea"}}"#;

fn started_from(variables: Vec<(&'static str, String)>) {
    let port = || "127.0.0.1:0".to_owned();
    let ports = [("SIDEMINT_LISTEN", port()), ("SIDEMINT_ADMIN_LISTEN", port())];
    let process = Process::start(&["run"], variables.into_iter().chain(ports));
    let (listen, _) = addresses(&process);
    let reply = send(listen, "POST", "/v1/embeds/default/token", &[PROOF, JSON], VIEWER);
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn the_vendors_own_names_are_enough() {
    let vendor = Vendor::start();
    let databricks = vendor.databricks();
    started_from(vec![
        ("DATABRICKS_HOST", vendor.url()),
        ("DATABRICKS_CLIENT_ID", databricks.client_id.clone()),
        ("DATABRICKS_CLIENT_SECRET", databricks.client_secret.clone()),
        ("DASHBOARD_ID", vendor.dashboard().to_owned()),
        ("WORKSPACE_ID", databricks.workspace_id.clone()),
    ]);
}

#[test]
fn the_names_of_the_vendors_example_are_enough() {
    let vendor = Vendor::start();
    let databricks = vendor.databricks();
    started_from(vec![
        ("INSTANCE_URL", vendor.url()),
        ("SERVICE_PRINCIPAL_ID", databricks.client_id.clone()),
        ("SERVICE_PRINCIPAL_SECRET", databricks.client_secret.clone()),
        ("DASHBOARD_ID", vendor.dashboard().to_owned()),
        ("WORKSPACE_ID", databricks.workspace_id.clone()),
    ]);
}

#[test]
fn variables_override_the_file() {
    let vendor = Vendor::start();
    let variables = vec![
        ("SIDEMINT_LISTEN", "127.0.0.2:0".to_owned()),
        ("SIDEMINT_ADMIN_LISTEN", "localhost:0".to_owned()),
        ("SIDEMINT_LOG", "info".to_owned()),
    ];
    let sidecar = Sidecar::with(&vendor, &Settings { log: "level: error", variables, ..Settings::default() }).ready();
    assert_eq!(sidecar.listen.ip().to_string(), "127.0.0.2");
    assert_eq!(sidecar.renew("u-1").status, 200);
    // That it said where it listens is more than the file's level allows.
}
