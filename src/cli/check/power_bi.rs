//! The live check of a Power BI embed.

use std::collections::BTreeSet;

use super::live::Walk;
use super::{say, step};
use crate::config::{Embed, PowerBiItem, Rls, Roles, Shown};
use crate::lease::Grant;
use crate::model::{Code, Fault, Token, Urgency};
use crate::vendor::Details;
use crate::vendor::power_bi::{Dataset, PowerBi};

pub(super) async fn walk(
    walk: &Walk<'_>,
    power_bi: &PowerBi,
    service: &Grant<Token>,
    embed: &Embed,
    item: &PowerBiItem,
) -> bool {
    let name = &embed.name;
    let details = match walk.vendor.look_up(Some(service), &embed.item, Urgency::Waited).await {
        Ok(details) => details,
        Err(fault) => return step(&format!("report of embed {name}"), Err(Fault::from(fault))),
    };
    if matches!(item.shown, Shown::Reports(_)) {
        say(&format!("ok    report of embed {name}: found, so the workspace lets us in"));
    }
    let mut good = true;
    for id in datasets(item, &details) {
        good &= walk_dataset(power_bi, service, embed, item, id).await;
    }
    good && walk.mint(embed, Some(&details)).await
}

async fn walk_dataset(power_bi: &PowerBi, service: &Grant<Token>, embed: &Embed, item: &PowerBiItem, id: &str) -> bool {
    let name = &embed.name;
    let dataset = match power_bi.dataset(&service.item, item, id).await {
        Ok(dataset) => dataset,
        // Datasets are shared between workspaces, and a token can be had all the same: the mint will say.
        Err(fault) if matches!(fault.code(), Code::UpstreamNotFound | Code::Denied) => {
            say(&format!(
                "warn  dataset {id} of embed {name} is not in this workspace, or not shown to us: its row-level \
                 security cannot be compared with rls; if the mint fails, check dataset_ids, and give the service \
                 principal Build permission on the dataset (its Manage permissions)"
            ));
            return true;
        }
        Err(fault) => return step(&format!("dataset {id} of embed {name}"), Err(fault)),
    };
    say(&format!("ok    dataset {id} of embed {name}"));
    match verdict(item, id, &dataset) {
        Ok(()) => true,
        Err(sentence) => {
            say(&format!("FAIL  rls of embed {name}: dataset {id} {sentence}"));
            false
        }
    }
}

/// The datasets that the token is for, as far as they are known; of a dashboard, those that rls names.
fn datasets<'a>(item: &'a PowerBiItem, details: &'a Details) -> BTreeSet<&'a str> {
    let named = item.rls.iter().flat_map(|rls| &rls.dataset_ids).map(String::as_str);
    let of_item: Vec<&str> = match &item.shown {
        Shown::Questions(id) | Shown::NewReport(id) => vec![id],
        Shown::Reports(_) if item.dataset_ids.is_empty() => {
            details.reports.iter().filter_map(|report| report.dataset_id.as_deref()).collect()
        }
        _ => item.dataset_ids.iter().map(String::as_str).collect(),
    };
    of_item.into_iter().chain(named).collect()
}

/// Whether the dataset's flags and the embed's `rls` agree.
fn verdict(item: &PowerBiItem, id: &str, dataset: &Dataset) -> Result<(), &'static str> {
    let for_it = |rls: &&Rls| rls.dataset_ids.is_empty() || rls.dataset_ids.iter().any(|named| named == id);
    let rls = item.rls.as_ref().filter(for_it);
    let roles = rls.is_some_and(|rls| match &rls.roles {
        Roles::Fixed(roles) => !roles.is_empty(),
        Roles::OfViewer { .. } => true,
    });
    match (dataset.needs_identity, dataset.needs_roles, rls.is_some()) {
        (true, _, false) => Err("has row-level security: set rls for the embed"),
        (false, false, true) => Err(
            "has no row-level security: define roles in the data model (Power BI Desktop > Modeling > Manage roles), \
             or take rls out of the embed",
        ),
        (_, true, true) if !roles => Err("has roles: set rls.roles for the embed"),
        _ => Ok(()),
    }
}
