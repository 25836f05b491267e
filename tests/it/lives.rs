//! Tokens that grow old: renewal ahead, outages, and what an ask may raise.
//!
//! Lives are short by way of a high `min_ttl`: of a token of 333 s with a `min_ttl` of 320 s, 13 s are of use.

use std::time::{Duration, Instant};

use serde_json::json;
use sidemint::emulator::{DatabricksSettings, Fault, Operation};

use crate::support::{Reply, Setup, Stage, joined, let_pass, ms, until, within};

/// Longer than any life of these tests, with their time to settle.
const A_LIFE: Duration = Duration::from_secs(25);

async fn ageing(embed: &str) -> Stage {
    let vendor = Setup::vendor(DatabricksSettings::default()).await;
    let stage = Setup::default().embed(embed).beside(vendor).await.warmed().await;
    stage.vendor.set_token_life(Duration::from_secs(333));
    stage
}

#[tokio::test]
async fn row_10_an_old_token_is_renewed_ahead_and_nobody_waits() {
    let stage = ageing("min_ttl: 320s, stale_until: 310s").await;
    let first = stage.renew("v-1", "emea").await.token();
    // If anybody waited for the vendor from now on, it would show.
    stage.vendor.inject(Fault { operation: "mint".into(), delay_ms: Some(900), ..Fault::default() });
    let mut slowest = Duration::ZERO;
    within(A_LIFE, "a renewed token is handed out", async || {
        let begin = Instant::now();
        let reply = stage.renew("v-1", "emea").await;
        slowest = slowest.max(begin.elapsed());
        assert!(reply.expires_in() >= 320, "{}", reply.expires_in());
        assert_eq!(reply.cache(), "hit");
        reply.token() != first
    })
    .await;
    assert!(slowest < ms(700), "{slowest:?}");
    assert_eq!(stage.counts(), (0, 2, 2));
}

/// What is asked for by nobody is not renewed for ever.
#[tokio::test]
async fn an_idle_token_is_not_renewed() {
    let vendor = Setup::vendor(DatabricksSettings::default()).await;
    let setup = Setup::default().embed("min_ttl: 320s, stale_until: 310s").more("cache: {idle: 2s}");
    let stage = setup.beside(vendor).await.warmed().await;
    stage.vendor.set_token_life(Duration::from_secs(333));
    stage.renew("idle", "emea").await.token();
    // A busy neighbour of the same age shows when the renewal would have been.
    within(A_LIFE, "the neighbour is renewed", async || {
        stage.renew("busy", "emea").await.token();
        stage.counts().2 == 3
    })
    .await;
    let_pass(ms(2000)).await;
    let journal = stage.vendor.journal();
    let asked = |viewer: &str| {
        journal.iter().filter(|entry| entry.query.get("external_viewer_id").is_some_and(|id| id == viewer)).count()
    };
    assert_eq!((asked("idle"), asked("busy")), (1, 2));
}

/// One life in an outage: renewal fails, the token goes on as a hit, then marked as stale, then no more.
#[tokio::test]
async fn rows_09_and_11_and_rank_09_a_life_in_an_outage() {
    let stage = ageing("min_ttl: 320s, stale_until: 317s").await;
    let first = stage.renew("v-1", "emea").await.token();
    stage.vendor.clear_journal();
    stage.vendor.inject(Fault::status("mint", 503));
    let mut marks: Vec<(String, i64)> = Vec::new();
    let mut refused: Option<Reply> = None;
    within(A_LIFE, "the token is of no use any more", async || {
        let reply = stage.renew("v-1", "emea").await;
        if reply.status == 200 {
            assert_eq!(reply.token(), first);
            marks.push((reply.cache(), reply.expires_in()));
            return false;
        }
        refused = Some(reply);
        true
    })
    .await;
    let refused = refused.expect("the last answer");
    assert_eq!(refused.refusal(), (503, "upstream_unavailable".to_owned()));
    assert!(refused.retry_after().is_some_and(|wait| wait >= 1));
    let stale: Vec<i64> = marks.iter().filter(|(mark, _)| mark == "stale").map(|(_, left)| *left).collect();
    assert!(!stale.is_empty(), "{marks:?}");
    assert!(stale.iter().all(|left| (317..320).contains(left)), "{stale:?}");
    let hits = marks.iter().filter(|(mark, _)| mark == "hit");
    assert!(hits.clone().count() > 0 && hits.clone().all(|(_, left)| *left >= 320), "{marks:?}");
    assert!(stage.outcomes("stale").await >= 1.0);
    let series = r#"sidemint_upstream_requests_total{operation="mint",outcome="server_error",upstream="acme"}"#;
    let attempts = stage.metric(series).await.expect("attempts are counted");
    // Many hundreds of asks, a few attempts.
    assert!(attempts >= 1.0 && attempts <= 12.0 && marks.len() > 100, "{attempts} attempts, {} asks", marks.len());
    stage.vendor.clear_faults();
    within(Duration::from_secs(12), "the vendor is back", async || stage.renew("v-1", "emea").await.status == 200)
        .await;
    let fresh = stage.renew("v-1", "emea").await;
    assert!(fresh.token() != first && fresh.expires_in() >= 320);
}

/// Row 9: nobody asked while it aged, so the next one who does waits for a fresh one.
#[tokio::test]
async fn row_09_a_token_below_min_ttl_is_minted_anew_for_who_asks() {
    let vendor = Setup::vendor(DatabricksSettings::default()).await;
    let setup = Setup::default().embed("min_ttl: 320s, stale_until: 310s").more("cache: {idle: 1s}");
    let stage = setup.beside(vendor).await.warmed().await;
    stage.vendor.set_token_life(Duration::from_secs(332));
    let first = stage.renew("v-1", "emea").await;
    let born = Instant::now();
    stage.vendor.set_token_life(Duration::from_secs(3600));
    // Below min_ttl, and beyond the ten seconds in which no second mint is made.
    let_pass(Duration::from_millis(13_500).saturating_sub(born.elapsed())).await;
    let reply = stage.renew("v-1", "emea").await;
    assert_ne!(reply.token(), first.token());
    assert_eq!(reply.cache(), "miss");
    assert!(reply.expires_in() > 3500);
    assert_eq!(stage.counts(), (0, 2, 2));
}

/// Guarantee 3: an ask may raise `min_ttl`, and never lower it.
#[tokio::test]
async fn an_ask_may_raise_min_ttl_and_never_lower_it() {
    let stage = Stage::warm().await;
    let ask = async |viewer: &str, min_ttl: &str| {
        stage.post("sales", &json!({"viewer": {"id": viewer}, "purpose": "renew", "min_ttl": min_ttl})).await
    };
    let hour = ask("v-1", "59m").await.token();
    assert_eq!(ask("v-1", "1s").await.token(), hour);
    assert_eq!(stage.counts(), (0, 1, 1));
    // A token with less life than asked for is replaced, at the latest ten seconds after the vendor gave it.
    stage.vendor.inject(Fault { operation: "mint".into(), token_life: Some(1000), ..Fault::default() }.times(1));
    let short = ask("v-2", "1s").await;
    assert!((990..=1000).contains(&short.expires_in()));
    stage.vendor.clear_journal();
    within(Duration::from_secs(13), "the raised min_ttl is met", async || {
        let reply = ask("v-2", "20m").await;
        let left = reply.expires_in();
        assert!(left >= 1200 || reply.token() == short.token());
        left >= 1200
    })
    .await;
    assert_eq!(stage.counts(), (0, 1, 1));
    // The lower ask shares the better token.
    assert!(ask("v-2", "1s").await.expires_in() > 3000);
}

/// Guarantee 5: the credential expires, tokens in hand go on.
#[tokio::test]
async fn tokens_in_hand_outlive_a_credential_that_is_refused() {
    let stage = Stage::warm().await;
    let token = stage.renew("v-1", "emea").await.token();
    stage.vendor.set_secrets(&["another"]);
    assert_eq!(stage.renew("v-2", "emea").await.refusal(), (502, "upstream_credentials_rejected".to_owned()));
    assert_eq!(stage.renew("v-1", "emea").await.token(), token);
    stage.load("v-1", "emea").await.token();
}

/// Row 8 of renewals: a hundred of one age are not renewed in one instant.
#[tokio::test]
async fn tokens_of_one_age_are_renewed_apart() {
    let stage = ageing("min_ttl: 320s, stale_until: 310s").await;
    stage.vendor.set_token_life(Duration::from_secs(336));
    let viewers: Vec<String> = (0..40).map(|number| format!("v-{number}")).collect();
    let round = async || joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await;
    round().await;
    stage.vendor.clear_journal();
    within(A_LIFE, "all are renewed", async || stage.counts().2 == 40).await;
    let times: Vec<Instant> = stage
        .vendor
        .journal()
        .iter()
        .filter(|entry| entry.operation == Operation::Mint)
        .map(|entry| entry.at)
        .collect();
    let spread = times.last().expect("renewals").duration_since(times[0]);
    assert!(spread > ms(500), "{spread:?}");
    for reply in round().await {
        assert_eq!(reply.cache(), "hit");
    }
    until("nothing more is asked", async || stage.counts().2 == 40).await;
}
