//! The dashboard. There is no Grafana to be had here: these are the rules by which one shows it, and what a person wants
//! of it. Whether its queries answer is shown in the scenes.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::rules::read;

/// Of the repository.
pub const FILE: &str = "deploy/grafana/dashboard.json";

/// That of Grafana 10.4; later ones migrate it by themselves.
const SCHEMA: u64 = 39;
const UNITS: [&str; 6] = ["none", "percentunit", "s", "bytes", "reqps", "ops"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    uid: String,
    title: String,
    schema_version: u64,
    templating: Templating,
    pub panels: Vec<Panel>,
}

#[derive(Deserialize)]
struct Templating {
    list: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    query: Value,
    definition: Option<String>,
    datasource: Option<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    id: u64,
    #[serde(rename = "type")]
    kind: String,
    pub title: String,
    #[serde(default)]
    description: String,
    grid_pos: Place,
    datasource: Option<Source>,
    #[serde(default)]
    pub targets: Vec<Target>,
    #[serde(default)]
    field_config: Value,
}

#[derive(Deserialize)]
struct Place {
    x: u64,
    y: u64,
    w: u64,
    h: u64,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
    uid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    ref_id: String,
    pub expr: String,
    pub legend_format: String,
    datasource: Source,
}

impl Dashboard {
    pub fn read() -> Dashboard {
        serde_json::from_str(&read(FILE)).expect("the dashboard is one")
    }

    /// The queries of variables: which label of which series.
    pub fn variables(&self) -> Vec<(String, String)> {
        let queries = self.templating.list.iter().filter(|variable| variable.kind == "query");
        let parse = |variable: &Variable| {
            let query = variable.query["query"].as_str().expect("a query");
            assert_eq!(
                variable.definition.as_deref(),
                Some(query),
                "{}: what is shown is what is asked",
                variable.name
            );
            let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (series, label) = inside.and_then(|inside| inside.rsplit_once(", ")).expect("a query of label values");
            assert_eq!(label, variable.name, "a variable is called like its label");
            (series.to_owned(), label.to_owned())
        };
        queries.map(parse).collect()
    }

    /// All panels but the headings.
    pub fn shown(&self) -> impl Iterator<Item = &Panel> {
        self.panels.iter().filter(|panel| panel.kind != "row")
    }
}

impl Place {
    fn meets(&self, other: &Place) -> bool {
        let apart = self.x + self.w <= other.x || other.x + other.w <= self.x;
        !apart && self.y < other.y + other.h && other.y < self.y + self.h
    }
}

fn is_chosen(source: Option<&Source>) -> bool {
    source.is_some_and(|source| source.kind == "prometheus" && source.uid == "${datasource}")
}

#[test]
fn grafana_can_show_it_with_any_data_source() {
    let dashboard = Dashboard::read();
    assert_eq!((dashboard.uid.as_str(), dashboard.title.as_str()), ("sidemint", "Sidemint"));
    assert_eq!(dashboard.schema_version, SCHEMA);
    let names: Vec<_> = dashboard.templating.list.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["datasource", "job", "instance", "upstream", "embed"]);
    let first = dashboard.templating.list.first().expect("the data source");
    assert_eq!((first.kind.as_str(), first.query.as_str()), ("datasource", Some("prometheus")));
    for variable in dashboard.templating.list.iter().skip(1) {
        assert!(is_chosen(variable.datasource.as_ref()), "{}: any data source", variable.name);
    }
    for panel in dashboard.shown() {
        assert!(is_chosen(panel.datasource.as_ref()), "{}: any data source", panel.title);
        assert!(panel.targets.iter().all(|target| is_chosen(Some(&target.datasource))), "{}", panel.title);
    }
}

#[test]
fn panels_have_places_of_their_own() {
    let panels = Dashboard::read().panels;
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel.id).collect();
    assert_eq!(ids.len(), panels.len(), "ids are used once");
    for (at, panel) in panels.iter().enumerate() {
        let place = &panel.grid_pos;
        assert!(place.w > 0 && place.h > 0 && place.x + place.w <= 24, "{} is beside the grid", panel.title);
        let other = panels.iter().skip(at + 1).find(|other| place.meets(&other.grid_pos));
        assert!(other.is_none(), "{} lies over {}", panel.title, other.map_or("", |other| &other.title));
    }
    let rows = panels.iter().filter(|panel| panel.kind == "row").count();
    assert_eq!(rows, 9);
}

#[test]
fn panels_say_what_they_show_and_in_what() {
    let dashboard = Dashboard::read();
    let titles: BTreeSet<_> = dashboard.shown().map(|panel| &panel.title).collect();
    assert_eq!(titles.len(), dashboard.shown().count(), "titles are used once");
    for panel in dashboard.shown() {
        let Panel { title, description, targets, field_config, .. } = panel;
        assert!(description.ends_with('.') && description.len() > 20, "{title} says what it shows");
        assert!(!targets.is_empty(), "{title} shows something");
        let unit = field_config["defaults"]["unit"].as_str().unwrap_or_default();
        assert!(UNITS.contains(&unit), "{title} has a unit: {unit:?}");
        let letters: BTreeSet<_> = targets.iter().map(|target| &target.ref_id).collect();
        assert_eq!(letters.len(), targets.len(), "{title}: letters are used once");
        for Target { expr, legend_format, .. } in targets {
            assert!(expr.contains(r#"job=~"$job"#), "{title}: of the jobs that are chosen");
            assert!(!legend_format.is_empty(), "{title}: each line has a name");
            assert_eq!(
                expr.contains('['),
                expr.contains("[$__rate_interval]"),
                "{title}: windows go by the scrape interval"
            );
        }
    }
}
