//! How long tokens live: an embed token ends with the Entra token that it was got with.

use serde_json::{Value, json};
use sidemint::emulator::{Emulator, Fault, Operation};

use super::scene::{PowerBi, RLS, bodies, calls, requests};
use crate::support::{Client, Reply, Stage, joined, ms, until};

/// The next Entra token lives so long; all later ones as usual.
fn next_service_token_lives(vendor: &Emulator, seconds: u64) {
    let fault = Fault { operation: "entra_token".into(), token_life: Some(seconds), ..Fault::default() };
    vendor.inject(fault.times(1));
}

async fn with_first_service_token(scene: PowerBi, seconds: u64) -> Stage {
    let vendor = scene.vendor().await;
    // The vendor's first key takes a while, and is not to take it from the life of the token.
    let keys = format!("/{}/discovery/v2.0/keys", vendor.entra().tenant_id);
    assert_eq!(Client::new().get(vendor.addr(), &keys, &[]).await.status, 200);
    next_service_token_lives(&vendor, seconds);
    scene.beside(vendor).await.warmed().await
}

async fn with_min_ttl(stage: &Stage, viewer: &str, min_ttl: &str) -> Reply {
    let body = json!({"viewer": {"id": viewer, "value": "emea"}, "purpose": "renew", "min_ttl": min_ttl});
    stage.post("sales", &body).await
}

/// Waits until Entra's token has less left than these seconds. It has had more: a token that is too short from the start
/// is the best that the vendor has, and is not asked for again at once.
async fn service_token_has_less_than(stage: &Stage, seconds: f64) {
    let series = r#"sidemint_service_token_expiry_timestamp_seconds{upstream="acme"}"#;
    let expiry = stage.metric(series).await.expect("there is a service token");
    let left = || expiry - jiff::Timestamp::now().as_duration().as_secs_f64();
    until("the service token is old", async || left() < seconds).await;
}

#[tokio::test]
async fn row_h6_an_old_service_token_is_renewed_before_anything_is_minted_with_it() {
    let stage = with_first_service_token(PowerBi::default(), 1802).await;
    assert!((1780..=1802).contains(&stage.renew("v-1", "emea").await.expires_in()));
    assert_eq!(calls(&stage), (0, 1, 1));
    // Less than the 30 minutes of service_token_min_life.
    service_token_has_less_than(&stage, 1799.9).await;
    stage.vendor.clear_journal();
    assert!(stage.renew("v-2", "emea").await.expires_in() > 3500);
    assert_eq!(stage.operations(), ["entra_token", "generate_token"]);
    // The first viewer's token is good for more than min_ttl, and stays.
    assert!(stage.renew("v-1", "emea").await.expires_in() <= 1802);
    assert_eq!(calls(&stage), (1, 0, 1));
}

#[tokio::test]
async fn row_h7_with_no_such_floor_the_token_ends_with_the_old_one() {
    let scene = PowerBi::default().upstream("service_token_min_life: 0s");
    let stage = with_first_service_token(scene, 1500).await;
    assert!((1400..=1500).contains(&stage.renew("v-1", "emea").await.expires_in()));
    assert!((1400..=1500).contains(&stage.renew("v-2", "emea").await.expires_in()));
    assert_eq!(calls(&stage), (0, 1, 2));
}

/// With any floor, what is minted has to live for `min_ttl`, and besides for as long as the mint may take and five
/// seconds more.
#[tokio::test]
async fn a_parent_that_cannot_give_min_ttl_is_renewed_whatever_the_floor() {
    let scene = PowerBi::default().upstream("service_token_min_life: 0s, timeouts: {request: 1s}");
    let stage = with_first_service_token(scene.sales(&format!("min_ttl: 20m, {RLS}")), 1208).await;
    service_token_has_less_than(&stage, 1205.9).await;
    assert!(stage.renew("v-1", "emea").await.expires_in() > 3500);
    assert_eq!(calls(&stage), (1, 1, 1));
}

#[tokio::test]
async fn min_ttl_of_one_ask_renews_the_parent_too() {
    let scene = PowerBi::default().upstream("timeouts: {request: 1s}");
    let stage = with_first_service_token(scene, 2408).await;
    let short = Fault { operation: "generate_token".into(), token_life: Some(1000), ..Fault::default() };
    stage.vendor.inject(short.times(1));
    assert!((905..=1000).contains(&stage.renew("v-1", "emea").await.expires_in()));
    service_token_has_less_than(&stage, 2405.9).await;
    stage.vendor.clear_journal();
    let raised = with_min_ttl(&stage, "v-1", "40m").await;
    assert!(raised.expires_in() > 3500, "{}", raised.text());
    assert_eq!(stage.operations(), ["entra_token", "generate_token"]);
    assert_eq!(with_min_ttl(&stage, "v-1", "40m").await.token(), raised.token());
    assert_eq!(with_min_ttl(&stage, "v-1", "1s").await.token(), raised.token(), "it only raises");
    assert_eq!(calls(&stage), (1, 0, 1));
}

/// More than the vendor has: the reply is truthful, and a caller's loop is none at the vendor.
#[tokio::test]
async fn more_than_the_vendor_has_is_no_loop() {
    let stage = PowerBi::default().warm().await;
    stage.renew("v-1", "emea").await.token();
    stage.vendor.clear_journal();
    for _ in 0..10 {
        let reply = with_min_ttl(&stage, "v-1", "2h").await;
        assert!((3500..=3600).contains(&reply.expires_in()), "{}", reply.text());
    }
    let (tokens, look_ups, mints) = calls(&stage);
    assert!(tokens <= 1 && look_ups == 0 && mints <= 1, "{:?}", stage.operations());
}

#[tokio::test]
async fn row_h8_a_long_life_is_taken_as_it_is() {
    let scene = PowerBi::default();
    let vendor = scene.vendor().await;
    vendor.set_entra_token_life(std::time::Duration::from_secs(5399));
    let stage = scene.beside(vendor).await;
    assert!((5300..=5399).contains(&stage.renew("v-1", "emea").await.expires_in()));
    assert_eq!(calls(&stage), (1, 1, 1));
}

#[tokio::test]
async fn row_h9_a_life_written_as_text_is_read() {
    let scene = PowerBi::default();
    let vendor = scene.vendor().await;
    vendor.inject(Fault { operation: "entra_token".into(), expires_in: Some("3599".into()), ..Fault::default() });
    let stage = scene.beside(vendor).await;
    assert!(stage.renew("v-1", "emea").await.expires_in() > 3500);
}

#[tokio::test]
async fn row_h10_a_life_below_every_floor_is_served_with_a_warning_and_without_a_loop() {
    let scene = PowerBi::default();
    let vendor = scene.vendor().await;
    vendor.set_entra_token_life(std::time::Duration::from_secs(299));
    let stage = scene.beside(vendor).await;
    for number in 0..20 {
        let reply = stage.renew(&format!("v-{}", number % 2), "emea").await;
        assert!((250..=299).contains(&reply.expires_in()));
        assert!(reply.json()["refresh_in"].as_i64().is_some_and(|after| (100..=150).contains(&after)));
    }
    assert_eq!(calls(&stage), (1, 1, 2));
    let warnings = r#"sidemint_viewer_token_warnings_total{embed="sales",reason="short_lived"}"#;
    assert_eq!(stage.metric(warnings).await, Some(2.0));
}

/// A managed identity's token lives for a day; the cap of the config keeps embed tokens to an hour.
#[tokio::test]
async fn row_h24_a_lifetime_caps_what_a_long_service_token_would_give() {
    let scene = PowerBi::default().auth("{managed_identity: true}").sales(&format!("lifetime: 60m, {RLS}"));
    let scene = scene.embed("day", &format!("report_id: {}, {RLS}", super::scene::secured().report));
    let vendor = scene.vendor().await;
    let (host, header) = (vendor.url(), vendor.entra().identity_header.clone());
    let scene = scene.variable("IDENTITY_ENDPOINT", &format!("{host}/msi/token")).variable("IDENTITY_HEADER", &header);
    let stage = scene.beside(vendor).await;
    let reply = stage.renew("v-1", "emea").await;
    assert!((3500..=3600).contains(&reply.expires_in()), "{}", reply.text());
    assert_eq!(bodies(&stage)[0]["lifetimeInMinutes"], 60);
    assert_eq!(stage.vendor.count(Operation::ManagedIdentity), 1);
    // Without the cap it is a day.
    assert!(stage.renew_of("day", "v-1", "emea").await.expires_in() > 86_000);
    assert_eq!(bodies(&stage)[1]["lifetimeInMinutes"], Value::Null);
}

#[tokio::test]
async fn row_h25_ten_minutes_are_ten_minutes_in_one_flight() {
    let stage = PowerBi::default().sales(&format!("lifetime: 10m, {RLS}")).warm().await;
    let replies = joined((0..20).map(|_| stage.renew("v-1", "emea"))).await;
    for reply in &replies {
        assert!((560..=600).contains(&reply.expires_in()), "{}", reply.text());
        assert_eq!(reply.token(), replies[0].token());
    }
    assert_eq!(bodies(&stage)[0]["lifetimeInMinutes"], 10);
    // Below the usual floor of 15 minutes, and yet a hit: the floor of this embed is half of the life.
    assert_eq!(stage.renew("v-1", "emea").await.cache(), "hit");
    assert_eq!(calls(&stage), (0, 1, 1));
}

#[tokio::test]
async fn row_h26_a_lifetime_of_nothing_is_left_out() {
    let stage = PowerBi::default().sales(&format!("lifetime: 0s, {RLS}")).warm().await;
    assert!(stage.renew("v-1", "emea").await.expires_in() > 3500);
    assert_eq!(bodies(&stage)[0].get("lifetimeInMinutes"), None);
}

/// Half of what is wanted is not handed out: below `min_ttl` it is minted anew.
#[tokio::test]
async fn row_h5_a_token_below_min_ttl_is_replaced() {
    let stage = PowerBi::default().warm().await;
    let fault = Fault { operation: "generate_token".into(), token_life: Some(901), ..Fault::default() };
    stage.vendor.inject(fault.times(1));
    let first = stage.renew("v-1", "emea").await;
    assert!((899..=901).contains(&first.expires_in()));
    until("the token is below min_ttl", async || {
        let reply = stage.renew("v-1", "emea").await;
        assert!(reply.expires_in() >= 900, "{}", reply.text());
        reply.token() != first.token()
    })
    .await;
    assert_eq!(calls(&stage), (0, 1, 2));
    // Both were minted with the same service token: it had not changed.
    let credentials: Vec<_> =
        requests(&stage, Operation::GenerateToken).into_iter().map(|entry| entry.credential).collect();
    assert_eq!(credentials[0], credentials[1]);
    let times: Vec<_> = requests(&stage, Operation::GenerateToken).iter().map(|entry| entry.at).collect();
    assert!(times[1] - times[0] < ms(3000));
}
