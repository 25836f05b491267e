//! A new config in place of the old one, while it runs.

use crate::support::{DASHBOARD, ORDERS, Setup, Stage, claim, emulator, file_with};

async fn reload(stage: &Stage, text: &str) -> Result<(), String> {
    stage.app.reload(stage.parsed(text)).await
}

#[tokio::test]
async fn tokens_of_what_has_not_changed_are_kept() {
    let stage = Stage::new().await;
    let sales = stage.renew("v-1", "emea").await.token();
    stage.vendor.clear_journal();
    let text = stage.setup.clone().server("max_body: 2KiB").yaml(&stage.vendor);
    let text = format!("{text}  more: {{upstream: acme, dashboard_id: {ORDERS}}}\n");
    reload(&stage, &text).await.expect("the new config is taken");
    assert_eq!(stage.renew("v-1", "emea").await.token(), sales);
    assert_eq!(stage.operations(), Vec::<&str>::new());
    stage.renew_of("more", "v-1", "emea").await.token();
    assert_eq!(stage.operations(), ["token_info", "mint"]);
    assert_eq!(stage.outcomes("miss").await, 1.0, "the counters go on");
}

#[tokio::test]
async fn an_embed_of_another_dashboard_has_tokens_of_its_own() {
    let stage = Stage::new().await;
    let before = stage.renew("v-1", "emea").await.token();
    let text = stage.setup.yaml(&stage.vendor).replace(ORDERS, "other").replace(DASHBOARD, ORDERS);
    reload(&stage, &text).await.expect("the new config is taken");
    let after = stage.renew("v-1", "emea").await.token();
    assert!(claim(&before).ends_with(DASHBOARD) && claim(&after).ends_with(ORDERS));
}

#[tokio::test]
async fn an_upstream_that_changed_starts_anew_and_the_old_one_is_left_alone() {
    let stage = Stage::new().await;
    let before = stage.renew("v-1", "emea").await.token();
    let other = emulator().await;
    let text = stage.setup.yaml(&other);
    reload(&stage, &text).await.expect("the new config is taken");
    stage.vendor.clear_journal();
    let after = stage.renew("v-1", "emea").await;
    assert_ne!(after.token(), before);
    assert_eq!(after.json()["embed"]["instance_url"], other.url());
    assert_eq!(other.journal().len(), 3);
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn an_embed_that_is_gone_is_unknown() {
    let stage = Stage::new().await;
    stage.renew_of("orders", "v-1", "emea").await.token();
    let text = stage.setup.yaml(&stage.vendor).replace("  orders:", "  renamed:");
    reload(&stage, &text).await.expect("the new config is taken");
    assert_eq!(stage.renew_of("orders", "v-1", "emea").await.refusal(), (404, "unknown_embed".to_owned()));
    stage.renew_of("renamed", "v-1", "emea").await.token();
}

#[tokio::test]
async fn a_config_that_cannot_be_used_leaves_the_old_one() {
    let stage = Stage::new().await;
    let token = stage.renew("v-1", "emea").await.token();
    let text = stage.setup.clone().secret_file(&stage.vendor, std::path::Path::new("/nowhere/secret"));
    let problem = reload(&stage, &text.yaml(&stage.vendor)).await.expect_err("the secret is not there");
    assert!(problem.contains("/nowhere/secret"), "{problem}");
    assert_eq!(stage.renew("v-1", "emea").await.token(), token);
}

/// The limit belongs to the workspace: a reload opens no new window.
#[tokio::test]
async fn a_reload_gives_no_fresh_load_limit() {
    let stage = Setup::default().upstream("load_limit: {per_second: 2, max_wait: 0s, window: 10s}").start().await;
    for viewer in ["v-1", "v-2"] {
        stage.load(viewer, "emea").await.token();
    }
    let text = stage.setup.clone().server("max_body: 2KiB").yaml(&stage.vendor);
    reload(&stage, &text).await.expect("the new config is taken");
    assert_eq!(stage.load("v-3", "emea").await.refusal(), (429, "load_limited".to_owned()));
}

/// The sockets that are open stay what they are until a restart, and so does what their callers are asked for.
#[tokio::test]
async fn t3_a_reload_opens_no_socket_wider_than_it_was() {
    let (secret, _folder) = file_with("dose-canary-caller-secret");
    let guarded = Setup::default().server(&format!("caller_token_file: {}", secret.display()));
    let stage = guarded.clone().start().await;
    let other = guarded.yaml(&stage.vendor).replace("127.0.0.1:0", "127.0.0.2:0");
    let open = Setup::default().yaml(&stage.vendor);
    for weaker in [
        open.replacen("127.0.0.1:0", "127.0.0.2:0", 1),
        open.replacen("listen: 127.0.0.1:0", "listen: ['127.0.0.1:0', 'unix:/nowhere/api.sock']", 1),
        open.replacen("listen: 127.0.0.1:0", "listen: 127.0.0.2:0, require_header: false", 1),
    ] {
        let refused = reload(&stage, &weaker).await.expect_err("sockets and proof change in two steps");
        assert!(refused.contains("restart"), "{refused}");
        assert_eq!(stage.renew("v-1", "emea").await.refusal(), (401, "caller_unauthenticated".to_owned()));
    }
    reload(&stage, &other).await.expect("sockets that come with the next start");
    assert_eq!(stage.renew("v-1", "emea").await.refusal(), (401, "caller_unauthenticated".to_owned()));
    // In two steps one may: nothing but the proof changes then.
    reload(&stage, &guarded.yaml(&stage.vendor)).await.expect("as it was");
    reload(&stage, &open).await.expect("without the secret, on the same socket");
    stage.renew("v-1", "emea").await.token();
}
