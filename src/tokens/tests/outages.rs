//! What becomes of viewer tokens while service tokens cannot be had, or are refused.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_parent_that_is_too_old_and_cannot_be_renewed_still_mints() {
    let bench = bench("", "");
    assert!(bench.ask("a").await.is_ok());
    bench.script(|script| script.issuer_is_down = true);
    sleep(secs(35 * MINUTE)).await;
    let (left, _) = bench.ask("b").await.unwrap();
    assert!((24 * MINUTE..=25 * MINUTE).contains(&left), "{left}");
}

#[tokio::test(start_paused = true)]
async fn row_h12_an_outage_of_the_issuer_keeps_serving() {
    let change = |script: &mut Script| {
        script.service_life = secs(7200);
        script.refresh_in = Some(secs(1800));
    };
    let bench = bench_with("", "", change);
    assert!(bench.ask("a").await.is_ok());
    bench.script(|script| script.issuer_is_down = true);
    for _ in 0..59 {
        sleep(secs(MINUTE)).await;
        assert_eq!(bench.ask("a").await.unwrap().1, How::Hit);
    }
    let tries = bench.calls().0;
    assert!((2..=40).contains(&tries), "{tries} tries in an hour");
    assert!(bench.ask("b").await.is_ok(), "the old parent still mints");
}

#[tokio::test(start_paused = true)]
async fn row_h45_a_hanging_mint_serves_the_old_token_marked_stale() {
    // The parent is never renewed ahead, and so are its tokens not: all that is left is the old one.
    let bench = bench("service_token_min_life: 0s", "");
    assert!(bench.ask("a").await.is_ok());
    bench.script(|script| {
        script.minter_is_down = true;
        script.mint_takes = secs(20);
    });
    sleep(secs(48 * MINUTE)).await;
    let (left, how) = bench.ask("a").await.unwrap();
    assert_eq!(how, How::Stale);
    assert!((11 * MINUTE..=12 * MINUTE).contains(&left), "{left}");
    sleep(secs(11 * MINUTE + 5)).await;
    assert_eq!(bench.ask("a").await, Err(Code::Timeout), "below stale_until there is nothing to show");
}

#[tokio::test(start_paused = true)]
async fn rows_h38_and_h39_a_refused_parent_is_replaced_once_in_half_a_minute() {
    let bench = bench("", "");
    assert!(bench.ask("a").await.is_ok());
    bench.script(|script| script.refuses = true);
    for viewer in 0..40 {
        assert_eq!(bench.ask(&format!("viewer-{viewer}")).await, Err(Code::Denied));
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(bench.calls().0, 2);
    bench.script(|script| script.refuses = false);
    assert!(bench.ask("b").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_during_an_outage_of_the_issuer_does_not_cost_the_token_in_hand() {
    let bench = bench("", "");
    assert!(bench.ask("a").await.is_ok());
    bench.script(|script| {
        script.refuses = true;
        script.issuer_is_down = true;
    });
    assert_eq!(bench.ask("b").await, Err(Code::Unavailable));
    bench.script(|script| script.refuses = false);
    assert!(bench.ask("c").await.is_ok(), "what b was refused for was not the token's fault");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_issuer_causes_no_vain_mints() {
    let bench = bench("", "");
    let viewers: Vec<String> = (0..20).map(|n| format!("viewer-{n}")).collect();
    for viewer in &viewers {
        assert!(bench.ask(viewer).await.is_ok());
    }
    bench.script(|script| script.issuer_is_down = true);
    let mut worst = u64::MAX;
    for _ in 0..58 {
        sleep(secs(MINUTE)).await;
        for viewer in &viewers {
            let (left, how) = bench.ask(viewer).await.unwrap();
            assert!(how != How::Stale || left < 15 * MINUTE, "{left} {how:?}");
            worst = worst.min(left);
        }
    }
    assert!(worst >= 60, "{worst}");
    assert_eq!(bench.calls().1, 20, "each mint would have brought the same end again");
    bench.script(|script| script.issuer_is_down = false);
    sleep(secs(90)).await;
    assert!(bench.ask("viewer-0").await.unwrap().0 > 50 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_of_the_issuer_an_old_parent_still_mints_for_new_viewers() {
    let change = |script: &mut Script| script.service_life = secs(40);
    let bench = bench_with("service_token_min_life: 20s", "min_ttl: 10s, stale_until: 5s", change);
    assert!(bench.ask("a").await.is_ok());
    bench.script(|script| script.issuer_is_down = true);
    sleep(secs(24)).await;
    assert_eq!(bench.ask("b").await, Ok((16, How::Miss)));
    sleep(secs(12)).await;
    assert_eq!(bench.ask("c").await, Err(Code::Unavailable), "4 s are less than an old token may have");
}

#[tokio::test(start_paused = true)]
async fn rows_h38_a_parent_that_proved_good_may_be_refused_again_sooner() {
    let bench = bench("", "");
    for round in 0..4 {
        bench.script(|script| script.refuse_next = true);
        assert!(bench.ask(&format!("viewer-{round}")).await.is_ok(), "round {round}");
        sleep(secs(12)).await;
    }
    assert_eq!(bench.calls().0, 5);
}
