//! What Kubernetes, Prometheus and people see on the admin port.

use std::time::Duration;

use sidemint::emulator::Fault;

use crate::support::{Setup, Stage, emulator, until, within};

#[tokio::test]
async fn a_start_is_over_with_the_first_service_token() {
    let vendor = emulator().await;
    vendor.inject(Fault { operation: "service_token".into(), delay_ms: Some(500), ..Fault::default() });
    let stage = Setup::default().beside(vendor).await;
    assert_eq!(stage.admin("/livez").await.status, 200);
    assert_eq!(stage.admin("/startupz").await.status, 503);
    assert_eq!(stage.admin("/readyz").await.status, 503);
    until("the start is over", async || stage.admin("/startupz").await.status == 200).await;
    assert!(!stage.admin("/startupz").await.text().contains("degraded"));
    assert_eq!(stage.admin("/readyz").await.status, 200);
}

#[tokio::test]
async fn an_outage_at_the_start_is_waited_out_for_ten_seconds_then_the_start_is_degraded() {
    let vendor = emulator().await;
    let outage = vendor.inject(Fault::status("*", 503));
    let stage = Setup::default().beside(vendor).await;
    let begin = std::time::Instant::now();
    assert_eq!(stage.admin("/startupz").await.status, 503);
    within(Duration::from_secs(14), "the start is over", async || stage.admin("/startupz").await.status == 200).await;
    assert!(begin.elapsed() >= Duration::from_millis(9500), "{:?}", begin.elapsed());
    let startup = stage.admin("/startupz").await;
    assert!(startup.text().contains("degraded"), "{}", startup.text());
    // It never got a token, so it cannot answer; that changes as soon as the vendor is back, without an ask.
    assert_eq!(stage.admin("/readyz").await.status, 503);
    stage.vendor.remove_fault(outage);
    within(Duration::from_secs(20), "ready", async || stage.admin("/readyz").await.status == 200).await;
    assert!(!stage.admin("/startupz").await.text().contains("degraded"));
}

#[tokio::test]
async fn an_outage_with_a_token_in_hand_changes_no_probe() {
    let stage = Stage::warm().await;
    assert_eq!(stage.admin("/startupz").await.status, 200);
    stage.vendor.inject(Fault { reset: true, ..Fault::default() });
    let reply = stage.renew("v-1", "emea").await;
    assert_eq!(reply.refusal(), (503, "upstream_unavailable".to_owned()));
    for probe in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(stage.admin(probe).await.status, 200, "{probe}");
    }
}

#[tokio::test]
async fn a_drain_takes_away_readiness_and_finishes_what_is_in_flight() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { operation: "mint".into(), delay_ms: Some(800), ..Fault::default() });
    let scene = async {
        until("the mint is in the air", async || stage.vendor.count(sidemint::emulator::Operation::Mint) == 1).await;
        stage.app.tasks().stop().begin();
        stage.app.run().await;
    };
    let (reply, ()) = tokio::join!(stage.renew("v-1", "emea"), scene);
    reply.token();
}

#[tokio::test]
async fn every_metric_of_the_contract_is_there() {
    let vendor = emulator().await;
    let (path, _folder) = crate::support::file_with(&vendor.databricks().client_secret);
    let setup = Setup::default().secret_file(&vendor, &path);
    let stage = setup.beside(vendor).await.warmed().await;
    stage.load("v-1", "emea").await.token();
    stage.renew("v-1", "emea").await.token();
    stage.send("GET", "/nowhere", &[], "").await;
    std::fs::write(&path, "another").unwrap();
    stage.metric_reaches(r#"sidemint_secret_reloads_total{outcome="ok",secret="upstreams.acme.auth"}"#, 1.0).await;
    let now = jiff::Timestamp::now().as_second() as f64;
    let version = format!(r#"sidemint_build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION"));
    for (series, least, most) in [
        (version.as_str(), 1.0, 1.0),
        (r#"sidemint_embed_requests_total{embed="sales",outcome="hit"}"#, 1.0, 1.0),
        (r#"sidemint_embed_requests_total{embed="sales",outcome="miss"}"#, 1.0, 1.0),
        (r#"sidemint_embed_requests_total{embed="sales",outcome="coalesced"}"#, 0.0, 0.0),
        (r#"sidemint_embed_requests_total{embed="sales",outcome="stale"}"#, 0.0, 0.0),
        (r#"sidemint_embed_requests_total{embed="sales",outcome="limited"}"#, 0.0, 0.0),
        (r#"sidemint_embed_requests_total{embed="sales",outcome="refused"}"#, 0.0, 0.0),
        (r#"sidemint_embed_requests_total{embed="sales",outcome="error"}"#, 0.0, 0.0),
        (r#"sidemint_embed_request_duration_seconds_count{embed="sales",outcome="hit"}"#, 1.0, 1.0),
        (r#"sidemint_upstream_requests_total{operation="service_token",outcome="ok",upstream="acme"}"#, 1.0, 1.0),
        (r#"sidemint_upstream_requests_total{operation="token_info",outcome="ok",upstream="acme"}"#, 1.0, 1.0),
        (r#"sidemint_upstream_requests_total{operation="mint",outcome="ok",upstream="acme"}"#, 1.0, 1.0),
        (r#"sidemint_upstream_requests_total{operation="mint",outcome="connect",upstream="acme"}"#, 0.0, 0.0),
        (r#"sidemint_upstream_request_duration_seconds_count{operation="mint",upstream="acme"}"#, 1.0, 1.0),
        (r#"sidemint_service_token_expiry_timestamp_seconds{upstream="acme"}"#, now + 3500.0, now + 3601.0),
        (r#"sidemint_service_token_last_success_timestamp_seconds{upstream="acme"}"#, now - 30.0, now + 1.0),
        (r#"sidemint_service_token_refreshes_total{outcome="ok",upstream="acme"}"#, 1.0, 1.0),
        (r#"sidemint_viewer_tokens{upstream="acme"}"#, 1.0, 1.0),
        (r#"sidemint_viewer_token_bytes{upstream="acme"}"#, 1000.0, 10_000.0),
        (r#"sidemint_viewer_token_warnings_total{embed="sales",reason="short_lived"}"#, 0.0, 0.0),
        (r#"sidemint_loads_started_total{upstream="acme"}"#, 1.0, 1.0),
        (r#"sidemint_loads_rejected_total{reason="load_limited",upstream="acme"}"#, 0.0, 0.0),
        (r#"sidemint_loads_waiting{upstream="acme"}"#, 0.0, 0.0),
        (r#"sidemint_load_wait_seconds_count{upstream="acme"}"#, 1.0, 1.0),
        (r#"sidemint_refused_requests_total{code="missing_request_header"}"#, 1.0, 1.0),
        ("process_open_fds", 1.0, 100_000.0),
    ] {
        let value = stage.metric(series).await.unwrap_or_else(|| panic!("{series} is not there"));
        assert!((least..=most).contains(&value), "{series} is {value}");
    }
}

/// However many viewers, paths and hosts come, the number of series is that of the config.
#[tokio::test]
async fn t34_t42_rank_33_series_are_bounded_by_the_config() {
    let stage = Stage::warm().await;
    let noise = async |name: &str| {
        stage.renew(name, name).await;
        stage.renew(&format!("{name}:"), name).await;
        stage.send("GET", &format!("/{name}"), &[("sidemint-request", "true")], "").await;
        stage.send("GET", "/", &[("host", name)], "").await;
        stage.send("GET", "/v1/embeds/sales/token", &[("sidemint-request", name)], "").await;
        stage.renew_of(name, "v", "e").await;
        stage.renew(name, name).await;
    };
    noise("first").await;
    let count = async || stage.admin("/metrics").await.text().lines().filter(|line| !line.starts_with('#')).count();
    let before = count().await;
    for number in 0..50 {
        noise(&format!("noise-{number}")).await;
    }
    assert_eq!(count().await, before);
    assert!(!stage.admin("/metrics").await.text().contains("noise"));
}
