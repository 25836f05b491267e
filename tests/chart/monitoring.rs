//! Resources of the Prometheus operator, by its own schemas; alerts and the dashboard out of the chart's files.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::documents::{kind, split, text};
use super::renders::{changed, chart, of_helm_4, render, with};
use super::tools::{HELMS, copy, fed, good, node, output, promtool, scratch, write, yaml};

fn complaints(objects: &[Value]) -> Vec<String> {
    let output = fed(&mut node(), &json!(objects));
    serde_json::from_str(&good(&output, "tests/chart/resources/validate.cjs")).expect("a list of sentences")
}

#[test]
fn monitors_are_valid() {
    let foreign = |document: &&Value| text(document, "/apiVersion").starts_with("monitoring.coreos.com/");
    let objects: Vec<Value> = of_helm_4().flat_map(|render| render.documents.iter().filter(foreign)).cloned().collect();
    assert!(objects.len() >= 6, "{} are fewer than there should be", objects.len());
    assert_eq!(complaints(&objects), Vec::<String>::new());
    let mut broken = kind(&objects, "PodMonitor")[0].clone();
    broken["spec"]["podMetricsEndpoints"][0]["port"] = json!(8191);
    assert_eq!(complaints(&[broken]).len(), 1, "a port that is no name");
}

/// The chart with alerts and a dashboard of the test's own.
fn with_files() -> PathBuf {
    let folder = scratch("with-files");
    copy(&chart(), &folder);
    std::fs::create_dir_all(folder.join("files")).expect("a folder");
    let rules = "groups:\n- name: a\n  rules:\n  - {alert: One, expr: 'x > 1', labels: {severity: page}, annotations: {summary: '{{ $labels.x }}'}}\n\
                 - name: b\n  rules:\n  - {alert: Two, expr: up}\n  - {record: r, expr: up}\n";
    std::fs::write(folder.join("files/alerts.yaml"), rules).expect("a file");
    std::fs::write(folder.join("files/dashboard.json"), "{\n  \"title\": \"{{job}}\"\n}\n").expect("a file");
    folder
}

#[test]
fn alerts_and_the_dashboard_are_those_of_the_files() {
    let folder = with_files();
    let values = changed("sidecar-native", |values| {
        values["podMonitor"] = json!({});
        values["prometheusRule"] = json!({"enabled": true, "labels": {"release": "prometheus"}, "disabled": ["One"]});
        values["dashboard"] = json!({"enabled": true, "namespace": "grafana", "annotations": {"folder": "Apps"}});
    });
    for helm in HELMS {
        let rendered = helm.template(&folder, &write("values.json", &values.to_string()), "1.31");
        let documents = split(&good(&rendered, "helm template"));
        let rule = kind(&documents, "PrometheusRule")[0];
        assert_eq!(complaints(std::slice::from_ref(rule)), Vec::<String>::new());
        assert_eq!(rule["metadata"]["labels"]["release"], "prometheus");
        // A group that has nothing left would be refused by Prometheus.
        let rules = json!([{"alert": "Two", "expr": "up"}, {"record": "r", "expr": "up"}]);
        assert_eq!(rule["spec"]["groups"], json!([{"name": "b", "rules": rules}]), "{helm:?}");
        let none = json!({"prometheusRule": {"enabled": true, "disabled": ["One", "Two", "r"]}});
        let none = helm.template(&folder, &write("values.json", &none.to_string()), "1.31");
        assert!(!none.status.success(), "a rule without groups would be refused by the cluster");
        let board = kind(&documents, "ConfigMap").into_iter().find(|map| map["data"]["sidemint.json"].is_string());
        let board = board.expect("a dashboard");
        assert_eq!(board["metadata"]["labels"]["grafana_dashboard"], "1");
        assert_eq!(board["metadata"]["namespace"], "grafana");
        assert_eq!(
            yaml(text(board, "/data/sidemint.json")),
            json!({"title": "{{job}}"}),
            "nothing is read as a template"
        );
    }
}

/// Two releases of one name in two namespaces have the same `job`, and the operator tells them apart by `namespace`.
#[test]
fn alerts_do_not_add_up_namespaces() {
    let documents = &render("monitoring", "1.31").documents;
    let groups = &kind(documents, "PrometheusRule")[0]["spec"]["groups"];
    let file = write("alerts.json", &json!({"groups": groups}).to_string());
    good(&output(promtool().args(["check", "rules"]).arg(file)), "promtool check rules");
    let rules = groups.as_array().expect("groups").iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    let mut seen = 0;
    for rule in rules {
        let expression = text(rule, "/expr").replace("by(", "by (").replace("on(", "on (");
        for part in ["by (", "on ("].iter().flat_map(|word| expression.split(word).skip(1)) {
            assert!(part.starts_with("namespace, job"), "{expression}");
            seen += 1;
        }
        if let Some(name) = rule["alert"].as_str() {
            let page = format!("https://wiki.example.com/alerts.md#{}", name.to_lowercase());
            assert_eq!(rule["annotations"]["runbook_url"], page);
        }
    }
    assert!(seen > 20, "{seen} groupings are fewer than there should be");
}

/// By value only: Argo CD renders without the cluster's capabilities.
#[test]
fn nothing_for_the_operator_is_made_unless_it_is_asked_for() {
    let documents = with(&changed("gateway-caller", |_| ()));
    assert!(documents.iter().all(|document| !text(document, "/apiVersion").contains("coreos")));
}
