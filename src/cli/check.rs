//! `sidemint check`

use std::time::Duration;

use super::{ConfigArg, Failure};
use crate::app;
use crate::config::{Config, Embed, Environment, Upstream};
use crate::model::{Fault, Urgency};
use crate::vendor::{Mint, Vendor};

/// Nobody: what the live check mints for, recognisable in the vendor's audit log.
const VIEWER: &str = "sidemint-check";

pub(super) async fn check(config: &ConfigArg, live: bool) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let loaded = config.load(&environment)?;
    let (upstreams, embeds) = (loaded.upstreams.len(), loaded.embeds.len());
    say(&format!("ok    config: {upstreams} upstream(s), {embeds} embed(s)"));
    for upstream in loaded.upstreams.values().filter(|upstream| upstream.workspace_id.is_none()) {
        say(&format!("warn  upstream {} has no workspace_id, which the vendor's page client asks for", upstream.name));
    }
    if live { walk(&loaded, environment).await } else { Ok(()) }
}

async fn walk(config: &Config, environment: Environment) -> Result<(), Failure> {
    let vendors = app::vendors(config, environment).await.map_err(anyhow::Error::msg)?;
    let mut failures = 0;
    for (name, upstream) in &config.upstreams {
        let Some(vendor) = vendors.get(name) else { continue };
        say(&format!("\nupstream {name} ({})", upstream.host));
        let embeds = config.embeds.values().filter(|embed| embed.upstream.name == *name);
        if !walk_upstream(upstream, vendor, embeds.map(|embed| &**embed)).await {
            failures += 1;
        }
    }
    if failures > 0 {
        return Err(
            anyhow::anyhow!("{failures} of {} upstream(s) failed the live check", config.upstreams.len()).into()
        );
    }
    Ok(())
}

/// One upstream and its embeds, each step only if those before it went well.
async fn walk_upstream<'a>(upstream: &Upstream, vendor: &Vendor, embeds: impl Iterator<Item = &'a Embed>) -> bool {
    let Vendor::Databricks(databricks) = vendor;
    if !way(upstream).await || !step("TLS and HTTP", databricks.reach().await) {
        return false;
    }
    let service = match vendor.service_token(Urgency::Waited).await {
        Ok((token, life)) => {
            say(&format!("ok    service token: lives {} s", life.ttl().as_secs()));
            crate::lease::Grant { item: std::sync::Arc::new(token), lifetime: life }
        }
        Err(fault) => return step("service token", Err(fault)),
    };
    let mut good = true;
    for embed in embeds {
        let mint = Mint { dashboard_id: &embed.dashboard_id, viewer_id: VIEWER, viewer_value: Some(VIEWER) };
        let info = databricks.token_info(&service.item, &mint, Urgency::Waited).await;
        if !step(&format!("token info of embed {}", embed.name), info.map(|_| ()).map_err(Fault::from)) {
            good = false;
            continue;
        }
        let minted = vendor.mint(&service, &mint, Urgency::Waited).await.map_err(Fault::from);
        if let Ok(minted) = &minted {
            warn(embed, minted);
        }
        good &= step(&format!("mint for embed {}", embed.name), minted.map(|_| ()));
    }
    good
}

fn warn(embed: &Embed, minted: &crate::vendor::Minted) {
    let life = minted.lifetime.ttl();
    if life < embed.min_ttl {
        say(&format!("warn  tokens live {} s, less than min_ttl ({} s)", life.as_secs(), embed.min_ttl.as_secs()));
    }
    if minted.lacks_claim {
        say("warn  the token has no custom.claim: the dashboard will refuse it");
    }
}

/// DNS and TCP, told apart because they are mended by different people.
async fn way(upstream: &Upstream) -> bool {
    let proxied =
        ["HTTPS_PROXY", "https_proxy"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    if proxied && upstream.host.https {
        say("skip  resolve, connect: HTTPS_PROXY is set");
        return true;
    }
    let authority = &upstream.host.authority;
    let port = if upstream.host.https { 443 } else { 80 };
    let target = match authority.rsplit_once(':') {
        Some((_, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => authority.clone(),
        _ => format!("{authority}:{port}"),
    };
    let addresses: Vec<_> = match tokio::net::lookup_host(&target).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            say(&format!("FAIL  resolve: {authority}: {error}; check `host` and the DNS of this machine or pod"));
            return false;
        }
    };
    say(&format!("ok    resolve: {} address(es)", addresses.len()));
    for address in &addresses {
        let connect = tokio::net::TcpStream::connect(address);
        if let Ok(Ok(_)) = tokio::time::timeout(upstream.timeouts.connect.max(Duration::from_secs(1)), connect).await {
            say(&format!("ok    connect: {address}"));
            return true;
        }
    }
    say(&format!("FAIL  connect: no address of {authority} answers; check firewalls, NetworkPolicy and egress rules"));
    false
}

/// Prints a line; a reader that has gone (`| head`) is no failure.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn step(name: &str, result: Result<(), Fault>) -> bool {
    match result {
        Ok(()) => println!("ok    {name}"),
        Err(fault) => {
            say(&format!("FAIL  {name}: {}", fault.detail()));
            return false;
        }
    }
    true
}
