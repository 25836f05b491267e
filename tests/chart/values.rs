//! `values.yaml`, the schema, the READMEs and the versions say the same.

use std::collections::BTreeSet;

use serde_json::Value;

use super::tools::{read, yaml};

const LIBRARY: &str = "helm/sidemint/charts/sidemint-sidecar";
const CHART: &str = "helm/sidemint";

fn values(chart: &str) -> Value {
    yaml(&read(&format!("{chart}/values.yaml")))
}

/// `gateway.pdb.enabled`; a map without keys counts as one.
fn keys(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) => map.iter().for_each(|(key, value)| {
            keys(value, &if place.is_empty() { key.clone() } else { format!("{place}.{key}") }, found);
        }),
        None => {
            found.insert(place.to_owned());
        }
    }
}

/// Keys whose parts are Kubernetes' own.
const WHOLE: [&str; 4] = ["securityContext", "podSecurityContext", "resources", "dashboard.labels"];

fn documented_keys(chart: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys(&values(chart), "", &mut found);
    let whole = |key: String| WHOLE.iter().find(|w| key.starts_with(&format!("{w}."))).map_or(key, |w| (*w).to_owned());
    found.into_iter().map(whole).collect()
}

/// The keys in the first column of tables below "Values".
fn keys_of_table(text: &str) -> BTreeSet<String> {
    let (_, section) = text.split_once("\n## Values\n").expect("a section of values");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    cells.flat_map(|cell| cell.split('`').step_by(2)).filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_readme_has_every_value_and_no_other() {
    let of_table = keys_of_table(&read(&format!("{CHART}/README.md")));
    let of_values = documented_keys(CHART);
    let missing: Vec<_> = of_values.difference(&of_table).collect();
    let unknown: Vec<_> = of_table.difference(&of_values).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not in the README: {missing:?}; not in values.yaml: {unknown:?}"
    );
}

#[test]
fn the_library_and_the_chart_have_the_same_defaults() {
    let (library, chart) = (values(LIBRARY), values(CHART));
    for (key, value) in library.as_object().expect("a map") {
        assert_eq!(&chart[key], value, "{key}");
    }
}

#[test]
fn the_schemas_have_the_keys_of_the_values() {
    for chart in [LIBRARY, CHART] {
        let schema: Value = serde_json::from_str(&read(&format!("{chart}/values.schema.json"))).expect("JSON");
        let of_schema: BTreeSet<_> = schema["properties"].as_object().expect("a map").keys().cloned().collect();
        let mut of_values: BTreeSet<_> = values(chart).as_object().expect("a map").keys().cloned().collect();
        // Helm puts these there.
        of_values.extend(["global".to_owned()]);
        of_values.extend((chart == CHART).then(|| "sidemint-sidecar".to_owned()));
        assert_eq!(of_schema, of_values, "{chart}");
    }
}

/// The templates know the version themselves: in a chart of somebody else's, `.Chart` is that one's.
#[test]
fn all_versions_are_the_same() {
    let version = env!("CARGO_PKG_VERSION");
    for chart in [LIBRARY, CHART] {
        let file = yaml(&read(&format!("{chart}/Chart.yaml")));
        assert_eq!(file["appVersion"], version, "{chart}");
        assert_eq!(file["version"], version, "{chart}");
    }
    assert_eq!(yaml(&read(&format!("{CHART}/Chart.yaml")))["dependencies"][0]["version"], version);
    let template = read(&format!("{LIBRARY}/templates/_names.tpl"));
    assert!(template.contains(&format!("{{{{- define \"sidemint.version\" -}}}}\n{version}\n")), "_names.tpl");
}

/// Alias, templates and file of the README's example are those of the chart that the tests render.
#[test]
fn the_readme_shows_the_chart_that_is_tested() {
    let readme = read(&format!("{CHART}/README.md"));
    let app = read("tests/chart/app/templates/deployment.yaml");
    let includes = |text: &str| -> BTreeSet<String> {
        let found = text.split("include \"sidemint.").skip(1);
        found.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
    };
    let all = includes(&app);
    let shown = includes(&readme);
    assert!(
        all.len() > 6 && all.is_subset(&shown),
        "the README lacks {:?}",
        all.difference(&shown).collect::<Vec<_>>()
    );
    let library =
        ["_names.tpl", "_pod.tpl", "_manifests.tpl"].map(|file| read(&format!("{LIBRARY}/templates/{file}"))).concat();
    for name in shown {
        assert!(library.contains(&format!("define \"sidemint.{name}\"")), "the README names sidemint.{name}");
    }
}
