//! Tokens that grow old: renewal ahead, outages, and what an ask may raise.
//!
//! Lives are short by way of a high `min_ttl`: of a token of 333 s with a `min_ttl` of 320 s, 13 s are of use.

use std::time::Duration;

use serde_json::json;
use sidemint::emulator::{Fault, Operation};

use crate::support::{Reply, Setup, Stage, claims, joined, let_pass, ms, within};

/// Longer than any life of these tests, with their time to settle.
const A_LIFE: Duration = Duration::from_secs(25);

async fn ageing(embed: &str, more: &str, life: u64) -> Stage {
    let stage = Setup::default().embed(embed).more(more).start().await.warmed().await;
    stage.vendor.set_token_life(Duration::from_secs(life));
    stage
}

/// One life of many tokens: who asks now and then is renewed ahead and apart from the others, who does not is not.
#[tokio::test]
async fn rows_09_and_10_a_life_with_renewal_ahead() {
    let stage = ageing("min_ttl: 320s, stale_until: 310s", "cache: {idle: 4s}", 336).await;
    let busy: Vec<String> = (0..12).map(|number| format!("busy-{number}")).collect();
    let round = async || joined(busy.iter().map(|viewer| stage.renew(viewer, "emea"))).await;
    let first: Vec<String> = round().await.iter().map(Reply::token).collect();
    let idle = stage.renew("idle", "emea").await.token();
    stage.vendor.clear_journal();
    // A slow vendor: whoever waited for it would be marked as a miss or as coalesced.
    stage.vendor.inject(Fault { operation: "mint".into(), delay_ms: Some(400), ..Fault::default() });
    within(A_LIFE, "all renewed tokens are handed out", async || {
        let_pass(ms(100)).await;
        let replies = round().await;
        for reply in &replies {
            assert_eq!(reply.cache(), "hit");
            assert!(reply.expires_in() >= 320, "{}", reply.expires_in());
        }
        replies.iter().zip(&first).all(|(reply, first)| reply.token() != *first)
    })
    .await;
    assert_eq!(stage.counts(), (0, 12, 12), "one mint each, and none for the idle one");
    assert!(spread(&stage) > ms(300), "{:?}", spread(&stage));
    // The idle one grows too old, so who asks for it waits for a fresh one.
    stage.vendor.clear_faults();
    let mut fresh = None;
    within(A_LIFE, "the idle one is too old", async || {
        // An ask would make it busy, so its age is judged by the clock of its neighbours.
        let_pass(ms(50)).await;
        if exp(&idle) - jiff::Timestamp::now().as_second() < 319 {
            fresh = Some(stage.renew("idle", "emea").await);
        }
        fresh.is_some()
    })
    .await;
    let fresh = fresh.expect("an answer");
    assert_eq!(fresh.cache(), "miss");
    assert!(fresh.token() != idle && fresh.expires_in() >= 320);
}

fn exp(token: &str) -> i64 {
    claims(token)["exp"].as_i64().expect("exp")
}

/// From the first request for token info to the last: renewals of one age do not come in one instant.
fn spread(stage: &Stage) -> Duration {
    let journal = stage.vendor.journal();
    let mut times = journal.iter().filter(|entry| entry.operation == Operation::TokenInfo).map(|entry| entry.at);
    let first = times.next().expect("a renewal");
    times.next_back().expect("another renewal").duration_since(first)
}

/// One life in an outage: renewal fails, the token goes on as a hit, then marked as stale, then no more.
#[tokio::test]
async fn row_11_and_rank_09_a_life_in_an_outage() {
    let stage = ageing("min_ttl: 320s, stale_until: 317s", "", 333).await;
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
    assert!((1.0..=12.0).contains(&attempts) && marks.len() > 100, "{attempts} attempts, {} asks", marks.len());
    stage.vendor.clear_faults();
    within(Duration::from_secs(12), "the vendor is back", async || stage.renew("v-1", "emea").await.status == 200)
        .await;
    let fresh = stage.renew("v-1", "emea").await;
    assert!(fresh.token() != first && fresh.expires_in() >= 320);
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
