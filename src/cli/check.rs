//! `sidemint check`

mod databricks;
mod power_bi;
mod way;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{ConfigArg, Failure};
use crate::app;
use crate::config::{Config, Embed, Environment, Item, Roles, System, Upstream};
use crate::lease::Grant;
use crate::model::{Fault, Token, Urgency};
use crate::vendor::{Details, Mint, Minted, Vendor};

/// Nobody: what the live check mints for, recognisable in the vendor's audit log.
const VIEWER: &str = "sidemint-check";

pub(super) async fn check(config: &ConfigArg, live: bool) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let loaded = config.load(&environment)?;
    let (upstreams, embeds) = (loaded.upstreams.len(), loaded.embeds.len());
    say(&format!("ok    config: {upstreams} upstream(s), {embeds} embed(s)"));
    loaded.upstreams.values().for_each(|upstream| warn_of_upstream(upstream));
    loaded.embeds.values().for_each(|embed| warn_of_embed(embed));
    if live { walk(&loaded, environment).await } else { Ok(()) }
}

fn warn_of_upstream(upstream: &Upstream) {
    let name = &upstream.name;
    if let System::Databricks(databricks) = &upstream.system
        && databricks.workspace_id.is_none()
    {
        say(&format!("warn  upstream {name} has no workspace_id, which the vendor's page client asks for"));
    }
}

fn warn_of_embed(embed: &Embed) {
    let Item::PowerBi(item) = &embed.item else { return };
    let name = &embed.name;
    if item.rls.is_none() {
        say(&format!("warn  embed {name} has no rls: every viewer sees the same rows"));
    }
    let minutes = item.lifetime_minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
    if minutes.is_some_and(|lifetime| lifetime < embed.min_ttl) {
        say(&format!("warn  embed {name} has a lifetime below its min_ttl, which no token can then keep"));
    }
}

async fn walk(config: &Config, environment: Environment) -> Result<(), Failure> {
    let vendors = app::vendors(config, environment).await.map_err(anyhow::Error::msg)?;
    let mut failures = 0;
    for (name, upstream) in &config.upstreams {
        let Some(vendor) = vendors.get(name) else { continue };
        say(&format!("\nupstream {name} ({})", upstream.system.host()));
        let embeds: Vec<&Embed> =
            config.embeds.values().filter(|embed| embed.upstream.name == *name).map(|embed| &**embed).collect();
        if !walk_upstream(upstream, vendor, &embeds).await {
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
async fn walk_upstream(upstream: &Upstream, vendor: &Vendor, embeds: &[&Embed]) -> bool {
    let patience = upstream.timeouts.connect.max(Duration::from_secs(1));
    let mut seen = BTreeSet::new();
    for host in upstream.system.hosts() {
        if seen.insert(&host.authority) && !way::way(host, patience).await {
            return false;
        }
    }
    let reach = match vendor {
        Vendor::Databricks(databricks) => databricks.reach().await,
        Vendor::PowerBi(power_bi) => power_bi.entra().reach().await,
        #[cfg(test)]
        Vendor::Scripted(_) => Ok(()),
    };
    if !step("TLS and HTTP", reach) {
        return false;
    }
    let service = match vendor.service_token(Urgency::Waited).await {
        Ok((token, life)) => {
            say(&format!("ok    service token: lives {} s", life.ttl().as_secs()));
            Grant { item: Arc::new(token), lifetime: life }
        }
        Err(fault) => return step("service token", Err(fault)),
    };
    let mut good = true;
    for embed in embeds {
        good &= match (vendor, &embed.item) {
            (Vendor::PowerBi(power_bi), Item::PowerBi(item)) => {
                power_bi::walk(vendor, power_bi, &service, embed, item).await
            }
            (Vendor::Databricks(databricks), _) => databricks::walk(vendor, databricks, &service, embed).await,
            _ => false,
        };
    }
    good
}

/// One mint for nobody.
async fn mint(vendor: &Vendor, service: &Grant<Token>, embed: &Embed, details: Option<&Details>) -> bool {
    let minted = vendor.mint(service, &nobody(embed, details), Urgency::Waited).await.map_err(Fault::from);
    if let Ok(minted) = &minted {
        warn_of_token(embed, minted);
    }
    step(&format!("mint for embed {}", embed.name), minted.map(|_| ()))
}

fn nobody<'a>(embed: &'a Embed, details: Option<&'a Details>) -> Mint<'a> {
    let roles = match &embed.item {
        Item::PowerBi(item) => item.rls.as_ref().map(|rls| &rls.roles),
        Item::Databricks { .. } => None,
    };
    let viewer_roles = match roles {
        // The vendor takes any role at this point, and looks at it when the rows are asked for.
        Some(Roles::OfViewer { allowed }) => allowed.get(..1).unwrap_or_default(),
        _ => &[],
    };
    Mint { item: &embed.item, details, viewer_id: VIEWER, viewer_value: Some(VIEWER), viewer_roles }
}

fn warn_of_token(embed: &Embed, minted: &Minted) {
    let life = minted.lifetime.ttl();
    if life < embed.min_ttl {
        say(&format!("warn  tokens live {} s, less than min_ttl ({} s)", life.as_secs(), embed.min_ttl.as_secs()));
    }
    if minted.lacks_claim {
        say("warn  the token has no custom.claim: the dashboard will refuse it");
    }
}

/// Prints a line; a reader that has gone (`| head`) is no failure.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn step(name: &str, result: Result<(), Fault>) -> bool {
    match result {
        Ok(()) => say(&format!("ok    {name}")),
        Err(fault) => {
            say(&format!("FAIL  {name}: {}", fault.detail()));
            return false;
        }
    }
    true
}
