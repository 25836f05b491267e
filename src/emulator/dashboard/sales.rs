//! Made-up sales: the rows behind the dashboards, the same at every start.

use serde::Serialize;

/// The regions there are: what `external_value` is compared with.
const REGIONS: [&str; 6] = ["amer", "anz", "apac", "emea", "latam", "nordics"];

/// One region in one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::emulator) struct Row {
    pub month: String,
    pub region: &'static str,
    pub orders: u64,
    pub hardware: u64,
    pub services: u64,
    pub licences: u64,
}

/// The whole table of one dashboard.
pub(in crate::emulator) fn rows(dashboard_id: &str) -> Vec<Row> {
    let months = (1..=12).map(|month| format!("2026-{month:02}"));
    months
        .enumerate()
        .flat_map(|(place, month)| REGIONS.map(|region| row(dashboard_id, &month, place, region)))
        .collect()
}

/// `SELECT * FROM sales WHERE region = __aibi_external_value`, the vendor's own example: an exact comparison, so that an
/// unknown value sees no row.
pub(in crate::emulator) fn rows_of(dashboard_id: &str, external_value: &str) -> Vec<Row> {
    rows(dashboard_id).into_iter().filter(|row| row.region == external_value).collect()
}

fn row(dashboard_id: &str, month: &str, place: usize, region: &'static str) -> Row {
    let seed = format!("{dashboard_id}/{month}/{region}").bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        // FNV-1a: all that is wanted is a number that looks random and stays the same.
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let size = region_size(region);
    let growth = 100 + 4 * u64::try_from(place).unwrap_or(0);
    let mut part = |share: u64| size * share * growth * random.u64(80..125) / 1_000_000;
    let (hardware, services, licences) = (part(55), part(28), part(40));
    let per_order = random.u64(380..470);
    Row {
        month: month.to_owned(),
        region,
        orders: (hardware + services + licences) / per_order,
        hardware,
        services,
        licences,
    }
}

/// Thousands in a usual month.
fn region_size(region: &str) -> u64 {
    match region {
        "amer" => 920_000,
        "emea" => 780_000,
        "apac" => 610_000,
        "nordics" => 340_000,
        "latam" => 270_000,
        _ => 210_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DASHBOARD: &str = "01f12716a3c41b5e9d7c2f60a1b2c3d4";

    #[test]
    fn each_region_has_twelve_months_and_the_same_ones_each_time() {
        assert_eq!(rows(DASHBOARD).len(), 72);
        assert_eq!(rows_of(DASHBOARD, "emea").len(), 12);
        assert_eq!(rows(DASHBOARD), rows(DASHBOARD));
        assert_ne!(rows(DASHBOARD), rows("01f12716b7e81c0fa2d4c6e8f0a1b2c3"));
    }

    #[test]
    fn an_unknown_value_sees_nothing() {
        assert!(rows_of(DASHBOARD, "").is_empty());
        assert!(rows_of(DASHBOARD, "EMEA").is_empty());
    }
}
