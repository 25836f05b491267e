//! The live check: every step to every vendor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::Failure;
use super::{bold_bi, databricks, fleet, issuer, power_bi, route, say, step, way};
use crate::app;
use crate::config::{Config, Embed, Environment, Item, Origin, Roles, Route, Upstream, ViewerField};
use crate::lease::Grant;
use crate::model::{Fault, Token, Urgency, Viewer};
use crate::vendor::{Details, Mint, Minted, Vendor, check_viewer};

/// Nobody: recognisable in the vendor's audit log.
const NOBODY: &str = "sidemint-check";

/// For whom the live check mints.
#[derive(clap::Args)]
pub(in crate::cli) struct Who {
    /// The viewer to mint for; Bold BI knows no others than its users
    #[arg(long, requires = "live", default_value = NOBODY, hide_default_value = true)]
    viewer_id: String,
    /// That viewer's row filter
    #[arg(long, requires = "live")]
    viewer_value: Option<String>,
}

impl Who {
    /// Whether there is no such user anywhere, where this field says who it is.
    pub(super) fn is_nobody(&self, field: ViewerField) -> bool {
        match field {
            ViewerField::Id => self.viewer_id == NOBODY,
            ViewerField::Value => self.viewer_value.is_none(),
        }
    }

    /// With made-up values for all that the embed mints.
    fn viewer(&self, embed: &Embed) -> Viewer {
        let roles = match &embed.item {
            Item::PowerBi(item) => match item.rls.as_ref().map(|rls| &rls.roles) {
                // The vendor takes any role at this point, and looks at it when the rows are asked for.
                Some(Roles::OfViewer { allowed }) => allowed.get(..1).unwrap_or_default().to_vec(),
                _ => Vec::new(),
            },
            Item::BoldBi(_) => vec![NOBODY.to_owned()],
            Item::Databricks { .. } => Vec::new(),
        };
        let attributes = match &embed.item {
            Item::BoldBi(item) => item.parameters().filter_map(made_up).collect(),
            _ => BTreeMap::new(),
        };
        let value = self.viewer_value.clone().unwrap_or_else(|| NOBODY.to_owned());
        Viewer { id: self.viewer_id.clone(), value: Some(value), roles, attributes }
    }
}

fn made_up(parameter: &crate::config::Parameter) -> Option<(String, String)> {
    match &parameter.value {
        Origin::Attribute(name) => Some((name.clone(), NOBODY.to_owned())),
        _ => None,
    }
}

/// The walk along one upstream, once there is what its mints need.
pub(super) struct Walk<'a> {
    pub(super) vendor: &'a Vendor,
    pub(super) service: Option<Grant<Token>>,
    pub(super) who: &'a Who,
}

pub(super) async fn walk(config: &Config, environment: Environment, who: &Who) -> Result<(), Failure> {
    let vendors = app::vendors(config, environment.clone()).await.map_err(anyhow::Error::msg)?;
    let mut failures = 0;
    for (name, upstream) in &config.upstreams {
        let Some(vendor) = vendors.get(name) else { continue };
        say(&format!("\nupstream {name} ({})", upstream.system.host()));
        let embeds: Vec<&Embed> =
            config.embeds.values().filter(|embed| embed.upstream.name == *name).map(|embed| &**embed).collect();
        let routes: Vec<&Route> =
            config.routes.values().filter(|route| route.upstream.name == *name).map(|route| &**route).collect();
        if !walk_upstream(upstream, vendor, &embeds, &routes, who).await {
            failures += 1;
        }
    }
    let mut failed = Vec::new();
    if failures > 0 {
        failed.push(format!("{failures} of {} upstream(s)", config.upstreams.len()));
    }
    if let Some(issuer) = &config.issuer
        && !issuer::walk(issuer).await
    {
        failed.push("the viewers' issuer".to_owned());
    }
    if let Some(fleet) = &config.fleet
        && !fleet::walk(fleet, environment).await
    {
        failed.push("the fleet's Redis".to_owned());
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(anyhow::anyhow!("{} failed the live check", failed.join(" and ")).into()),
    }
}

/// One upstream, its embeds and its routes, each step only if those before it went well.
async fn walk_upstream(upstream: &Upstream, vendor: &Vendor, embeds: &[&Embed], routes: &[&Route], who: &Who) -> bool {
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
        Vendor::BoldBi(bold_bi) => bold_bi.reach().await,
        #[cfg(test)]
        Vendor::Scripted(_) => Ok(()),
    };
    if !step("TLS and HTTP", reach) {
        return false;
    }
    let mut walk = Walk { vendor, service: None, who };
    if upstream.system.has_service_token() {
        match vendor.service_token(Urgency::Waited).await {
            Ok((token, life)) => {
                say(&format!("ok    service token: lives {} s", life.ttl().as_secs()));
                walk.service = Some(Grant { item: Arc::new(token), lifetime: life });
            }
            Err(fault) => return step("service token", Err(fault)),
        }
    }
    let mut good = true;
    for embed in embeds {
        good &= walk.embed(embed).await;
    }
    for route in routes {
        good &= route::walk(&walk, route).await;
    }
    good
}

impl Walk<'_> {
    async fn embed(&self, embed: &Embed) -> bool {
        match (self.vendor, &embed.item, &self.service) {
            (Vendor::Databricks(databricks), _, Some(service)) => {
                databricks::walk(self, databricks, service, embed).await
            }
            (Vendor::PowerBi(power_bi), Item::PowerBi(item), Some(service)) => {
                power_bi::walk(self, power_bi, service, embed, item).await
            }
            (Vendor::BoldBi(_), Item::BoldBi(item), None) => bold_bi::walk(self, embed, item).await,
            _ => false,
        }
    }

    /// For whom this embed's token is tried.
    pub(super) fn viewer(&self, embed: &Embed) -> Viewer {
        self.who.viewer(embed)
    }

    /// Mints one token.
    pub(super) async fn try_mint(&self, embed: &Embed, details: Option<&Details>) -> Result<(), Fault> {
        let viewer = self.viewer(embed);
        check_viewer(embed, &viewer)?;
        let mint = Mint { embed: &embed.name, item: &embed.item, details, viewer: &viewer };
        let minted = self.vendor.mint(self.service.as_ref(), &mint, Urgency::Waited).await?;
        warn_of_token(embed, &minted);
        Ok(())
    }

    /// Mints one token, as a step.
    pub(super) async fn mint(&self, embed: &Embed, details: Option<&Details>) -> bool {
        step(&mint_of(embed), self.try_mint(embed, details).await)
    }
}

/// The step's name.
pub(super) fn mint_of(embed: &Embed) -> String {
    format!("mint for embed {}", embed.name)
}

fn warn_of_token(embed: &Embed, minted: &Minted) {
    let life = minted.lifetime.ttl();
    if life < embed.min_ttl {
        say(&format!("warn  tokens live {} s, less than min_ttl ({} s)", life.as_secs(), embed.min_ttl.as_secs()));
    }
    match embed.item {
        Item::BoldBi(_) if minted.lacks_claim => {
            say(&format!(
                "warn  neither the answer nor the token says how long it lives: {} s are assumed",
                life.as_secs()
            ));
        }
        _ if minted.lacks_claim => say("warn  the token has no custom.claim: the dashboard will refuse it"),
        _ => {}
    }
}
