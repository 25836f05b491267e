//! A Bold BI that is away: what is in hand is shown.

use sidemint::emulator::Fault;

use super::scene::{BoldBi, READER, VIEWER, asked, calls, told};
use crate::support::{Stage, until};

fn of(fault: Fault) -> Fault {
    Fault { operation: "boldbi_authorize".into(), ..fault }
}

/// All ways to be away; each is injected for good.
fn away() -> [Fault; 6] {
    [
        Fault::status("boldbi_authorize", 503),
        Fault { body: Some("html".into()), ..Fault::status("boldbi_authorize", 502) },
        // Even in words that mean something else with another status.
        Fault {
            message: Some("Invalid embed secret key".into()),
            body: Some("boldbi".into()),
            ..of(Fault::status("", 500))
        },
        of(Fault { reset: true, ..Fault::default() }),
        of(Fault { truncate: true, ..Fault::default() }),
        of(Fault { hang: true, ..Fault::default() }),
    ]
}

fn impatient() -> BoldBi {
    BoldBi::default().upstream("timeouts: {request: 500ms}, retry: {attempts: 2}")
}

#[tokio::test]
async fn without_bold_bi_cached_tokens_are_shown_and_new_ones_are_promised() {
    for (number, fault) in away().into_iter().enumerate() {
        let stage = impatient().start().await;
        let shown = stage.renew(VIEWER, "emea").await;
        stage.vendor.inject(fault);
        let cold = stage.renew(READER, "emea").await;
        assert!([503, 504].contains(&cold.status.as_u16()), "{number}: {}", cold.text());
        assert_eq!(cold.json()["class"], "retry");
        assert!(cold.retry_after().is_some_and(|wait| wait >= 1));
        let again = stage.renew(VIEWER, "emea").await;
        assert_eq!((again.token(), again.cache()), (shown.token(), "hit".to_owned()));
        assert_eq!(stage.admin("/readyz").await.status, 200, "an outage takes nobody out of service");
        stage.vendor.clear_faults();
        until("the vendor is back", async || stage.renew(READER, "emea").await.status == 200).await;
    }
}

/// The first token lives a second longer than `min_ttl`, all later ones as usual.
async fn with_a_short_token(keys: &str) -> (Stage, String) {
    let scene = BoldBi::default().upstream("timeouts: {request: 500ms}, retry: {attempts: 1}");
    let stage = scene.sales(keys).start().await;
    stage.vendor.inject(of(Fault { token_life: Some(601), ..Fault::default() }).times(1));
    let token = stage.renew(VIEWER, "emea").await.token();
    (stage, token)
}

#[tokio::test]
async fn below_min_ttl_a_token_is_shown_while_the_vendor_hangs_and_marked() {
    let (stage, token) = with_a_short_token("").await;
    stage.vendor.inject(of(Fault { hang: true, ..Fault::default() }));
    until("the token is stale", async || {
        let reply = stage.renew(VIEWER, "emea").await;
        assert_eq!(reply.token(), token);
        assert_eq!(reply.cache() == "stale", reply.expires_in() < 600, "{}: {}", reply.cache(), reply.text());
        reply.cache() == "stale"
    })
    .await;
    // Nobody waits for the hanging vendor from now on, and the vendor is not asked by each of them.
    let before = calls(&stage);
    for _ in 0..20 {
        let reply = stage.renew(VIEWER, "emea").await;
        let again = reply.json()["refresh_in"].as_u64().unwrap_or_default();
        assert!(reply.cache() == "stale" && (1..=30).contains(&again), "{}", reply.text());
    }
    assert!(calls(&stage) <= before + 1);
}

#[tokio::test]
async fn below_stale_until_there_is_nothing_to_show() {
    let (stage, token) = with_a_short_token("stale_until: 598s").await;
    stage.vendor.inject(Fault::status("*", 503));
    let mut least = i64::MAX;
    until("the token is too old to be shown", async || {
        let reply = stage.renew(VIEWER, "emea").await;
        if reply.status == 200 {
            assert_eq!(reply.token(), token);
            least = least.min(reply.expires_in());
            return false;
        }
        told(&reply, 503, "upstream_unavailable", "Bold BI is in trouble");
        assert!(reply.retry_after().is_some_and(|wait| wait >= 1));
        true
    })
    .await;
    assert_eq!(least, 598);
}

#[tokio::test]
async fn a_429_silences_us_for_as_long_as_it_says() {
    let stage = BoldBi::default().start().await;
    let shown = stage.renew(VIEWER, "emea").await.token();
    let throttled = Fault { retry_after: Some("60".into()), ..Fault::status("boldbi_authorize", 429) };
    stage.vendor.inject(throttled.times(1));
    for number in 0..20 {
        let reply = stage.renew(&format!("v-{number}@example.com"), "emea").await;
        told(&reply, 503, "upstream_throttled", "");
        assert!(reply.retry_after().is_some_and(|wait| (50..=60).contains(&wait)), "{:?}", reply.headers);
        assert_eq!(stage.renew(VIEWER, "emea").await.token(), shown);
    }
    assert_eq!(calls(&stage), 2);
}

/// A query is made anew for each attempt: the vendor may have seen the one whose answer was lost, and takes no nonce
/// twice. It would say that the secret is wrong.
#[tokio::test]
async fn a_passing_trouble_is_tried_again_and_seen_by_nobody() {
    for scene in [BoldBi::default(), BoldBi::signed()] {
        for fault in away().into_iter().take(5) {
            let stage = scene.clone().start().await;
            stage.vendor.inject(fault.times(1));
            stage.renew(VIEWER, "emea").await.token();
            let entries = asked(&stage);
            assert_eq!(entries.len(), 2);
            let nonces = [0, 1].map(|number: usize| entries[number].query.get("embed_nonce"));
            assert!(nonces == [None, None] || nonces[0] != nonces[1], "{nonces:?}");
        }
    }
}
