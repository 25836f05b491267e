//! Which calls the vendor sees, and which it does not.

use serde_json::json;
use sidemint::emulator::{Fault, Operation};

use crate::support::{DASHBOARD, ORDERS, Setup, Stage, claim, emulator, joined};

#[tokio::test]
async fn row_01_a_first_token_takes_three_calls() {
    let stage = Stage::new().await;
    let reply = stage.renew("v-1", "emea").await;
    assert_eq!(claim(&reply.token()), format!("urn:aibi:external_data:emea:v-1:{DASHBOARD}"));
    assert_eq!(stage.operations(), ["service_token", "token_info", "mint"]);
    let journal = stage.vendor.journal();
    let [service, info, mint] = &journal[..] else { panic!("three calls") };
    assert_eq!((service.method.as_str(), service.path.as_str()), ("POST", "/oidc/v1/token"));
    assert_eq!(service.auth_scheme.as_deref(), Some("basic"));
    let form: Vec<(&str, &str)> = service.form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(form, [("grant_type", "client_credentials"), ("scope", "all-apis")]);
    assert_eq!((info.method.as_str(), info.auth_scheme.as_deref()), ("GET", Some("bearer")));
    assert_eq!(info.path, format!("/api/2.0/lakeview/dashboards/{DASHBOARD}/published/tokeninfo"));
    assert_eq!(info.query.len(), 2, "{:?}", info.query);
    assert_eq!((mint.method.as_str(), mint.auth_scheme.as_deref()), ("POST", Some("basic")));
    for field in ["grant_type", "authorization_details", "custom_claim", "scope"] {
        assert!(mint.form.contains_key(field), "{field} is not in {:?}", mint.form.keys());
    }
    assert_eq!(mint.notes, Vec::<String>::new());
}

#[tokio::test]
async fn row_02_a_second_viewer_takes_two_calls() {
    let stage = Stage::new().await;
    stage.renew("v-1", "emea").await.token();
    stage.vendor.clear_journal();
    stage.renew("v-2", "emea").await.token();
    assert_eq!(stage.operations(), ["token_info", "mint"]);
}

#[tokio::test]
async fn row_03_the_same_ask_takes_no_call_and_its_life_counts_down() {
    let stage = Stage::new().await;
    let first = stage.renew("v-1", "emea").await;
    assert_eq!(first.cache(), "miss");
    stage.vendor.clear_journal();
    let second = stage.renew("v-1", "emea").await;
    assert_eq!((second.token(), second.cache().as_str()), (first.token(), "hit"));
    assert_eq!(second.json()["expires_at"], first.json()["expires_at"]);
    crate::support::until("a second has gone from its life", async || {
        let reply = stage.renew("v-1", "emea").await;
        assert_eq!(reply.token(), first.token());
        reply.expires_in() < first.expires_in()
    })
    .await;
    assert_eq!(stage.operations(), Vec::<&str>::new());
    assert!(stage.outcomes("hit").await >= 2.0);
}

#[tokio::test]
async fn rows_04_and_05_another_value_or_dashboard_is_another_token() {
    let stage = Stage::warm().await;
    let emea = stage.renew("v-1", "emea").await.token();
    let apac = stage.renew("v-1", "apac").await.token();
    let none = stage.post("sales", &json!({"viewer": {"id": "v-1"}, "purpose": "renew"})).await.token();
    let orders = stage.renew_of("orders", "v-1", "emea").await.token();
    assert_eq!(stage.counts(), (0, 4, 4));
    for (token, says) in [
        (&emea, format!("emea:v-1:{DASHBOARD}")),
        (&apac, format!("apac:v-1:{DASHBOARD}")),
        (&none, format!(":v-1:{DASHBOARD}")),
        (&orders, format!("emea:v-1:{ORDERS}")),
    ] {
        assert_eq!(claim(token), format!("urn:aibi:external_data:{says}"));
    }
    assert_eq!(stage.renew("v-1", "emea").await.token(), emea);
    assert_eq!(stage.renew_of("orders", "v-1", "emea").await.token(), orders);
}

/// Roles and attributes are minted into no Databricks token, but an ask with others is another ask all the same.
#[tokio::test]
async fn keys_are_structural_and_roles_are_a_set() {
    let stage = Stage::warm().await;
    let token = async |viewer| stage.post("sales", &json!({"viewer": viewer, "purpose": "renew"})).await.token();
    let plain = token(json!({"id": "v-1", "value": "emea"})).await;
    let roles = token(json!({"id": "v-1", "value": "emea", "roles": ["a", "b"]})).await;
    let turned = token(json!({"id": "v-1", "value": "emea", "roles": ["b", "a", "b"]})).await;
    let attributes = token(json!({"id": "v-1", "value": "emea", "attributes": {"a": "b"}})).await;
    let shifted = token(json!({"id": "v-1e", "value": "mea"})).await;
    let spaced = token(json!({"id": "v-1 ", "value": "emea"})).await;
    let upper = token(json!({"id": "V-1", "value": "emea"})).await;
    assert_eq!(roles, turned);
    let all = [plain, roles, attributes, shifted, spaced, upper];
    let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

#[tokio::test]
async fn row_06_another_workspace_is_another_entry_with_its_own_credential() {
    let (one, other) = (emulator().await, emulator().await);
    let setup = Setup::default();
    let id = &other.databricks().client_id;
    let url = other.url();
    let mut text = setup.yaml(&one);
    let upstream = format!(
        "upstreams:\n  other: {{kind: databricks, host: '{url}', auth: {{client_id: {id}, client_secret_env: SECRET}}}}\n"
    );
    text = text.replace("upstreams:\n", &upstream);
    text.push_str(&format!("  theirs: {{upstream: other, dashboard_id: {DASHBOARD}}}\n"));
    let stage = setup.with_text(one, &text).await;
    let ours = stage.renew("v-1", "emea").await.token();
    let theirs = stage.renew_of("theirs", "v-1", "emea").await.token();
    assert_ne!(ours, theirs);
    assert_eq!(stage.operations(), ["service_token", "token_info", "mint"]);
    let seen: Vec<_> = other.journal().iter().map(|entry| entry.operation).collect();
    assert_eq!(seen, [Operation::ServiceToken, Operation::TokenInfo, Operation::Mint]);
    // Each workspace was called with its own service token.
    let bearer = |entries: Vec<sidemint::emulator::JournalEntry>| entries[1].credential.clone();
    assert_ne!(bearer(stage.vendor.journal()), bearer(other.journal()));
    assert_eq!(stage.renew("v-1", "emea").await.token(), ours);
}

#[tokio::test]
async fn row_07_a_hundred_at_once_for_one_key_take_three_calls() {
    hundredfold(100).await;
}

#[tokio::test]
async fn rank_07_a_thousand_at_once_for_one_key_take_one_mint() {
    hundredfold(1000).await;
}

async fn hundredfold(callers: usize) {
    let stage = Stage::new().await;
    // Slow enough that all are there before the answer is.
    stage.vendor.inject(Fault { operation: "mint".into(), delay_ms: Some(700), ..Fault::default() });
    let replies = joined((0..callers).map(|_| stage.renew("v-1", "emea"))).await;
    let tokens: std::collections::BTreeSet<String> = replies.iter().map(|reply| reply.token()).collect();
    assert_eq!((tokens.len(), replies.len()), (1, callers));
    assert_eq!(stage.counts(), (1, 1, 1));
    assert_eq!(stage.outcomes("miss").await, 1.0);
    assert_eq!(stage.outcomes("coalesced").await + stage.outcomes("hit").await + 1.0, callers as f64);
    assert!(replies.iter().all(|reply| reply.header("cache-control") == Some("no-store")));
}

#[tokio::test]
async fn row_08_a_hundred_keys_at_once_share_one_service_token_and_few_connections() {
    let stage = Stage::new().await;
    stage.vendor.inject(Fault { delay_ms: Some(60), ..Fault::default() });
    let viewers: Vec<String> = (0..100).map(|number| format!("v-{number}")).collect();
    let replies = joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await;
    for (viewer, reply) in viewers.iter().zip(&replies) {
        assert_eq!(claim(&reply.token()), format!("urn:aibi:external_data:emea:{viewer}:{DASHBOARD}"));
    }
    assert_eq!(stage.counts(), (1, 100, 100));
    let most = most_at_once(&stage);
    assert!((2..=32).contains(&most), "{most} calls in the air at once");
}

/// The most requests that the vendor had in hand at one time.
fn most_at_once(stage: &Stage) -> usize {
    let journal = stage.vendor.journal();
    let spans: Vec<_> = journal
        .iter()
        .map(|entry| {
            let took = std::time::Duration::from_secs_f64(entry.took_ms.expect("all are answered") / 1e3);
            (entry.at, entry.at + took)
        })
        .collect();
    let at = |instant| spans.iter().filter(|(begin, end)| *begin <= instant && instant < *end).count();
    spans.iter().map(|(begin, _)| at(*begin)).max().unwrap_or_default()
}
