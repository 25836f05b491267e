//! `GenerateToken` in its six forms (powerbi-boldbi.md sections A1 to A4).

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::embed_token::Grant;
use super::identity::Scope;
use super::request::{Identity, Many, One, Xmla, check_identities, minutes, read};
use super::{PowerBi, errors, same};
use crate::emulator::entra::Caller;
use crate::emulator::faults::Plan;
use crate::emulator::settings::{PowerBiDashboard, PowerBiReport, PowerBiTile, ReportKind};
use crate::emulator::wire::{Asked, Reply, uuid};

/// The host in `@odata.context` is that of a cluster, whatever host was asked.
const CLUSTER: &str = "wabi-west-us-redirect.analysis.windows.net";

/// A request that was read and found right.
struct Wanted<'a> {
    grant: Grant,
    scope: Scope<'a>,
    minutes: Option<i64>,
}

/// Answers any of the forms.
pub(super) fn answer(powerbi: &PowerBi, asked: &Asked, caller: &Caller, plan: &Plan) -> Result<Reply, Reply> {
    let segments = asked.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    // Behind `v1.0/myorg` and before the last word.
    let mut wanted = match &segments[2..segments.len() - 1] {
        [] => many(powerbi, read(asked)?)?,
        ["groups", group, place @ ..] => {
            powerbi.check_workspace(group)?;
            one(powerbi, group, place, read(asked)?)?
        }
        // What is in "My workspace" cannot be embedded for others: there are no such forms.
        _ => return Err(Reply::empty(StatusCode::NOT_FOUND)),
    };
    wanted.scope.caller = &caller.object_id;
    wanted.scope.gateway_admin = powerbi.settings.gateway_admin;
    check_identities(&wanted.grant.identities)?;
    wanted.scope.check(&wanted.grant.identities)?;
    let minutes = wanted.minutes;
    spend(powerbi)?;
    Ok(issue(powerbi, wanted.grant, minutes, caller, plan))
}

/// A token is free on a capacity, and one of a few elsewhere.
fn spend(powerbi: &PowerBi) -> Result<(), Reply> {
    let mut live = powerbi.live();
    if live.on_capacity {
        return Ok(());
    }
    if live.trial_used >= live.trial_allowance {
        let why = "You've exceeded the amount of embed token(s) that can be generated on a shared or ProPlus capacity";
        return Err(errors::coded(StatusCode::FORBIDDEN, "InvalidRequest", why));
    }
    live.trial_used += 1;
    Ok(())
}

fn issue(powerbi: &PowerBi, mut grant: Grant, minutes: Option<i64>, caller: &Caller, plan: &Plan) -> Reply {
    let now = Timestamp::now().as_second();
    let after = |seconds: u64| now.saturating_add_unsigned(seconds);
    let asked = minutes.map_or(i64::MAX, |minutes| now.saturating_add(minutes.saturating_mul(60)));
    let cap = powerbi.live().embed_life.map_or(i64::MAX, |life| after(life.as_secs()));
    let usual = caller.expires.min(asked).min(cap);
    grant.expires = plan.token_life.map_or(usual, |life| after(life.as_secs()));
    grant.token_id = uuid();
    let mut body = Map::new();
    let context = format!(
        "http://{CLUSTER}/v1.0/myorg/$metadata#Microsoft.PowerBI.ServiceContracts.Api.V1.GenerateTokenResponse"
    );
    body.insert("@odata.context".to_owned(), json!(context));
    body.insert("token".to_owned(), json!(powerbi.seal.token(&grant)));
    body.insert("tokenId".to_owned(), json!(grant.token_id));
    let expiration = Timestamp::from_second(grant.expires).unwrap_or(Timestamp::MAX).to_string();
    Plan::put(&mut body, "expiration", plan.expiration.as_ref(), json!(expiration));
    Reply::json(StatusCode::OK, &Value::Object(body))
}

/// The forms that name one item in the path.
fn one<'a>(powerbi: &'a PowerBi, group: &str, place: &[&str], body: One) -> Result<Wanted<'a>, Reply> {
    let minutes = minutes(body.lifetime_in_minutes)?;
    let level = level(body.access_level.as_deref())?;
    let identities = body.identities.unwrap_or_default();
    let several = identities.len() > 1;
    let mut grant = Grant { identities, edit: level == Level::Edit, ..Grant::default() };
    let mut scope = Scope::default();
    let fits = match place {
        ["reports"] => level == Level::Create,
        ["reports", _] => level != Level::Create,
        _ => level == Level::View,
    };
    if !fits {
        return Err(errors::invalid("This accessLevel is not supported for this item"));
    }
    match place {
        ["reports", id] => add_report(powerbi, &mut grant, &mut scope, report_in(powerbi, group, id)?)?,
        ["reports"] => {
            let id = body.dataset_id.ok_or_else(|| errors::invalid("datasetId is required to create a report"))?;
            add_dataset(powerbi, &mut grant, &mut scope, &id, None)?;
            grant.workspaces.push((*group).to_owned());
        }
        ["datasets", id] => add_dataset(powerbi, &mut grant, &mut scope, id, None)?,
        ["dashboards", id] => {
            let dashboard = dashboard_in(powerbi, group, id)?;
            grant.dashboards.push(dashboard.id.clone());
            for tile in &dashboard.tiles {
                add_dataset(powerbi, &mut grant, &mut scope, &tile.dataset_id, None)?;
            }
        }
        ["dashboards", id, "tiles", tile] => {
            let tile = tile_of(dashboard_in(powerbi, group, id)?, tile)?;
            grant.tiles.push(tile.id.clone());
            add_dataset(powerbi, &mut grant, &mut scope, &tile.dataset_id, None)?;
        }
        _ => return Err(Reply::empty(StatusCode::NOT_FOUND)),
    }
    // Only a dashboard can show several datasets here, and so need several identities.
    if several && !matches!(place, ["dashboards", _]) {
        return Err(errors::invalid("Creating embed token with multiple identities is not supported"));
    }
    Ok(Wanted { grant, scope, minutes })
}

/// The form that lists items in the body.
fn many(powerbi: &PowerBi, body: Many) -> Result<Wanted<'_>, Reply> {
    body.check()?;
    let minutes = minutes(body.lifetime_in_minutes)?;
    let sources = body.datasource_identities.unwrap_or_default();
    if sources.iter().any(|source| source.identity_blob.is_empty() || source.datasources.is_empty()) {
        return Err(errors::invalid("identityBlob and datasources are required in datasourceIdentities"));
    }
    let mut grant = Grant { identities: body.identities.unwrap_or_default(), ..Grant::default() };
    let mut scope = Scope { datasource_identities: !sources.is_empty(), ..Scope::default() };
    let (reports, datasets) = (body.reports.unwrap_or_default(), body.datasets.unwrap_or_default());
    let alone = datasets.is_empty();
    for item in datasets {
        add_dataset(powerbi, &mut grant, &mut scope, &item.id, item.xmla_permissions)?;
    }
    for item in reports {
        let report = powerbi.report(&item.id).ok_or_else(errors::no_item)?;
        powerbi.check_workspace(&report.workspace_id)?;
        grant.edit |= item.allow_edit == Some(true);
        if alone {
            // Whether the vendor takes a report without its dataset is unknown. It must not be a way around the rules.
            add_report(powerbi, &mut grant, &mut scope, report)?;
        } else {
            // Reports and datasets need not be related: a page may bind them anew.
            open_report(&mut grant, &mut scope, report);
        }
    }
    for item in body.target_workspaces.unwrap_or_default() {
        powerbi.check_workspace(&item.id)?;
        grant.workspaces.push(item.id);
    }
    Ok(Wanted { grant, scope, minutes })
}

/// What a token allows to do with an item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    View,
    Edit,
    Create,
}

/// Without one it is taken for viewing; the letter case of older samples is taken too. Both are guesses.
fn level(text: Option<&str>) -> Result<Level, Reply> {
    match text.unwrap_or("View").to_ascii_lowercase().as_str() {
        "view" => Ok(Level::View),
        "edit" => Ok(Level::Edit),
        "create" => Ok(Level::Create),
        _ => Err(errors::invalid("accessLevel is View, Edit or Create")),
    }
}

fn add_dataset<'a>(
    powerbi: &'a PowerBi,
    grant: &mut Grant,
    scope: &mut Scope<'a>,
    id: &str,
    xmla: Option<Xmla>,
) -> Result<(), Reply> {
    let dataset = powerbi.dataset(id).ok_or_else(errors::no_item)?;
    powerbi.check_workspace(&dataset.workspace_id)?;
    if !grant.datasets.contains(&dataset.id) {
        grant.datasets.push(dataset.id.clone());
        scope.datasets.push((dataset, xmla));
    }
    Ok(())
}

/// A report, and the dataset that it is bound to.
fn add_report<'a>(
    powerbi: &'a PowerBi,
    grant: &mut Grant,
    scope: &mut Scope<'a>,
    report: &'a PowerBiReport,
) -> Result<(), Reply> {
    if let ReportKind::Interactive(dataset) = &report.kind {
        add_dataset(powerbi, grant, scope, dataset, None)?;
    }
    open_report(grant, scope, report);
    Ok(())
}

fn open_report<'a>(grant: &mut Grant, scope: &mut Scope<'a>, report: &'a PowerBiReport) {
    grant.reports.push(report.id.clone());
    if matches!(report.kind, ReportKind::Paginated(_)) {
        scope.paginated.push(report);
    }
}

pub(super) fn report_in<'a>(powerbi: &'a PowerBi, group: &str, id: &str) -> Result<&'a PowerBiReport, Reply> {
    powerbi.report(id).filter(|report| same(&report.workspace_id, group)).ok_or_else(errors::no_item)
}

pub(super) fn dashboard_in<'a>(powerbi: &'a PowerBi, group: &str, id: &str) -> Result<&'a PowerBiDashboard, Reply> {
    powerbi.dashboard(id).filter(|dashboard| same(&dashboard.workspace_id, group)).ok_or_else(errors::no_item)
}

pub(super) fn tile_of<'a>(dashboard: &'a PowerBiDashboard, id: &str) -> Result<&'a PowerBiTile, Reply> {
    dashboard.tiles.iter().find(|tile| same(&tile.id, id)).ok_or_else(errors::no_item)
}

/// The identity of a dataset or a paginated report, for what is shown in the frame.
pub(super) fn identity_for<'a>(identities: &'a [Identity], dataset: &str, report: &str) -> Option<&'a Identity> {
    let of_report = identities.iter().find(|one| one.reports().iter().any(|id| same(id, report)));
    of_report.or_else(|| identities.iter().find(|one| one.datasets().iter().any(|id| same(id, dataset))))
}
