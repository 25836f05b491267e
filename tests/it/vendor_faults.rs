//! The vendor's refusals and odd answers: what a caller is told, and how often the vendor is asked.

use std::time::Instant;

use sidemint::emulator::{Fault, Operation};

use crate::support::{Reply, Setup, Stage, emulator, joined, let_pass, ms, until};

fn told(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{}", reply.text());
    assert!(!reply.text().contains("eyJ") && !reply.text().contains("dose"), "{}", reply.text());
}

#[tokio::test]
async fn row_19_a_wrong_secret_is_offered_once() {
    let vendor = emulator().await;
    vendor.set_secrets(&["another"]);
    let stage = Setup::default().beside(vendor).await;
    let begin = Instant::now();
    // Longer than the five seconds for which any failure is remembered, shorter than the thirty of this one.
    while begin.elapsed() < ms(5500) {
        let viewer = format!("v-{}", begin.elapsed().as_millis());
        let reply = stage.renew(&viewer, "emea").await;
        told(&reply, 502, "upstream_credentials_rejected");
        assert!(reply.detail().contains("secret") && reply.detail().contains("invalid_client"), "{}", reply.detail());
        let_pass(ms(200)).await;
    }
    assert_eq!(stage.operations(), ["service_token"]);
    let series = r#"sidemint_upstream_requests_total{operation="service_token",outcome="denied",upstream="acme"}"#;
    assert_eq!(stage.metric(series).await, Some(1.0));
    assert_eq!(stage.admin("/readyz").await.status, 503);
    let startup = stage.admin("/startupz").await;
    assert_eq!(startup.status, 503, "a rollout stops at a rejected credential");
}

#[tokio::test]
async fn row_20_a_pause_that_the_vendor_asks_for_is_kept_by_all() {
    let stage = Stage::warm().await;
    let fault = Fault { retry_after: Some("2".into()), body: Some("oauth".into()), ..Fault::status("mint", 429) };
    stage.vendor.inject(fault.times(1));
    let begin = Instant::now();
    let replies = joined((0..10).map(|_| stage.renew("v-1", "emea"))).await;
    assert!(begin.elapsed() >= ms(2000) && begin.elapsed() < ms(6000), "{:?}", begin.elapsed());
    let token = replies[0].token();
    assert!(replies.iter().all(|reply| reply.token() == token));
    assert_eq!(stage.operations(), ["token_info", "mint", "mint"]);
    let gap = gaps(&stage, Operation::Mint)[0];
    assert!(gap >= ms(2000), "{gap:?}");
}

/// Time between one request of this kind and the next.
fn gaps(stage: &Stage, operation: Operation) -> Vec<std::time::Duration> {
    let journal = stage.vendor.journal();
    let times: Vec<Instant> =
        journal.iter().filter(|entry| entry.operation == operation).map(|entry| entry.at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test]
async fn row_20_the_pause_holds_for_other_viewers_too() {
    let stage = Stage::warm().await;
    let fault = Fault { retry_after: Some("1".into()), ..Fault::status("token_info", 429) };
    stage.vendor.inject(fault.times(1));
    let first = stage.renew("v-1", "emea");
    let second = async {
        until("the vendor has said no", async || {
            stage.vendor.journal().first().is_some_and(|entry| entry.status == Some(429))
        })
        .await;
        let_pass(ms(50)).await;
        stage.renew("v-2", "emea").await
    };
    let (first, second) = tokio::join!(first, second);
    first.token();
    second.token();
    assert!(gaps(&stage, Operation::TokenInfo)[0] >= ms(1000), "{:?}", gaps(&stage, Operation::TokenInfo));
}

#[tokio::test]
async fn rank_11_a_pause_beyond_the_deadline_is_passed_on() {
    let stage = Setup::default().upstream("timeouts: {request: 2s}").start().await.warmed().await;
    stage.vendor.inject(Fault { retry_after: Some("7".into()), ..Fault::status("token_info", 429) }.times(1));
    let reply = stage.renew("v-1", "emea").await;
    told(&reply, 503, "upstream_throttled");
    assert!(reply.retry_after().is_some_and(|wait| (6..=7).contains(&wait)), "{:?}", reply.headers);
    assert_eq!(reply.json()["retry_after"].as_u64(), reply.retry_after());
    // Nobody is let through before the time, neither the same viewer nor another.
    told(&stage.renew("v-1", "emea").await, 503, "upstream_throttled");
    told(&stage.renew("v-2", "emea").await, 503, "upstream_throttled");
    assert_eq!(stage.operations(), ["token_info"]);
}

#[tokio::test]
async fn rank_11_nonsense_in_retry_after_leaves_our_own_backoff() {
    let stage = Stage::warm().await;
    for (number, bad) in ["-1", "abc", "1000000000", "Sat, 21 Nov 2099 17:00:00 GMT"].into_iter().enumerate() {
        stage.vendor.inject(Fault { retry_after: Some(bad.into()), ..Fault::status("token_info", 429) }.times(1));
        let begin = Instant::now();
        stage.renew(&format!("v-{number}"), "emea").await.token();
        assert!(begin.elapsed() < ms(3000), "{bad}: {:?}", begin.elapsed());
    }
    assert_eq!(stage.counts(), (0, 8, 4));
}

#[tokio::test]
async fn rank_11_a_pause_given_as_a_date_is_kept() {
    let stage = Stage::warm().await;
    let then = jiff::Timestamp::now().as_second() + 3;
    let date = jiff::fmt::rfc2822::DateTimePrinter::new();
    let date = date.timestamp_to_rfc9110_string(&jiff::Timestamp::from_second(then).unwrap()).unwrap();
    stage.vendor.inject(Fault { retry_after: Some(date), ..Fault::status("token_info", 429) }.times(1));
    stage.renew("v-1", "emea").await.token();
    let journal = stage.vendor.journal();
    let last = journal.iter().rfind(|entry| entry.operation == Operation::TokenInfo).expect("a second call");
    let last: jiff::Timestamp = last.time.parse().unwrap();
    assert!(last.as_second() >= then - 1, "{last} is before the date, by more than its second");
}

#[tokio::test]
async fn row_21_a_503_of_the_token_endpoint_is_tried_again() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault::status("mint", 503).times(2));
    stage.renew("v-1", "emea").await.token();
    assert_eq!(stage.operations(), ["token_info", "mint", "mint", "mint"]);
    assert!(gaps(&stage, Operation::Mint).iter().all(|gap| *gap >= ms(95)), "{:?}", gaps(&stage, Operation::Mint));
    let series = r#"sidemint_upstream_requests_total{operation="mint",outcome="server_error",upstream="acme"}"#;
    assert_eq!(stage.metric(series).await, Some(2.0));
}

#[tokio::test]
async fn row_22_an_empty_400_is_permanent_and_remembered() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { body: Some("empty".into()), ..Fault::status("mint", 400) });
    for _ in 0..5 {
        let reply = stage.renew("v-1", "emea").await;
        told(&reply, 502, "upstream_rejected");
        assert!(reply.detail().contains("400"), "{}", reply.detail());
    }
    assert_eq!(stage.operations(), ["token_info", "mint"]);
}

#[tokio::test]
async fn row_23_a_login_page_is_no_token_and_nothing_is_kept() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { body: Some("html".into()), ..Fault::status("mint", 200) });
    let reply = stage.renew("v-1", "emea").await;
    told(&reply, 502, "upstream_malformed");
    assert!(reply.detail().contains("login page"), "{}", reply.detail());
    assert_eq!(stage.metric(r#"sidemint_viewer_tokens{upstream="acme"}"#).await, Some(0.0));
}

#[tokio::test]
async fn row_28_a_revoked_service_token_is_replaced_once() {
    let stage = Stage::new().await;
    stage.renew("v-1", "emea").await.token();
    stage.vendor.revoke_tokens();
    stage.vendor.clear_journal();
    stage.renew("v-2", "emea").await.token();
    assert_eq!(stage.operations(), ["token_info", "service_token", "token_info", "mint"]);
}

#[tokio::test]
async fn row_28_many_refusals_of_one_service_token_are_one_renewal() {
    let stage = Stage::new().await;
    stage.renew("v-1", "emea").await.token();
    stage.vendor.revoke_tokens();
    stage.vendor.clear_journal();
    let viewers: Vec<String> = (0..20).map(|number| format!("w-{number}")).collect();
    let replies = joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await;
    replies.iter().for_each(|reply| drop(reply.token()));
    let (service, info, mint) = stage.counts();
    assert_eq!((service, mint), (1, 20));
    assert!((21..=40).contains(&info), "{info}");
}

#[tokio::test]
async fn row_28_a_vendor_that_refuses_every_service_token_is_no_loop() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault::status("token_info", 401));
    for number in 0..5 {
        let reply = stage.renew(&format!("v-{number}"), "emea").await;
        told(&reply, 502, "upstream_credentials_rejected");
    }
    let (service, info, mint) = stage.counts();
    assert_eq!((service, mint), (1, 0), "one try with a new service token");
    assert!(info <= 6, "{info}");
}

#[tokio::test]
async fn row_29_a_denied_dashboard_says_what_to_do_and_is_remembered() {
    remembered(403, "upstream_denied", "CAN RUN").await;
}

#[tokio::test]
async fn row_30_an_unknown_dashboard_says_what_to_do_and_is_remembered() {
    remembered(404, "upstream_not_found", "publish").await;
}

async fn remembered(status: u16, code: &str, says: &str) {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault::status("token_info", status).times(1));
    for _ in 0..3 {
        let reply = stage.renew("v-1", "emea").await;
        told(&reply, 502, code);
        assert!(reply.detail().contains(says), "{}", reply.detail());
    }
    assert_eq!(stage.operations(), ["token_info"]);
    // It is the memory of one key; another viewer is asked about.
    stage.renew("v-2", "emea").await.token();
    // And a short memory: what was granted meanwhile shows within seconds.
    until("the refusal is forgotten", async || stage.renew("v-1", "emea").await.status == 200).await;
    assert_eq!(stage.counts(), (0, 3, 2));
}

#[tokio::test]
async fn row_31_two_429_of_token_info_are_waited_out_in_one_flight() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { retry_after: Some("1".into()), ..Fault::status("token_info", 429) }.times(2));
    let replies = joined((0..10).map(|_| stage.renew("v-1", "emea"))).await;
    replies.iter().for_each(|reply| drop(reply.token()));
    assert_eq!(stage.operations(), ["token_info", "token_info", "token_info", "mint"]);
    assert!(gaps(&stage, Operation::TokenInfo).iter().all(|gap| *gap >= ms(1000)));
}

#[tokio::test]
async fn row_32_server_errors_are_tried_again_and_then_told() {
    for status in [500, 502] {
        let stage = Setup::default().upstream("retry: {attempts: 3}").start().await.warmed().await;
        stage.vendor.inject(Fault { body: Some("text".into()), ..Fault::status("token_info", status) });
        let reply = stage.renew("v-1", "emea").await;
        told(&reply, 503, "upstream_unavailable");
        assert!(reply.retry_after().is_some_and(|wait| wait >= 1));
        assert_eq!(stage.operations(), ["token_info"; 3]);
        stage.vendor.clear_faults();
        until("the vendor is back", async || stage.renew("v-1", "emea").await.status == 200).await;
    }
}

#[tokio::test]
async fn row_34_a_code_that_is_a_number_is_read() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { error_code: Some(7.into()), ..Fault::status("token_info", 403) });
    let reply = stage.renew("v-1", "emea").await;
    told(&reply, 502, "upstream_denied");
    assert!(reply.detail().contains("code 7"), "{}", reply.detail());
}
