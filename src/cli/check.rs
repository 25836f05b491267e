//! `sidemint check`

mod bold_bi;
mod databricks;
mod fleet;
mod issuer;
mod live;
mod power_bi;
mod route;
mod way;

use std::time::Duration;

use super::{ConfigArg, Failure};
use crate::config::{Embed, Environment, Item, Route, System, Upstream};
use crate::model::Fault;
pub(super) use live::Who;

pub(super) async fn check(config: &ConfigArg, live: bool, who: &Who) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let loaded = config.load(&environment)?;
    let (upstreams, embeds) = (loaded.upstreams.len(), loaded.embeds.len());
    let routes = match loaded.routes.len() {
        0 => String::new(),
        routes => format!(", {routes} route(s)"),
    };
    let fleet = loaded.fleet.as_ref().map_or_else(String::new, |fleet| format!(", a fleet of {}", fleet.replicas));
    say(&format!("ok    config: {upstreams} upstream(s), {embeds} embed(s){routes}{fleet}"));
    loaded.cautions().iter().for_each(|caution| say(&format!("warn  {caution}")));
    loaded.upstreams.values().for_each(|upstream| warn_of_upstream(upstream));
    loaded.embeds.values().for_each(|embed| warn_of_embed(embed));
    if loaded.issuer.as_ref().is_some_and(|issuer| issuer.value.is_none()) {
        loaded.embeds.values().for_each(|embed| warn_of_no_value(embed));
    }
    loaded.routes.values().for_each(|route| warn_of_route(route));
    if live { live::walk(&loaded, environment, who).await } else { Ok(()) }
}

fn warn_of_upstream(upstream: &Upstream) {
    let name = &upstream.name;
    if let System::Databricks(databricks) = &upstream.system
        && databricks.workspace_id.is_none()
    {
        say(&format!("warn  upstream {name} has no workspace_id, which the vendor's page client asks for"));
    }
}

fn warn_of_route(route: &Route) {
    let name = &route.name;
    if route.allow.is_empty() {
        say(&format!("warn  route {name} allows nothing: say what may pass, such as `allow: [\"GET /api/**\"]`"));
    }
    if !route.require_header {
        say(&format!(
            "warn  route {name} asks callers for nothing: whatever reaches the port can use the service token"
        ));
    }
}

/// Such a dashboard is either the same for all, or empty.
fn warn_of_no_value(embed: &Embed) {
    if matches!(embed.item, Item::Databricks { .. }) {
        let name = &embed.name;
        say(&format!(
            "warn  embed {name} gets no viewer's value: viewers.jwt has no value_claim for __aibi_external_value"
        ));
    }
}

fn warn_of_embed(embed: &Embed) {
    let name = &embed.name;
    let lifetime = match &embed.item {
        Item::Databricks { .. } => None,
        Item::PowerBi(item) => {
            if item.rls.is_none() {
                say(&format!("warn  embed {name} has no rls: every viewer sees the same rows"));
            }
            item.lifetime_minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes)))
        }
        Item::BoldBi(item) => {
            if item.anonymous_group.is_some() && item.parameters().next().is_none() {
                say(&format!(
                    "warn  embed {name} has an anonymous_group and no filter or attribute: every viewer sees the same \
                     rows"
                ));
            }
            item.lifetime
        }
    };
    if lifetime.is_some_and(|lifetime| lifetime < embed.min_ttl) {
        say(&format!("warn  embed {name} has a lifetime below its min_ttl, which no token can then keep"));
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
