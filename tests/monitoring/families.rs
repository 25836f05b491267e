//! What a sidecar has to tell.

use std::collections::BTreeSet;

use super::support::Sidecar;

/// The metrics of a sidecar.
pub struct Families {
    /// What can be selected: of histograms, their three series.
    pub series: BTreeSet<String>,
    /// Ours, by the name that they have in the documentation.
    pub ours: BTreeSet<String>,
    pub labels: BTreeSet<String>,
}

impl Families {
    pub fn of(sidecar: &Sidecar) -> Families {
        let text = sidecar.look("/metrics").text();
        let mut families = Families { series: BTreeSet::new(), ours: BTreeSet::new(), labels: BTreeSet::new() };
        for (name, kind) in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')) {
            match kind {
                "histogram" => families.series.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))),
                _ => families.series.extend([name.to_owned()]),
            }
            if name.starts_with("sidemint_") {
                families.ours.insert(name.to_owned());
            }
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, pairs) = line.split_once('{').unwrap_or_default();
            let names = pairs.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, _)| name.to_owned());
            families.labels.extend(names);
        }
        families
    }
}

/// The metric that a series is of.
pub fn family(series: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|part| series.strip_suffix(part)).unwrap_or(series)
}
