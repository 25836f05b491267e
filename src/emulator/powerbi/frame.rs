//! The page that is embedded, and what it asks for.

use http::StatusCode;
use http::header::CONTENT_SECURITY_POLICY;
use jiff::Timestamp;
use serde_json::json;

use super::embed_token::Grant;
use super::generate::identity_for;
use super::request::Identity;
use super::{PowerBi, errors, same};
use crate::emulator::dashboard::{self, sales};
use crate::emulator::settings::{DatasetKind, PowerBiDataset, PowerBiReport, ReportKind};
use crate::emulator::wire::{Asked, Reply};

/// The page, or its script.
pub(super) fn page(asked: &Asked) -> Reply {
    if asked.path.ends_with("frame.js") {
        return Reply::new(
            StatusCode::OK,
            "text/javascript; charset=utf-8",
            dashboard::script(include_str!("frame.js")),
        );
    }
    let policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
                  img-src 'self' data:; frame-ancestors *";
    let page = include_str!("frame.html").replace("{style}", dashboard::STYLE);
    Reply::html(page).with(CONTENT_SECURITY_POLICY, policy)
}

/// What is looked at, and whose rows it shows.
struct View<'a> {
    title: &'a str,
    dataset: Option<&'a PowerBiDataset>,
    report: Option<&'a PowerBiReport>,
}

/// Rows for the identity in the embed token: `?kind=report&id=…`, and `&dataset=…` where the page has bound the report
/// to another dataset.
pub(super) fn data(powerbi: &PowerBi, asked: &Asked) -> Reply {
    let grant = asked.embed_token().and_then(|token| powerbi.seal.open(token));
    let Some(grant) = grant else {
        return errors::coded(StatusCode::UNAUTHORIZED, "InvalidToken", "This is no embed token of this service");
    };
    let left = grant.expires - Timestamp::now().as_second();
    if left <= 0 {
        return errors::expired();
    }
    let rows = match view(powerbi, asked, &grant) {
        Ok(view) => rows(&view, &grant).map(|(user, rows)| (view.title.to_owned(), user, rows)),
        Err(refused) => return refused,
    };
    match rows {
        Ok((title, user, rows)) => Reply::json(
            StatusCode::OK,
            &json!({
                "title": title,
                "user": user,
                "rows": rows,
                "tokenId": grant.token_id,
                "expiresIn": left,
                "edit": grant.edit,
            }),
        ),
        Err(refused) => refused,
    }
}

/// Finds what is asked for, if the token opens it.
fn view<'a>(powerbi: &'a PowerBi, asked: &Asked, grant: &Grant) -> Result<View<'a>, Reply> {
    let field = |name: &str| asked.query.get(name).map(String::as_str).unwrap_or_default();
    let (kind, id) = (field("kind"), field("id"));
    let opens = |ids: &[String], id: &str| {
        let open = ids.iter().any(|one| same(one, id));
        if open { Ok(()) } else { Err(errors::not_authorised(StatusCode::FORBIDDEN)) }
    };
    let (title, dataset, report) = match kind {
        "dashboard" => {
            opens(&grant.dashboards, id)?;
            let dashboard = powerbi.dashboard(id).ok_or_else(errors::no_item)?;
            (&dashboard.name, dashboard.tiles.first().map(|tile| tile.dataset_id.as_str()), None)
        }
        "tile" => {
            opens(&grant.tiles, id)?;
            let mut tiles = powerbi.settings.dashboards.iter().flat_map(|dashboard| &dashboard.tiles);
            let tile = tiles.find(|tile| same(&tile.id, id)).ok_or_else(errors::no_item)?;
            (&tile.title, Some(tile.dataset_id.as_str()), None)
        }
        // The dataset itself: questions and answers, and new reports.
        "qna" | "create" => {
            opens(&grant.datasets, id)?;
            let dataset = powerbi.dataset(id).ok_or_else(errors::no_item)?;
            (&dataset.name, Some(dataset.id.as_str()), None)
        }
        _ => {
            opens(&grant.reports, id)?;
            let report = powerbi.report(id).ok_or_else(errors::no_item)?;
            let dataset = match &report.kind {
                ReportKind::Interactive(dataset) => Some(dataset.as_str()),
                ReportKind::Paginated(dataset) => dataset.as_deref(),
            };
            (&report.name, dataset, Some(report))
        }
    };
    let bound = asked.query.get("dataset").map(String::as_str).filter(|_| report.is_some()).or(dataset);
    if let Some(id) = bound {
        opens(&grant.datasets, id)?;
    }
    let dataset = bound.map(|id| powerbi.dataset(id).ok_or_else(errors::no_item)).transpose()?;
    Ok(View { title, dataset, report })
}

/// Who sees it, and the rows. The region is the user: of what is secured, everybody sees their own.
fn rows(view: &View<'_>, grant: &Grant) -> Result<(String, Vec<sales::Row>), Reply> {
    let dataset_id = view.dataset.map_or("", |dataset| &dataset.id);
    let report_id = view.report.map_or("", |report| &report.id);
    let identity = identity_for(&grant.identities, dataset_id, report_id);
    let user = identity.map(Identity::username).unwrap_or_default();
    let table = if dataset_id.is_empty() { report_id } else { dataset_id };
    let region = match view.dataset.map(|dataset| &dataset.kind) {
        None if identity.is_some() => Some(user),
        None | Some(DatasetKind::Plain) => None,
        Some(DatasetKind::Secured { roles }) => {
            known_roles(identity, roles)?;
            Some(user)
        }
        Some(DatasetKind::OnPremises) => Some(user),
        // The user is the principal itself there, so that only `customData` can tell viewers apart.
        Some(DatasetKind::AzureAnalysis) => {
            Some(identity.and_then(|identity| identity.custom_data.as_deref()).unwrap_or_default())
        }
        // The source decides by the token for it, and who that is for is not known here.
        Some(DatasetKind::SingleSignOn { roles }) if roles.is_empty() => None,
        Some(DatasetKind::SingleSignOn { roles }) => {
            known_roles(identity, roles)?;
            Some(user)
        }
    };
    let rows = region.map_or_else(|| sales::rows(table), |region| sales::rows_of(table, region));
    Ok((region.unwrap_or(user).to_owned(), rows))
}

/// A role that the model does not have is found only now.
fn known_roles(identity: Option<&Identity>, roles: &[String]) -> Result<(), Reply> {
    let asked = identity.map(Identity::roles).unwrap_or_default();
    match asked.iter().find(|role| !roles.is_empty() && !roles.contains(role)) {
        Some(role) => {
            let why = format!("The role '{role}' does not exist in the model");
            Err(errors::coded(StatusCode::BAD_REQUEST, "QueryUserError", &why))
        }
        None => Ok(()),
    }
}
