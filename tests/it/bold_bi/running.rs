//! While it runs: probes, metrics, what operators see, loads.

use serde_json::json;
use sidemint::emulator::Fault;

use super::scene::{BoldBi, READER, VIEWER, calls};
use crate::support::{Stage, joined};

async fn status(stage: &Stage) -> serde_json::Value {
    stage.client.get(stage.app.admin(), "/status", &[("accept", "application/json")]).await.json()
}

/// There is no service token to wait for, so nothing of the vendor has to be there.
#[tokio::test]
async fn a_start_needs_nothing_of_the_vendor() {
    for outage in [None, Some(Fault::status("*", 503)), Some(Fault { hang: true, ..Fault::default() })] {
        let scene = BoldBi::default();
        let vendor = scene.vendor().await;
        outage.map(|fault| vendor.inject(fault));
        let stage = scene.beside(vendor).await;
        for probe in ["/startupz", "/readyz", "/livez"] {
            let reply = stage.admin(probe).await;
            assert_eq!(reply.status, 200, "{probe}");
            assert!(!reply.text().contains("degraded"), "{probe}: {}", reply.text());
        }
        let upstream = &status(&stage).await["upstreams"][0];
        assert_eq!((&upstream["kind"], &upstream["service_token"]), (&json!("boldbi"), &json!("none needed")));
        assert!(stage.admin("/status").await.text().contains("none needed"));
        assert_eq!(calls(&stage), 0);
    }
}

#[tokio::test]
async fn the_metrics_have_the_words_of_the_contract() {
    let stage = BoldBi::default().start().await;
    stage.renew(VIEWER, "emea").await.token();
    let series = |operation: &str| {
        format!(r#"sidemint_upstream_requests_total{{operation="{operation}",outcome="ok",upstream="acme"}}"#)
    };
    assert_eq!(stage.metric(&series("mint")).await, Some(1.0));
    for operation in ["service_token", "token_info"] {
        assert_eq!(stage.metric(&series(operation)).await.unwrap_or_default(), 0.0);
    }
    assert_eq!(stage.metric(r#"sidemint_viewer_tokens{upstream="acme"}"#).await, Some(1.0));
    let bytes = stage.metric(r#"sidemint_viewer_token_bytes{upstream="acme"}"#).await.expect("a gauge");
    let answer = stage.vendor.journal().len();
    assert!(bytes > 1_500.0 && answer == 1, "the answer is kept too: {bytes}");
}

#[tokio::test]
async fn loads_are_not_limited_unless_the_config_says_so() {
    let stage = BoldBi::default().start().await;
    stage.renew(VIEWER, "emea").await.token();
    assert_eq!(joined((0..60).map(async |_| stage.load(VIEWER, "emea").await.status)).await, [200; 60]);
    let limited = "load_limit: {per_second: 3, max_wait: 0s, window: 30s}";
    let stage = BoldBi::default().upstream(limited).start().await;
    stage.renew(READER, "emea").await.token();
    let mut statuses = joined((0..8).map(async |_| stage.load(READER, "emea").await.status.as_u16())).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429, 429, 429]);
}

/// The bare token, and the GET.
#[tokio::test]
async fn the_other_forms_of_the_ask_are_for_the_same_token() {
    let stage = BoldBi::default().start().await;
    let token = stage.renew(VIEWER, "emea").await.token();
    let headers = [("sidemint-request", "true"), ("sidemint-viewer-value", "emea"), ("accept", "text/plain")];
    let reply = stage.send("GET", "/v1/embeds/sales/token?viewer_id=viewer%40example.com", &headers, "").await;
    assert_eq!((reply.text(), reply.header("cache-control")), (token, Some("no-store")));
    assert_eq!(calls(&stage), 1);
}
