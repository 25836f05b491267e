//! `sidemint emulator`

use std::net::SocketAddr;

use super::Failure;
use crate::emulator::{Emulator, Settings};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8199", value_name = "ADDR")]
    listen: SocketAddr,
    /// Serve https with a certificate of an authority that is made at the start
    #[arg(long)]
    tls: bool,
}

pub(super) async fn emulator(args: Args) -> Result<(), Failure> {
    let settings = Settings { listen: args.listen, tls: args.tls, ..Settings::default() };
    let emulator = Emulator::start(settings)
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {}: {error}", args.listen))?;
    let url = emulator.url();
    let databricks = emulator.databricks();
    println!("A fake Databricks workspace, Microsoft Entra tenant, Power BI and Bold BI, at {url}\n");
    println!("  export DATABRICKS_HOST={url}");
    println!("  export DATABRICKS_CLIENT_ID={}", databricks.client_id);
    println!("  export DATABRICKS_CLIENT_SECRET={}", databricks.client_secret);
    if let Some(dashboard) = databricks.dashboards.first() {
        println!("  export DASHBOARD_ID={}", dashboard.id);
    }
    println!("  export WORKSPACE_ID={}", databricks.workspace_id);
    println!("  export DATABRICKS_APP_URL={}\n", emulator.app_url());
    let (entra, powerbi) = (emulator.entra(), emulator.powerbi());
    println!("  export AZURE_AUTHORITY_HOST={url}");
    println!("  export AZURE_TENANT_ID={}", entra.tenant_id);
    println!("  export AZURE_CLIENT_ID={}", entra.client_id);
    println!("  export AZURE_CLIENT_SECRET={}", entra.client_secret);
    println!("  export POWERBI_WORKSPACE_ID={}", powerbi.workspace_id);
    if let Some(report) = powerbi.reports.first() {
        println!("  export POWERBI_REPORT_ID={}", report.id);
    }
    println!();
    let boldbi = emulator.boldbi();
    if let Some(site) = boldbi.sites.first() {
        println!("  export BOLDBI_SERVER_URL={url}{}", site.root);
        println!("  export BOLDBI_SITE_IDENTIFIER={}", site.identifier);
    }
    println!("  export BOLDBI_EMBED_SECRET={}", boldbi.embed_secret);
    if let Some(user) = boldbi.users.first() {
        println!("  export BOLDBI_EMAIL={}", user.email);
    }
    if let Some(dashboard) = boldbi.dashboards.first() {
        println!("  export BOLDBI_DASHBOARD_ID={}", dashboard.id);
    }
    println!();
    println!("  everything in it  {url}/\n");
    println!("  requests so far   {url}/_emulator/requests");
    println!("  faults            POST {url}/_emulator/faults");
    if args.tls {
        println!("  its authority     {url}/_emulator/ca.pem");
    }
    tokio::signal::ctrl_c().await.map_err(anyhow::Error::from)?;
    Ok(())
}
