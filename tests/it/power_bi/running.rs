//! While it runs: loads, a new config, and what operators see.

use serde_json::json;

use super::scene::{PowerBi, calls, opened, plain, secured};
use crate::support::{Stage, joined};

const STARTED: &str = r#"sidemint_loads_started_total{upstream="acme"}"#;

async fn loads(stage: &Stage, count: usize) -> Vec<u16> {
    let viewers: Vec<String> = (0..count).map(|number| format!("v-{number}")).collect();
    joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await.iter().for_each(|reply| drop(reply.token()));
    joined(viewers.iter().map(async |viewer| stage.load(viewer, "emea").await.status.as_u16())).await
}

#[tokio::test]
async fn loads_are_not_limited_unless_the_config_says_so() {
    let stage = PowerBi::default().warm().await;
    let begin = std::time::Instant::now();
    assert_eq!(loads(&stage, 60).await, [200; 60]);
    assert!(begin.elapsed() < crate::support::ms(6000), "nobody waited");
    assert!(stage.metric(STARTED).await.is_none_or(|count| count == 0.0));
    // One viewer who opens many pages at once is not held up either.
    assert_eq!(joined((0..20).map(async |_| stage.load("v-1", "emea").await.status)).await, [200; 20]);
}

#[tokio::test]
async fn loads_are_limited_where_the_config_says_so() {
    let stage = PowerBi::default().upstream("load_limit: {per_second: 3, max_wait: 0s, window: 30s}").warm().await;
    let mut statuses = loads(&stage, 8).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429, 429, 429]);
    assert_eq!(stage.metric(STARTED).await, Some(3.0));
    assert_eq!(stage.load("v-9", "emea").await.refusal(), (429, "load_limited".to_owned()));
    stage.renew("v-9", "emea").await.token();
}

async fn reload(stage: &Stage, scene: &PowerBi) {
    let text = scene.yaml(&stage.vendor);
    let config = stage.parsed(&text);
    stage.app.reload(config).await.expect("the new config is taken");
}

#[tokio::test]
async fn a_new_rls_is_a_new_token_and_the_service_token_is_kept() {
    let open = format!("report_id: {}", plain().report);
    let scene = PowerBi::default().embed("open", &open);
    let stage = scene.clone().start().await;
    let before = stage.renew("v-1", "emea").await.token();
    let kept = stage.renew_of("open", "v-1", "emea").await.token();
    stage.vendor.clear_journal();
    let changed = scene.sales("rls: {username: viewer.value, roles: [Manager]}").embed("open", &open);
    reload(&stage, &changed).await;
    let after = stage.renew("v-1", "emea").await.token();
    assert!(opened(&before).contains(r#"["Customer"]"#) && opened(&after).contains(r#"["Manager"]"#));
    assert_eq!(stage.renew_of("open", "v-1", "emea").await.token(), kept, "what has not changed is kept");
    assert_eq!(calls(&stage), (0, 1, 1));
    // And back: the old tokens are not brought up again.
    reload(&stage, &PowerBi::default().embed("open", &open)).await;
    assert_ne!(stage.renew("v-1", "emea").await.token(), before);
}

/// Each key that is minted into a token makes tokens of its own when it changes.
#[tokio::test]
async fn every_change_of_what_is_minted_takes_effect_at_once() {
    let rls = "rls: {username: viewer.value, roles: [Customer]}";
    let stage = PowerBi::default().start().await;
    let mut seen = vec![stage.renew("v-1", "emea").await.token()];
    let profile = &sidemint::emulator::PowerBiSettings::default().profiles[0];
    for keys in [
        format!("{rls}, access_level: edit"),
        format!("{rls}, allow_save_as: true"),
        format!("{rls}, lifetime: 30m"),
        format!("{rls}, profile_id: {profile}"),
        format!("{rls}, xmla_read_only: true"),
        format!("{rls}, dataset_ids: [{}, {}]", secured().dataset, plain().dataset)
            .replace("roles: [Customer]", &format!("roles: [Customer], datasets: [{}]", secured().dataset)),
        "rls: {username: viewer.id, roles: [Customer]}".to_owned(),
        "rls: {username: viewer.value, roles: [Customer], custom_data: viewer.id}".to_owned(),
    ] {
        reload(&stage, &PowerBi::default().sales(&keys)).await;
        let token = stage.renew("v-1", "emea").await.token();
        assert!(!seen.contains(&token), "{keys}");
        seen.push(token);
    }
    assert_eq!(calls(&stage).2, 9);
}

#[tokio::test]
async fn the_metrics_have_the_words_of_the_contract() {
    let stage = PowerBi::default().start().await;
    stage.renew("v-1", "emea").await.token();
    for operation in ["service_token", "token_info", "mint"] {
        let series =
            format!(r#"sidemint_upstream_requests_total{{operation="{operation}",outcome="ok",upstream="acme"}}"#);
        assert_eq!(stage.metric(&series).await, Some(1.0), "{series}");
    }
    assert_eq!(stage.metric(r#"sidemint_viewer_tokens{upstream="acme"}"#).await, Some(1.0));
    let expiry = stage.metric(r#"sidemint_service_token_expiry_timestamp_seconds{upstream="acme"}"#).await;
    let left = expiry.expect("a gauge") - jiff::Timestamp::now().as_duration().as_secs_f64();
    assert!((3500.0..3601.0).contains(&left), "{left}");
    let status = stage.client.get(stage.app.admin(), "/status", &[("accept", "application/json")]).await.json();
    assert_eq!(status["upstreams"][0]["name"], json!("acme"));
}
