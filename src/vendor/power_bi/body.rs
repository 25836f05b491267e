//! The bodies of `GenerateToken`, by the vendor's API description (`GenerateTokenRequest` and
//! `GenerateTokenRequestV2`), and the effective identities in them. An identity is never left out
//! or changed to make a call pass: it is what keeps a viewer to their rows.

use serde::Serialize;

use super::reply::Report;
use crate::config::{PowerBiItem, Rls, Roles, Shown, ViewerField};
use crate::model::{Code, Fault, Viewer};
use crate::vendor::Mint;

/// The form for one item.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfOne<'a> {
    access_level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_id: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_save_as: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identities: Vec<Identity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_in_minutes: Option<u32>,
}

/// The form for many items.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfMany<'a> {
    datasets: Vec<Dataset<'a>>,
    reports: Vec<ReportRight<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    target_workspaces: Vec<Id<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identities: Vec<Identity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_in_minutes: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dataset<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    xmla_permissions: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportRight<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    allow_edit: bool,
}

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

/// Whom the data model takes a viewer for (`EffectiveIdentity`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity<'a> {
    username: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    datasets: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reports: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_data: Option<&'a str>,
}

pub(super) fn of_one<'a>(item: &'a PowerBiItem, identities: Vec<Identity<'a>>) -> OfOne<'a> {
    let (access_level, dataset_id) = match &item.shown {
        Shown::NewReport(dataset) => ("Create", Some(dataset.as_str())),
        _ if item.edit => ("Edit", None),
        _ => ("View", None),
    };
    OfOne {
        access_level,
        dataset_id,
        allow_save_as: item.allow_save_as,
        identities,
        lifetime_in_minutes: item.lifetime_minutes,
    }
}

pub(super) fn of_many<'a>(item: &'a PowerBiItem, reports: &'a [Report], identities: Vec<Identity<'a>>) -> OfMany<'a> {
    // A paginated report queries from outside the datasets that the config names for it.
    let paginated = reports.iter().any(|report| report.is_paginated);
    let xmla = item.xmla_read_only || (paginated && !item.dataset_ids.is_empty());
    let dataset = |id| Dataset { id, xmla_permissions: xmla.then_some("ReadOnly") };
    let ids = match &item.shown {
        Shown::Reports(ids) => ids.as_slice(),
        _ => &[],
    };
    let own = Id { id: &item.workspace_id };
    OfMany {
        datasets: datasets(item, reports).into_iter().map(dataset).collect(),
        reports: ids.iter().map(|id| ReportRight { id, allow_edit: item.edit }).collect(),
        // Reports of this form can only be saved into a workspace that the token names.
        target_workspaces: item.allow_save_as.then_some(own).into_iter().collect(),
        identities,
        lifetime_in_minutes: item.lifetime_minutes,
    }
}

/// Whether a report needs what only the form for many items can say.
pub(super) fn needs_form_of_many(item: &PowerBiItem, reports: &[Report]) -> bool {
    !item.dataset_ids.is_empty() || item.xmla_read_only || reports.iter().any(|report| report.is_paginated)
}

/// The datasets that a token is for: those of the config, or those of the reports.
fn datasets<'a>(item: &'a PowerBiItem, reports: &'a [Report]) -> Vec<&'a str> {
    match &item.shown {
        Shown::Questions(id) | Shown::NewReport(id) => vec![id],
        Shown::Dashboard(_) | Shown::Tile { .. } => item.dataset_ids.iter().map(String::as_str).collect(),
        Shown::Reports(_) if item.dataset_ids.is_empty() => {
            let mut ids: Vec<&str> = reports.iter().filter_map(|report| report.dataset_id.as_deref()).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        }
        Shown::Reports(_) => item.dataset_ids.iter().map(String::as_str).collect(),
    }
}

/// The effective identities of a viewer. A paginated report has one of its own: roles and custom
/// data are of the data model, which it has none of.
pub(super) fn identities<'a>(
    item: &'a PowerBiItem,
    reports: &'a [Report],
    mint: &Mint<'a>,
) -> Result<Vec<Identity<'a>>, Fault> {
    let Some(rls) = &item.rls else { return Ok(Vec::new()) };
    let username = field(rls.username, mint)?;
    let datasets: Vec<&str> = match rls.dataset_ids.as_slice() {
        [] => datasets(item, reports),
        ids => ids.iter().map(String::as_str).collect(),
    };
    let paginated: Vec<&str> =
        reports.iter().filter(|report| report.is_paginated).map(|report| report.id.as_str()).collect();
    let roles = roles(rls, mint)?;
    let mut identities = Vec::new();
    if !paginated.is_empty() && datasets.is_empty() && !(roles.is_empty() && rls.custom_data.is_none()) {
        return Err(Fault::new(
            Code::Rejected,
            "a paginated report has no roles and no custom data of its own: name its dataset in dataset_ids, or take \
             them out of rls",
        ));
    }
    if paginated.is_empty() || !datasets.is_empty() {
        let custom_data = rls.custom_data.map(|from| field(from, mint)).transpose()?;
        identities.push(Identity { username, roles, datasets, reports: Vec::new(), custom_data });
    }
    if !paginated.is_empty() {
        identities.push(Identity {
            username,
            roles: Vec::new(),
            datasets: Vec::new(),
            reports: paginated,
            custom_data: None,
        });
    }
    Ok(identities)
}

/// Characters of a username.
const LONGEST_USERNAME: usize = 256;
/// Roles of one identity.
const MOST_ROLES: usize = 50;

/// Refuses a viewer whom the vendor could not take, or whose identity would be less than the config
/// says, before any work.
///
/// # Errors
/// [`Code::InvalidViewer`].
pub fn check_identity(item: &PowerBiItem, viewer: &Viewer) -> Result<(), Fault> {
    let Some(rls) = &item.rls else { return Ok(()) };
    let invalid = |detail| Err(Fault::new(Code::InvalidViewer, detail));
    let needs_value = [Some(rls.username), rls.custom_data].contains(&Some(ViewerField::Value));
    if needs_value && viewer.value.as_deref().unwrap_or_default().is_empty() {
        return invalid("viewer.value is missing, and the embed's rls needs it");
    }
    let username = match rls.username {
        ViewerField::Id => &viewer.id,
        ViewerField::Value => viewer.value.as_deref().unwrap_or_default(),
    };
    if username.chars().count() > LONGEST_USERNAME {
        return invalid("the viewer's name is over 256 characters, which is the most that Power BI takes as username");
    }
    let Roles::OfViewer { allowed } = &rls.roles else { return Ok(()) };
    if viewer.roles.is_empty() {
        return invalid("viewer.roles is empty, and the embed takes the viewer's roles from it");
    }
    if viewer.roles.len() > MOST_ROLES {
        return invalid("viewer.roles are over 50, which is the most that Power BI takes");
    }
    if !viewer.roles.iter().all(|role| allowed.contains(role)) {
        return invalid(FOREIGN_ROLE);
    }
    Ok(())
}

const FOREIGN_ROLE: &str = "a role of the viewer is not among the embed's allowed_roles";

fn field<'a>(field: ViewerField, mint: &Mint<'a>) -> Result<&'a str, Fault> {
    match field {
        ViewerField::Id => Ok(&mint.viewer.id),
        // Without a filter there must be no token, whatever the vendor would make of it.
        ViewerField::Value => mint
            .viewer
            .value
            .as_deref()
            .ok_or_else(|| Fault::new(Code::InvalidViewer, "viewer.value is missing, and the embed's rls needs it")),
    }
}

/// Roles are a set, and sent as one.
fn roles<'a>(rls: &'a Rls, mint: &Mint<'a>) -> Result<Vec<&'a str>, Fault> {
    let mut roles: Vec<&str> = match &rls.roles {
        Roles::Fixed(roles) => roles.iter().map(String::as_str).collect(),
        Roles::OfViewer { allowed } => {
            let asked = mint.viewer.roles.iter().map(String::as_str);
            if !asked.clone().all(|role| allowed.iter().any(|allowed| allowed == role)) {
                return Err(Fault::new(Code::InvalidViewer, FOREIGN_ROLE));
            }
            asked.collect()
        }
    };
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}
