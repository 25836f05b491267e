//! The rule file as promtool sees it, and what a person reads beside it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::promql::lists;
use super::rules::{CASES, Cases, RULES, Rules, read};
use super::stage::s;
use super::support::{Process, tool};

/// What the chart puts `namespace` in front of, and where.
const BY_NAMESPACE: [(&str, &str); 2] = [("by (job", "by (namespace, job"), ("on (job", "on (namespace, job")];

const PAGE: &str = "docs/alerts.md";

fn promtool(arguments: &[&str]) {
    let mut command = Command::new(tool("SIDEMINT_TEST_PROMTOOL"));
    command.args(arguments);
    // The cases are 56 small databases, and the machine has other things to do.
    let ended = Process::spawn(command).end(s(120));
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}{}", ended.out, ended.err);
}

#[test]
fn promtool_takes_the_rules() {
    promtool(&["check", "rules", "--lint-fatal", RULES]);
}

#[test]
fn every_alert_fires_when_it_should_and_not_when_it_should_not() {
    promtool(&["test", "rules", CASES]);
    let cases: Cases = serde_saphyr::from_str(&read(CASES)).expect("the cases are cases");
    let cases: Vec<_> = cases.tests.iter().flat_map(|scenario| &scenario.alert_rule_test).collect();
    let rules = Rules::read();
    for (name, _) in rules.alerts() {
        let fires =
            |fires: bool| cases.iter().any(|case| case.alertname == name && case.exp_alerts.is_empty() != fires);
        assert!(fires(true) && fires(false), "{name} needs a case in which it fires, and one in which it does not");
    }
    // promtool finds nothing wrong with a case for an alert that is not there, if it must not fire.
    let names: BTreeSet<_> = rules.alerts().map(|(name, _)| name).collect();
    let unknown: Vec<_> =
        cases.iter().map(|case| case.alertname.as_str()).filter(|name| !names.contains(name)).collect();
    assert!(unknown.is_empty(), "cases for alerts that are not there: {unknown:?}");
}

/// As the chart renders them: jobs of one name in two namespaces are two. The same cases hold.
#[test]
fn namespaces_can_be_put_before_jobs() {
    let rules = Rules::read();
    let lists: Vec<_> = rules.all().flat_map(|rule| lists(&rule.expr)).collect();
    assert!(!lists.is_empty());
    for list in lists {
        let first = BY_NAMESPACE.iter().any(|(plain, _)| {
            list.strip_prefix(plain)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        });
        assert!(first, "{list}: begins with `job`, written like this");
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let of_namespaces = BY_NAMESPACE.iter().fold(read(RULES), |text, (plain, with)| text.replace(plain, with));
    let path = write("alerts.yaml", &of_namespaces);
    promtool(&["check", "rules", "--lint-fatal", &path]);
    let cases =
        read(CASES).replace("{job=", r#"{namespace="apps", job="#).replace(", job: ", ", namespace: apps, job: ");
    promtool(&["test", "rules", &write("alerts_test.yaml", &cases)]);
}

#[test]
fn every_alert_says_what_it_means_and_where_to_read_on() {
    let page = read(PAGE);
    let sections: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let rules = Rules::read();
    for (name, rule) in rules.alerts() {
        assert!(name.starts_with("Sidemint"), "{name}: alerts of all programs are in one list");
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("page" | "ticket")) && rule.labels.len() == 1, "{name}: {:?}", rule.labels);
        let keys: Vec<_> = rule.annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["description", "runbook", "summary"], "{name}");
        assert_eq!(rule.annotations["runbook"], format!("{PAGE}#{}", name.to_lowercase()));
        let section = page.split(&format!("\n### {name}\n\n")).nth(1).unwrap_or_else(|| panic!("{PAGE} lacks {name}"));
        let (kind, _) = section.split_once('.').expect("a section begins with how urgent it is");
        assert_eq!(kind.to_lowercase(), severity.unwrap_or_default(), "{PAGE}: {name}");
    }
    let names: BTreeSet<_> = rules.alerts().map(|(name, _)| name).collect();
    assert_eq!(sections, names, "sections and alerts");
}

/// The chart can read files inside itself only, so they are there.
#[test]
fn there_is_one_source() {
    for (link, file) in [(RULES, "alerts.yaml"), (super::dashboard::FILE, "dashboard.json")] {
        let target = std::fs::read_link(link).unwrap_or_else(|error| panic!("{link} is no link: {error}"));
        assert_eq!(target, Path::new("../../helm/sidemint/files").join(file), "{link}");
    }
}
