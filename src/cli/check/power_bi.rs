//! The live check of a Power BI embed.

use super::{mint, say, step};
use crate::config::{Embed, PowerBiItem, Rls, Roles, Shown};
use crate::lease::Grant;
use crate::model::{Fault, Token, Urgency};
use crate::vendor::power_bi::{Dataset, PowerBi};
use crate::vendor::{Details, Vendor};

pub(super) async fn walk(
    vendor: &Vendor,
    power_bi: &PowerBi,
    service: &Grant<Token>,
    embed: &Embed,
    item: &PowerBiItem,
) -> bool {
    let name = &embed.name;
    let details = match vendor.look_up(service, &embed.item, Urgency::Waited).await {
        Ok(details) => details,
        Err(fault) => return step(&format!("report of embed {name}"), Err(Fault::from(fault))),
    };
    if matches!(item.shown, Shown::Reports(_)) {
        say(&format!("ok    report of embed {name}: found, so the workspace lets us in"));
    }
    let mut good = true;
    for id in datasets(item, &details) {
        let found = power_bi.dataset(&service.item, item, id).await;
        let verdict = found.as_ref().ok().map(|dataset| verdict(item, id, dataset));
        good &= step(&format!("dataset {id} of embed {name}"), found.map(|_| ()));
        if let Some(Err(sentence)) = verdict {
            say(&format!("FAIL  rls of embed {name}: dataset {id} {sentence}"));
            good = false;
        }
    }
    good && mint(vendor, service, embed, Some(&details)).await
}

fn datasets<'a>(item: &'a PowerBiItem, details: &'a Details) -> Vec<&'a str> {
    match &item.shown {
        Shown::Questions(id) | Shown::NewReport(id) => vec![id],
        Shown::Reports(_) if item.dataset_ids.is_empty() => {
            details.reports.iter().filter_map(|report| report.dataset_id.as_deref()).collect()
        }
        _ => item.dataset_ids.iter().map(String::as_str).collect(),
    }
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
