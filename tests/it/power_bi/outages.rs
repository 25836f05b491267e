//! A vendor that is away: what is in hand is shown.

use serde_json::json;
use sidemint::emulator::Fault;

use super::scene::{PowerBi, RLS, calls, told};
use crate::support::{Stage, until};

/// All ways to be away; each is injected for good.
fn away(operation: &str) -> [Fault; 4] {
    let of = |fault: Fault| Fault { operation: operation.to_owned(), ..fault };
    [
        Fault::status(operation, 503),
        Fault { body: Some("html".into()), ..Fault::status(operation, 502) },
        of(Fault { reset: true, ..Fault::default() }),
        of(Fault { hang: true, ..Fault::default() }),
    ]
}

fn impatient() -> PowerBi {
    PowerBi::default().upstream("timeouts: {request: 500ms}, retry: {attempts: 2}")
}

#[tokio::test]
async fn without_power_bi_cached_tokens_are_shown_and_new_ones_are_promised() {
    for (number, fault) in away("generate_token").into_iter().enumerate() {
        let stage = impatient().warm().await;
        let shown = stage.renew("v-1", "emea").await;
        stage.vendor.inject(fault);
        let cold = stage.renew("v-2", "emea").await;
        assert!([503, 504].contains(&cold.status.as_u16()), "{number}: {}", cold.text());
        assert_eq!(cold.json()["class"], "retry");
        assert!(cold.retry_after().is_some_and(|wait| wait >= 1));
        let again = stage.renew("v-1", "emea").await;
        assert_eq!((again.token(), again.cache()), (shown.token(), "hit".to_owned()));
        assert_eq!(stage.admin("/readyz").await.status, 200, "an outage takes nobody out of service");
        stage.vendor.clear_faults();
        until("the vendor is back", async || stage.renew("v-2", "emea").await.status == 200).await;
    }
}

#[tokio::test]
async fn without_entra_new_viewers_are_served_as_long_as_its_token_lives() {
    for fault in away("entra_token") {
        let stage = impatient().warm().await;
        stage.vendor.inject(fault);
        let shown = stage.renew("v-1", "emea").await.token();
        assert_ne!(stage.renew("v-2", "emea").await.token(), shown);
        assert_eq!(stage.renew("v-1", "emea").await.token(), shown);
        assert_eq!(calls(&stage), (0, 1, 2));
    }
}

#[tokio::test]
async fn without_both_from_the_start_there_is_nothing_to_show() {
    let scene = impatient();
    let vendor = scene.vendor().await;
    vendor.inject(Fault::status("*", 503));
    let stage = scene.beside(vendor).await;
    let reply = stage.renew("v-1", "emea").await;
    told(&reply, 503, "upstream_unavailable", "Microsoft Entra is in trouble");
    assert!(reply.retry_after().is_some_and(|wait| wait >= 1));
    assert_eq!(stage.admin("/readyz").await.status, 503);
    stage.vendor.clear_faults();
    until("the vendor is back", async || stage.renew("v-1", "emea").await.status == 200).await;
    assert_eq!(stage.admin("/readyz").await.status, 200);
}

/// The first token lives a second longer than `min_ttl`, all later ones as usual.
async fn with_a_short_token(keys: &str) -> (Stage, String) {
    let scene = PowerBi::default().upstream("timeouts: {request: 500ms}, retry: {attempts: 1}");
    let stage = scene.sales(&format!("{keys}, {RLS}")).warm().await;
    let short = Fault { operation: "generate_token".into(), token_life: Some(901), ..Fault::default() };
    stage.vendor.inject(short.times(1));
    let token = stage.renew("v-1", "emea").await.token();
    (stage, token)
}

#[tokio::test]
async fn row_h45_below_min_ttl_a_token_is_shown_while_the_vendor_hangs_and_marked() {
    let (stage, token) = with_a_short_token("min_ttl: 15m").await;
    stage.vendor.inject(Fault { operation: "generate_token".into(), hang: true, ..Fault::default() });
    until("the token is stale", async || {
        let reply = stage.renew("v-1", "emea").await;
        assert_eq!(reply.token(), token);
        assert_eq!(reply.cache() == "stale", reply.expires_in() < 900, "{}: {}", reply.cache(), reply.text());
        reply.cache() == "stale"
    })
    .await;
    assert!(stage.outcomes("stale").await >= 1.0);
    // Nobody waits for the hanging vendor from now on, and the vendor is not asked by each of them.
    let mints = calls(&stage).2;
    for _ in 0..20 {
        let reply = stage.renew("v-1", "emea").await;
        let again = reply.json()["refresh_in"].as_u64().unwrap_or_default();
        assert!(reply.cache() == "stale" && (1..=30).contains(&again), "{}", reply.text());
    }
    assert!(calls(&stage).2 <= mints + 1);
}

#[tokio::test]
async fn below_stale_until_there_is_nothing_to_show() {
    let (stage, token) = with_a_short_token("min_ttl: 15m, stale_until: 898s").await;
    stage.vendor.inject(Fault::status("*", 503));
    let mut least = i64::MAX;
    until("the token is too old to be shown", async || {
        let reply = stage.renew("v-1", "emea").await;
        if reply.status == 200 {
            assert_eq!(reply.token(), token);
            least = least.min(reply.expires_in());
            return false;
        }
        told(&reply, 503, "upstream_unavailable", "");
        assert!(reply.retry_after().is_some_and(|wait| wait >= 1));
        true
    })
    .await;
    assert_eq!(least, 898);
}

/// A capacity that is used up says nothing about who may see what: what is in hand is shown, as in an outage.
#[tokio::test]
async fn row_h40_below_min_ttl_a_token_is_shown_while_the_capacity_is_used_up() {
    let (stage, token) = with_a_short_token("min_ttl: 15m").await;
    stage.vendor.set_on_capacity(false);
    stage.vendor.set_trial_allowance(0);
    until("the token is stale", async || {
        let reply = stage.renew("v-1", "emea").await;
        assert_eq!(reply.token(), token);
        reply.cache() == "stale"
    })
    .await;
}

/// An ask for more than is in hand is answered with what is in hand, if there is no more to be had.
#[tokio::test]
async fn an_ask_for_more_life_during_an_outage_is_answered_with_what_there_is() {
    let stage = impatient().warm().await;
    let token = stage.renew("v-1", "emea").await.token();
    stage.vendor.inject(Fault::status("*", 503));
    let body = json!({"viewer": {"id": "v-1", "value": "emea"}, "purpose": "renew", "min_ttl": "2h"});
    let reply = stage.post("sales", &body).await;
    assert_eq!((reply.token(), reply.cache()), (token, "stale".to_owned()));
}
