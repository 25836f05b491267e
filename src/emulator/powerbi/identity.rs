//! Which identity an embed token needs (powerbi-boldbi.md section A9, the rows of service principals).

use super::errors;
use super::request::{Identity, Xmla};
use super::same;
use crate::emulator::settings::{DatasetKind, PowerBiDataset, PowerBiReport, ReportKind};
use crate::emulator::wire::Reply;

/// What a token is asked for.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    /// The datasets, and what is allowed on each by XMLA.
    pub datasets: Vec<(&'a PowerBiDataset, Option<Xmla>)>,
    /// The paginated reports.
    pub paginated: Vec<&'a PowerBiReport>,
    /// Whether tokens for data sources came beside the identities.
    pub datasource_identities: bool,
    /// The object id of the caller.
    pub caller: &'a str,
    /// Whether the caller may speak for others on the gateway.
    pub gateway_admin: bool,
}

impl Scope<'_> {
    /// Checks the identities against everything that the token opens.
    pub fn check(&self, identities: &[Identity]) -> Result<(), Reply> {
        for identity in identities {
            self.check_targets(identity)?;
        }
        for (dataset, _) in &self.datasets {
            let own = identities.iter().find(|one| one.datasets().iter().any(|id| same(id, &dataset.id)));
            self.check_dataset(dataset, own).map_err(|why| {
                errors::invalid(&format!("Creating embed token for accessing dataset {} {why}", dataset.id))
            })?;
        }
        for report in &self.paginated {
            self.check_paginated(report, identities)?;
        }
        Ok(())
    }

    /// An identity says what it is for, and that has to be in the token. The vendor's words are not known.
    fn check_targets(&self, identity: &Identity) -> Result<(), Reply> {
        let of_token = |id: &String| self.datasets.iter().any(|(dataset, _)| same(&dataset.id, id));
        if let Some(id) = identity.datasets().iter().find(|id| !of_token(id)) {
            return Err(errors::invalid(&format!("Effective identity names dataset {id}, which the token is not for")));
        }
        let is_paginated = |id: &String| self.paginated.iter().any(|report| same(&report.id, id));
        if let Some(id) = identity.reports().iter().find(|id| !is_paginated(id)) {
            return Err(errors::invalid(&format!("Effective identity names report {id}, which is not paginated")));
        }
        if !identity.datasets().is_empty() || !identity.reports().is_empty() {
            return Ok(());
        }
        // Where no identity is allowed at all, that is said first.
        match self.datasets.first() {
            Some((dataset, _)) if self.datasets.iter().all(|(one, _)| one.kind == DatasetKind::Plain) => {
                let why = format!(
                    "Creating embed token for accessing dataset {} shouldn't have effective identity",
                    dataset.id
                );
                Err(errors::invalid(&why))
            }
            _ => Err(errors::invalid("Effective identity must name the datasets or the reports that it applies to")),
        }
    }

    fn check_dataset(&self, dataset: &PowerBiDataset, own: Option<&Identity>) -> Result<(), &'static str> {
        const REQUIRED: &str = "requires effective identity to be provided";
        match &dataset.kind {
            DatasetKind::Plain if own.is_some() => Err("shouldn't have effective identity"),
            DatasetKind::Plain => Ok(()),
            DatasetKind::Secured { roles } => named(own.ok_or(REQUIRED)?, roles),
            DatasetKind::OnPremises => {
                let identity = own.ok_or(REQUIRED)?;
                named(identity, &[])?;
                if !identity.username().chars().all(is_allowed_on_premises) {
                    return Err("has a username with characters that are not allowed on premises");
                }
                let missing =
                    "requires the caller to be an admin of the gateway or to have ReadOverrideEffectiveIdentity";
                if self.gateway_admin { Ok(()) } else { Err(missing) }
            }
            DatasetKind::AzureAnalysis => {
                let identical = "requires effective identity username to be identical to the caller's principal name";
                if same(own.ok_or(REQUIRED)?.username(), self.caller) { Ok(()) } else { Err(identical) }
            }
            DatasetKind::SingleSignOn { roles } => {
                let blob = self.datasource_identities || own.is_some_and(Identity::has_blob);
                if !blob {
                    return Err("requires effective identity with identityBlob to be provided");
                }
                if roles.is_empty() { Ok(()) } else { named(own.ok_or(REQUIRED)?, roles) }
            }
        }
    }

    /// Without a dataset of Power BI anything goes. On one, that has to be in the token for reading, which only the
    /// form for several items can say; where it is secured, the report wants an identity beside that of the dataset.
    fn check_paginated(&self, report: &PowerBiReport, identities: &[Identity]) -> Result<(), Reply> {
        let ReportKind::Paginated(Some(dataset)) = &report.kind else {
            return Ok(());
        };
        let listed = self.datasets.iter().find(|(one, _)| same(&one.id, dataset));
        let Some((dataset, Some(Xmla::ReadOnly))) = listed else {
            let why =
                format!("Paginated report {} requires dataset {dataset} with xmlaPermissions ReadOnly", report.id);
            return Err(errors::invalid(&why));
        };
        let own = identities.iter().any(|one| one.reports().iter().any(|id| same(id, &report.id)));
        if dataset.kind != DatasetKind::Plain && !own {
            let why = format!(
                "Creating embed token for accessing report {} requires effective identity to be provided",
                report.id
            );
            return Err(errors::invalid(&why));
        }
        Ok(())
    }
}

/// A user name, and roles where the model has some. That a role is one of the model is not checked before the query.
fn named(identity: &Identity, roles: &[String]) -> Result<(), &'static str> {
    if identity.username().is_empty() {
        Err("requires username to be included in provided effective identity")
    } else if !roles.is_empty() && identity.roles().is_empty() {
        Err("requires roles to be included in provided effective identity")
    } else {
        Ok(())
    }
}

fn is_allowed_on_premises(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || ".-_!#^~\\@".contains(letter)
}
