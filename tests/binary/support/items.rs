//! Reports of the emulator's Power BI by what decides about their tokens; `tests/it` has this room, too.

use sidemint::emulator::{DatasetKind, PowerBiReport, PowerBiSettings, ReportKind};

/// A report and its dataset.
pub struct On {
    pub report: String,
    pub dataset: String,
}

/// Row-level security by the viewer's value.
pub const RLS: &str = "rls: {username: viewer.value, roles: [Customer]}";

fn on(kind: impl Fn(&DatasetKind) -> bool) -> On {
    let settings = PowerBiSettings::default();
    let dataset = settings.datasets.iter().find(|one| kind(&one.kind)).expect("a dataset of that kind").id.clone();
    let shows = |one: &&PowerBiReport| one.kind == ReportKind::Interactive(dataset.clone());
    let report = settings.reports.iter().find(shows).expect("a report on it").id.clone();
    On { report, dataset }
}

/// Without row-level security.
pub fn plain() -> On {
    on(|kind| *kind == DatasetKind::Plain)
}

/// With row-level security by roles.
pub fn secured() -> On {
    on(|kind| matches!(kind, DatasetKind::Secured { roles } if !roles.is_empty()))
}
