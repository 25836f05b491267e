//! Configs that could only lead to a no of the vendor: they are refused here, and say which limit it is.

use serde_json::json;
use sidemint::config::{self, Environment};

use super::scene::{RLS, plain, secured, workspace};

/// What is said about an embed of these keys.
fn said(keys: &str) -> Vec<String> {
    let text = format!(
        "upstreams:\n  acme: {{kind: powerbi, tenant_id: t, auth: {{client_id: c, client_secret_env: S}}}}\n\
         embeds:\n  sales: {{upstream: acme, workspace_id: {}, {keys}}}\n",
        workspace()
    );
    match config::from_text(&text, &Environment::from([("S", "emu8Q~x")])) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn refuses(keys: &str, key: &str, says: &str) {
    let said = said(keys);
    assert!(said.iter().any(|line| line.contains(key) && line.contains(says)), "{key} … {says}: {said:?}");
}

fn with(keys: &str) -> String {
    format!("report_id: {}, {keys}", secured().report)
}

fn ids(count: usize) -> String {
    (0..count).map(|number| format!("id-{number}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn row_h27_a_lifetime_is_whole_minutes_and_not_below_nothing() {
    refuses(&with("lifetime: -5m"), "", "line 4");
    refuses(&with("lifetime: 90s"), "embeds.sales.lifetime", "whole minutes");
    refuses(&with("lifetime: 25h"), "embeds.sales.lifetime", "at most 24h");
    assert_eq!(said(&with(&format!("lifetime: 24h, {RLS}"))), Vec::<String>::new());
}

#[test]
fn row_h33_fifty_reports_and_datasets_are_the_most() {
    refuses(&with(&format!("report_ids: [{}]", ids(50))), "embeds.sales.report_ids", "50");
    refuses(&format!("report_ids: [{}]", ids(51)), "embeds.sales.report_ids", "50");
    refuses(&with(&format!("dataset_ids: [{}]", ids(51))), "embeds.sales.dataset_ids", "50");
    assert_eq!(said(&with(&format!("report_ids: [{}], dataset_ids: [{}]", ids(49), ids(50)))), Vec::<String>::new());
}

#[test]
fn row_h34_roles_that_the_vendor_could_not_take() {
    let fixed = |roles: &[String]| with(&format!("rls: {{username: viewer.id, roles: {}}}", json!(roles)));
    let long = "r".repeat(51);
    for roles in [vec!["a,b".to_owned()], vec![long], vec![String::new()], vec!["r".to_owned(); 51]] {
        refuses(&fixed(&roles), "rls.roles", "50");
    }
    assert_eq!(said(&fixed(&vec!["\u{eb}".repeat(50); 50])), Vec::<String>::new());
    refuses(&with("rls: {username: viewer.id, roles: viewer.roles}"), "rls.roles", "allowed_roles");
    refuses(&with("rls: {username: viewer.id, roles: [a], allowed_roles: [a]}"), "rls.allowed_roles", "viewer.roles");
}

#[test]
fn exactly_one_form_is_meant() {
    let on = plain();
    for keys in [
        String::new(),
        format!("report_id: {}, dashboard_id: x", on.report),
        "tile_id: x".to_owned(),
        "create: true".to_owned(),
        format!("report_id: {}, create: true", on.report),
        format!("dataset_id: {}, access_level: edit, create: true", on.dataset),
        format!("dataset_id: {}, dashboard_id: x", on.dataset),
    ] {
        refuses(&keys, "embeds.sales.report_id", "exactly one of");
    }
    refuses("dashboard_id: x, access_level: edit", "embeds.sales.access_level", "only reports");
    refuses("dashboard_id: x, allow_save_as: true", "embeds.sales.allow_save_as", "reports only");
    refuses("report_id: ../x", "embeds.sales.report_id", "an id");
}

/// Nothing is looked up of a dashboard, so an identity without datasets would be one without a filter, or refused.
#[test]
fn row_v8_the_identity_of_a_dashboard_names_its_datasets() {
    for shown in ["dashboard_id: x", "dashboard_id: x, tile_id: y"] {
        refuses(&format!("{shown}, {RLS}"), "embeds.sales.rls.datasets", "is missing");
        refuses(
            &format!("{shown}, rls: {{username: viewer.id, datasets: []}}"),
            "embeds.sales.rls.datasets",
            "is missing",
        );
        assert_eq!(said(&format!("{shown}, rls: {{username: viewer.id, datasets: [d]}}")), Vec::<String>::new());
    }
}
