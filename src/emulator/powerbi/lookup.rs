//! What pages ask for before they embed: reports, datasets, dashboards, tiles, and how much of the trial is used
//! (powerbi-boldbi.md section A5).

use http::StatusCode;
use serde_json::{Value, json};

use super::generate::{dashboard_in, report_in, tile_of};
use super::{PowerBi, errors, same};
use crate::emulator::settings::{DatasetKind, PowerBiDashboard, PowerBiTile, ReportKind};
use crate::emulator::wire::{Asked, Reply};

/// `GET …/groups/{g}/reports/{r}`.
pub(super) fn report(powerbi: &PowerBi, asked: &Asked) -> Result<Reply, Reply> {
    let (group, id) = place(powerbi, asked)?;
    let report = report_in(powerbi, &group, &id)?;
    let app = powerbi.app_url(asked);
    let (kind, page, dataset) = match &report.kind {
        ReportKind::Interactive(dataset) => ("PowerBIReport", "reportEmbed", Some(dataset)),
        ReportKind::Paginated(_) => ("PaginatedReport", "rdlEmbed", None),
    };
    let web = if dataset.is_some() { "reports" } else { "rdlreports" };
    let mut body = json!({
        "@odata.context": "http://wabi-west-us-redirect.analysis.windows.net/v1.0/myorg/$metadata#reports/$entity",
        "id": report.id,
        "reportType": kind,
        "name": report.name,
        "webUrl": format!("{app}/groups/{group}/{web}/{}", report.id),
        "embedUrl": format!("{app}/{page}?reportId={}&groupId={group}&w=2", report.id),
        "isOwnedByMe": true,
    });
    if let Some(dataset) = dataset {
        body["datasetId"] = json!(dataset);
        body["datasetWorkspaceId"] = json!(group);
    }
    Ok(Reply::json(StatusCode::OK, &body))
}

/// `GET …/groups/{g}/datasets/{d}`.
pub(super) fn dataset(powerbi: &PowerBi, asked: &Asked) -> Result<Reply, Reply> {
    let (group, id) = place(powerbi, asked)?;
    let dataset = powerbi.dataset(&id).filter(|one| same(&one.workspace_id, &group)).ok_or_else(errors::no_item)?;
    let app = powerbi.app_url(asked);
    let roles = match &dataset.kind {
        DatasetKind::Secured { roles } | DatasetKind::SingleSignOn { roles } => !roles.is_empty(),
        _ => false,
    };
    let body = json!({
        "@odata.context": "http://wabi-west-us-redirect.analysis.windows.net/v1.0/myorg/$metadata#datasets/$entity",
        "id": dataset.id,
        "name": dataset.name,
        "isRefreshable": true,
        "isEffectiveIdentityRequired": dataset.kind != DatasetKind::Plain,
        "isEffectiveIdentityRolesRequired": roles,
        "isOnPremGatewayRequired": dataset.kind == DatasetKind::OnPremises,
        "webUrl": format!("{app}/groups/{group}/datasets/{}", dataset.id),
        "createReportEmbedURL": format!("{app}/reportEmbed?groupId={group}&w=2"),
        "qnaEmbedURL": format!("{app}/qnaEmbed?groupId={group}&w=2"),
    });
    Ok(Reply::json(StatusCode::OK, &body))
}

/// `GET …/groups/{g}/dashboards/{d}`, its `tiles`, or one of them.
pub(super) fn dashboard(powerbi: &PowerBi, asked: &Asked) -> Result<Reply, Reply> {
    let (group, id) = place(powerbi, asked)?;
    let dashboard = dashboard_in(powerbi, &group, &id)?;
    let app = powerbi.app_url(asked);
    let segments = asked.segments();
    let body = match segments.get(6..).unwrap_or_default() {
        [] => json!({
            "id": dashboard.id,
            "displayName": dashboard.name,
            "isReadOnly": false,
            "webUrl": format!("{app}/groups/{group}/dashboards/{}", dashboard.id),
            "embedUrl": format!("{app}/dashboardEmbed?dashboardId={}&groupId={group}&w=2", dashboard.id),
        }),
        [_] => json!({
            "value": dashboard.tiles.iter().map(|one| tile(app, &group, dashboard, one)).collect::<Vec<_>>(),
        }),
        [_, id, ..] => tile(app, &group, dashboard, tile_of(dashboard, id)?),
    };
    Ok(Reply::json(StatusCode::OK, &body))
}

fn tile(app: &str, group: &str, dashboard: &PowerBiDashboard, tile: &PowerBiTile) -> Value {
    json!({
        "id": tile.id,
        "title": tile.title,
        "rowSpan": 0,
        "colSpan": 0,
        "embedUrl": format!("{app}/embed?dashboardId={}&tileId={}&groupId={group}&w=2", dashboard.id, tile.id),
        "reportId": tile.report_id,
        "datasetId": tile.dataset_id,
    })
}

/// `GET …/availableFeatures`. The usage is a percentage.
pub(super) fn features(powerbi: &PowerBi) -> Reply {
    let live = powerbi.live();
    let used = if live.on_capacity { 0 } else { u64::from(live.trial_used) };
    let usage = (used * 100).checked_div(u64::from(live.trial_allowance)).unwrap_or(100);
    let trial = json!({
        "name": "embedTrial", "state": "Enabled", "extendedState": "Enabled", "additionalInfo": {"usage": usage},
    });
    Reply::json(StatusCode::OK, &json!({"features": [trial]}))
}

/// Workspace and item of `/v1.0/myorg/groups/{g}/{kind}/{id}…`.
fn place(powerbi: &PowerBi, asked: &Asked) -> Result<(String, String), Reply> {
    let segments = asked.segments();
    let part = |place: usize| segments.get(place).cloned().unwrap_or_default();
    let group = part(3);
    powerbi.check_workspace(&group)?;
    Ok((group, part(5)))
}
