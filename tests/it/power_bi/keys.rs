//! What tells two tokens apart: each field that is minted into one.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sidemint::emulator::{Operation, PowerBiSettings};

use super::scene::{PowerBi, RLS, bodies, calls, opened, requests, secured};
use crate::support::{Reply, Stage};

async fn with_roles(stage: &Stage, roles: &[&str]) -> Reply {
    let body = json!({"viewer": {"id": "v-1", "value": "emea", "roles": roles}, "purpose": "renew"});
    stage.post("sales", &body).await
}

const VIEWERS_ROLES: &str =
    "rls: {username: viewer.value, roles: viewer.roles, allowed_roles: [Customer, Manager, Auditor]}";

fn report_with(keys: &str) -> String {
    format!("report_id: {}, {keys}", secured().report)
}

#[tokio::test]
async fn row_h28_roles_are_a_set() {
    let stage = PowerBi::default().sales(VIEWERS_ROLES).warm().await;
    let token = with_roles(&stage, &["Customer", "Manager"]).await.token();
    assert_eq!(with_roles(&stage, &["Manager", "Customer"]).await.token(), token);
    assert_eq!(with_roles(&stage, &["Manager", "Customer", "Manager"]).await.token(), token);
    assert_eq!(calls(&stage), (0, 1, 1));
    assert_eq!(bodies(&stage)[0]["identities"][0]["roles"], json!(["Customer", "Manager"]));
    // A set with one role less is another one.
    assert_ne!(with_roles(&stage, &["Customer"]).await.token(), token);
    assert_eq!(calls(&stage), (0, 1, 2));
}

#[tokio::test]
async fn row_h29_other_custom_data_is_another_token() {
    let rls = "rls: {username: viewer.id, roles: [Customer], custom_data: viewer.value}";
    let stage = PowerBi::default().sales(rls).warm().await;
    let (emea, apac) = (stage.renew("v-1", "emea").await.token(), stage.renew("v-1", "apac").await.token());
    assert_ne!(emea, apac);
    assert_eq!(stage.renew("v-1", "emea").await.token(), emea);
    assert_eq!(calls(&stage), (0, 1, 2));
    let identities: Vec<Value> = bodies(&stage).into_iter().map(|body| body["identities"][0].clone()).collect();
    let named = |one: &Value| (one["username"].clone(), one["customData"].clone());
    assert_eq!(named(&identities[0]), (json!("v-1"), json!("emea")));
    assert_eq!(named(&identities[1]), (json!("v-1"), json!("apac")));
}

#[tokio::test]
async fn row_h30_another_profile_is_another_token_and_the_header_says_which() {
    let profiles = PowerBiSettings::default().profiles;
    let of = |profile: &str| report_with(&format!("profile_id: {profile}, {RLS}"));
    let scene = PowerBi::default().embed("one", &of(&profiles[0])).embed("two", &of(&profiles[1]));
    let stage = scene.warm().await;
    let mut tokens = BTreeSet::new();
    for embed in ["sales", "one", "two"] {
        tokens.insert(stage.renew_of(embed, "v-1", "emea").await.token());
    }
    assert_eq!(tokens.len(), 3);
    for operation in [Operation::PowerBiReport, Operation::GenerateToken] {
        let sent =
            requests(&stage, operation).into_iter().map(|entry| entry.headers.get("x-powerbi-profile-id").cloned());
        assert_eq!(sent.collect::<Vec<_>>(), [None, Some(profiles[0].clone()), Some(profiles[1].clone())]);
    }
}

#[tokio::test]
async fn row_h31_who_may_view_never_gets_the_token_of_who_may_edit() {
    let scene = PowerBi::default().embed("desk", &report_with(&format!("access_level: edit, {RLS}")));
    let stage = scene.warm().await;
    let edit = stage.renew_of("desk", "v-1", "emea").await.token();
    let view = stage.renew("v-1", "emea").await.token();
    assert!(opened(&edit).contains(r#""edit":true"#) && opened(&view).contains(r#""edit":false"#));
    assert_eq!(stage.renew("v-1", "emea").await.token(), view);
    let reports: Vec<Value> = bodies(&stage).into_iter().map(|body| body["reports"][0].clone()).collect();
    assert_eq!(reports, [json!({"id": secured().report, "allowEdit": true}), json!({"id": secured().report})]);
}

#[tokio::test]
async fn row_h32_letter_case_and_unicode_form_are_kept_apart() {
    let stage = PowerBi::default().warm().await;
    // The last two look the same: a composed letter, and a letter with a combining accent.
    let names = ["Alice", "alice", "ALICE", "Zo\u{eb}", "Zoe\u{308}"];
    let mut tokens = BTreeSet::new();
    for name in names {
        tokens.insert(stage.renew("v-1", name).await.token());
    }
    assert_eq!((tokens.len(), calls(&stage)), (5, (0, 1, 5)));
    let sent: Vec<Value> = bodies(&stage).into_iter().map(|body| body["identities"][0]["username"].clone()).collect();
    assert_eq!(sent, names);
}

/// Two embeds whose lives differ do not share tokens, though all else is the same.
#[tokio::test]
async fn another_lifetime_is_another_token() {
    let stage = PowerBi::default().embed("short", &report_with(&format!("lifetime: 20m, {RLS}"))).warm().await;
    assert!(stage.renew("v-1", "emea").await.expires_in() > 3500);
    assert!(stage.renew_of("short", "v-1", "emea").await.expires_in() <= 1200);
    assert!(stage.renew("v-1", "emea").await.expires_in() > 3500);
    assert_eq!(calls(&stage).2, 2);
}

#[tokio::test]
async fn row_h34_a_viewer_that_the_vendor_could_not_take_reaches_nobody() {
    let stage = PowerBi::default().sales(VIEWERS_ROLES).warm().await;
    let ask = async |viewer: Value| stage.post("sales", &json!({"viewer": viewer, "purpose": "renew"})).await;
    let many: Vec<String> = (0..51).map(|number| format!("r{number}")).collect();
    for (viewer, says) in [
        (json!({"id": "v-1", "value": "u".repeat(257), "roles": ["Customer"]}), "256"),
        (json!({"id": "v-1", "value": "emea", "roles": many}), "50"),
        (json!({"id": "v-1", "value": "emea", "roles": ["Customer,Manager"]}), "allowed_roles"),
        (json!({"id": "v-1", "value": "emea", "roles": ["R".repeat(51)]}), "allowed_roles"),
        (json!({"id": "v-1", "value": "emea", "roles": ["Owner"]}), "allowed_roles"),
        (json!({"id": "v-1", "value": "emea"}), "viewer.roles is empty"),
        (json!({"id": "v-1", "roles": ["Customer"]}), "viewer.value is missing"),
        (json!({"id": "v-1", "value": "", "roles": ["Customer"]}), "viewer.value is missing"),
        (json!({"id": "", "value": "emea", "roles": ["Customer"]}), "viewer.id is empty"),
        (json!({"id": "v\u{7}", "value": "emea", "roles": ["Customer"]}), "control character"),
    ] {
        let reply = ask(viewer.clone()).await;
        assert_eq!(reply.refusal(), (422, "invalid_viewer".to_owned()), "{viewer}: {}", reply.text());
        assert!(reply.detail().contains(says), "{viewer}: {}", reply.detail());
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
    // The longest that it does take: characters count, not bytes.
    let widest = json!({"id": "v-1", "value": "\u{eb}".repeat(256), "roles": ["Customer"]});
    ask(widest).await.token();
}

/// What Databricks joins its claim with, and an e-mail address, mean nothing to Power BI.
#[tokio::test]
async fn the_rules_of_databricks_are_not_those_of_power_bi() {
    let stage = PowerBi::default().sales("rls: {username: viewer.id, roles: [Customer]}").warm().await;
    for id in ["someone@example.com", "domain|user", "a:b"] {
        stage.renew(id, "").await.token();
    }
    let sent: Vec<Value> = bodies(&stage).into_iter().map(|body| body["identities"][0]["username"].clone()).collect();
    assert_eq!(sent, ["someone@example.com", "domain|user", "a:b"]);
}
