//! How long tokens live. The vendor's own examples say it in three places, which contradict each other.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sidemint::emulator::Fault;

use super::scene::{BoldBi, VIEWER, calls, told};
use crate::support::{Reply, Stage, claims, until};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The next answers say this of their life.
fn saying(fault: Fault) -> Fault {
    Fault { operation: "boldbi_authorize".into(), ..fault }
}

fn expires_in(value: Value) -> Fault {
    saying(Fault { expires_in: Some(value), ..Fault::default() })
}

fn dot_expires(value: Value) -> Fault {
    saying(Fault { expiration: Some(value), ..Fault::default() })
}

async fn warnings(stage: &Stage, reason: &str) -> f64 {
    let series = format!(r#"sidemint_viewer_token_warnings_total{{embed="sales",reason="{reason}"}}"#);
    stage.metric(&series).await.expect("every reason is counted from the start")
}

/// `expires_at`, in seconds since 1970.
fn end(reply: &Reply) -> i64 {
    let text = reply.json()["expires_at"].as_str().expect("a text").to_owned();
    text.parse::<Timestamp>().expect("RFC 3339").as_second()
}

#[track_caller]
fn lives(reply: &Reply, seconds: i64) {
    assert!((seconds - 20..=seconds).contains(&reply.expires_in()), "{seconds}: {}", reply.text());
    let left = end(reply) - Timestamp::now().as_second();
    assert!((seconds - 20..=seconds + 1).contains(&left), "{seconds}: {}", reply.text());
}

#[tokio::test]
async fn row_b3_of_seven_days_and_a_tokens_one_the_token_is_right() {
    let scene = BoldBi::default().settings(|settings| settings.expires_in = true);
    let stage = scene.start().await;
    let reply = stage.renew(VIEWER, "emea").await;
    lives(&reply, DAY);
    let exp = claims(&reply.token())["exp"].as_i64().expect("a number");
    assert!((exp - 1..=exp).contains(&end(&reply)), "{exp}: {}", reply.text());
    assert_eq!(warnings(&stage, "short_lived").await, 0.0);
}

/// Nothing is kept for more than a day.
#[tokio::test]
async fn row_b3_the_smallest_counts_whichever_it_is() {
    for (fault, seconds) in [
        (expires_in(json!(HOUR)), HOUR),
        (expires_in(json!(HOUR.to_string())), HOUR),
        (Fault { jwt_exp_life: Some(2 * HOUR), ..expires_in(json!(DAY)) }, 2 * HOUR),
        (Fault { jwt_exp_life: Some(2 * HOUR), ..dot_expires(json!("omit")) }, 2 * HOUR),
        (Fault { jwt_exp_life: Some(30 * DAY), ..expires_in(json!(30 * DAY)) }, DAY),
    ] {
        let stage = BoldBi::default().start().await;
        stage.vendor.inject(fault);
        lives(&stage.renew(VIEWER, "emea").await, seconds);
    }
}

/// The vendor writes a time of the United States, with no zone.
#[tokio::test]
async fn row_b4_the_time_in_the_answer_is_utc_and_the_tokens_own_end_counts_if_it_is_sooner() {
    let scene = BoldBi::default().settings(|settings| {
        settings.announced_life = Duration::from_secs(7_200);
    });
    let stage = scene.clone().start().await;
    lives(&stage.renew(VIEWER, "emea").await, 2 * HOUR);
    let opaque = scene.settings(|settings| settings.opaque_tokens = true).start().await;
    lives(&opaque.renew(VIEWER, "emea").await, 2 * HOUR);
    assert_eq!(warnings(&opaque, "missing_claim").await, 0.0);
    opaque.vendor.inject(saying(Fault { jwt_exp_life: Some(HOUR), ..Fault::default() }));
    lives(&opaque.renew(VIEWER, "apac").await, 2 * HOUR);
    stage.vendor.inject(saying(Fault { jwt_exp_life: Some(HOUR), ..Fault::default() }));
    lives(&stage.renew(VIEWER, "apac").await, HOUR);
}

/// The vendor's own example is of a February. A time that is over may be local time somewhere, or the truth.
#[tokio::test]
async fn row_b4_after_a_time_that_is_over_or_is_none_a_short_life_is_safe() {
    for text in ["2/12/2026 12:29:05 PM", "12.02.2027 12:29", "tomorrow", ""] {
        let stage = BoldBi::default().start().await;
        stage.vendor.inject(dot_expires(json!(text)));
        lives(&stage.renew(VIEWER, "emea").await, 300);
        assert_eq!(warnings(&stage, "missing_claim").await, 1.0);
    }
    for value in [json!(17), json!({"at": 1})] {
        let stage = BoldBi::default().start().await;
        stage.vendor.inject(dot_expires(value));
        lives(&stage.renew(VIEWER, "emea").await, 300);
    }
    let stage = BoldBi::default().start().await;
    stage.vendor.inject(dot_expires(json!(null)));
    lives(&stage.renew(VIEWER, "emea").await, DAY);
    assert_eq!(warnings(&stage, "missing_claim").await, 0.0);
}

#[tokio::test]
async fn row_b5_a_life_that_nobody_tells_is_short_and_worth_a_warning() {
    let scene = BoldBi::default().settings(|settings| {
        settings.dot_expires = false;
        settings.opaque_tokens = true;
    });
    let stage = scene.start().await;
    let reply = stage.renew(VIEWER, "emea").await;
    lives(&reply, 300);
    assert!(reply.json()["refresh_in"].as_i64().is_some_and(|after| (100..=150).contains(&after)), "{}", reply.text());
    assert_eq!(warnings(&stage, "missing_claim").await, 1.0);
    // A caller that asks and asks is none at the vendor, though it is below min_ttl.
    for _ in 0..20 {
        assert_eq!(stage.renew(VIEWER, "emea").await.token(), reply.token());
    }
    assert_eq!(calls(&stage), 1);
}

#[tokio::test]
async fn a_lifetime_in_the_config_caps_what_the_server_says() {
    let stage = BoldBi::default().embed("short", "lifetime: 20m").sales("").start().await;
    lives(&stage.renew_of("short", VIEWER, "").await, 1_200);
    lives(&stage.renew(VIEWER, "").await, DAY);
    lives(&stage.renew_of("short", VIEWER, "").await, 1_200);
    assert_eq!(calls(&stage), 2, "lives that differ are not shared");
}

#[tokio::test]
async fn a_token_that_is_dead_on_arrival_is_none() {
    let stage = BoldBi::default().start().await;
    stage.vendor.inject(saying(Fault { jwt_exp_life: Some(-5), ..Fault::default() }));
    let reply = stage.renew(VIEWER, "emea").await;
    told(&reply, 502, "upstream_malformed", "is the clock of this machine right?");
}

/// More than the vendor gives: the reply is truthful, and a caller's loop is none at the vendor.
#[tokio::test]
async fn more_than_the_vendor_has_is_no_loop() {
    let stage = BoldBi::default().settings(|settings| settings.token_life = Duration::from_secs(3_600)).start().await;
    let body = json!({"viewer": {"id": VIEWER, "value": "emea"}, "purpose": "renew", "min_ttl": "2h"});
    let token = stage.renew(VIEWER, "emea").await.token();
    for _ in 0..10 {
        let reply = stage.post("sales", &body).await;
        lives(&reply, HOUR);
        assert_eq!(reply.token(), token);
    }
    assert_eq!(calls(&stage), 1);
}

/// Below `min_ttl` it is minted anew, and nobody gets the old one while the vendor is there.
#[tokio::test]
async fn a_token_below_min_ttl_is_replaced() {
    let stage = BoldBi::default().start().await;
    stage.vendor.inject(saying(Fault { token_life: Some(601), ..Fault::default() }).times(1));
    let first = stage.renew(VIEWER, "emea").await;
    assert!((599..=601).contains(&first.expires_in()), "{}", first.text());
    until("the token is below min_ttl", async || {
        let reply = stage.renew(VIEWER, "emea").await;
        assert!(reply.expires_in() >= 600, "{}", reply.text());
        reply.token() != first.token()
    })
    .await;
    assert_eq!(calls(&stage), 2);
}
