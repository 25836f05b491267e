//! The rule file, and its cases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::promql;

/// Of the repository.
pub const RULES: &str = "deploy/prometheus/alerts.yaml";
pub const CASES: &str = "deploy/prometheus/alerts_test.yaml";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub groups: Vec<Group>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: String,
    /// How often it is looked at, where that is not as often as usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    pub rules: Vec<Rule>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    pub expr: String,
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub struct Cases {
    pub tests: Vec<Scenario>,
}

#[derive(Deserialize)]
pub struct Scenario {
    pub alert_rule_test: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub alertname: String,
    pub exp_alerts: Vec<serde_json::Value>,
}

impl Rules {
    /// As they are in the repository.
    pub fn read() -> Rules {
        serde_saphyr::from_str(&read(RULES)).expect("the rules are rules")
    }

    /// The same in a hurry: every window, every `for` and every interval is so much shorter, and nothing else is different.
    /// Counts, shares and seconds that are compared stay.
    pub fn hurried(mut self, times: u64) -> Rules {
        for group in &mut self.groups {
            group.interval = group.interval.as_ref().map(|interval| promql::shorter(interval, times));
        }
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            rule.expr = promql::hurried(&rule.expr, times);
            rule.lasting = rule.lasting.as_ref().map(|lasting| promql::shorter(lasting, times));
        }
        self
    }

    /// Text for Prometheus, to which JSON is YAML.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("rules can be written")
    }

    pub fn all(&self) -> impl Iterator<Item = &Rule> {
        self.groups.iter().flat_map(|group| &group.rules)
    }

    /// The alerts and their names.
    pub fn alerts(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.all().filter_map(|rule| Some((rule.alert.as_deref()?, rule)))
    }

    /// The names of what is recorded.
    pub fn recorded(&self) -> impl Iterator<Item = &str> {
        self.all().filter_map(|rule| rule.record.as_deref())
    }
}

/// A file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
