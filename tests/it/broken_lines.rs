//! Lines that hang, break or lead elsewhere, and callers that hang up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sidemint::emulator::{Fault, Operation};
use tokio::net::TcpListener;

use crate::support::{Setup, Stage, joined, ms, until};

#[tokio::test]
async fn row_35_a_vendor_that_hangs_is_given_up_and_the_next_may_try() {
    let stage = Setup::default().upstream("timeouts: {request: 700ms}").start().await.warmed().await;
    stage.vendor.inject(Fault { operation: "token_info".into(), hang: true, ..Fault::default() }.times(1));
    let begin = Instant::now();
    let replies = joined((0..5).map(|_| stage.renew("v-1", "emea"))).await;
    assert!((ms(650)..ms(3000)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    for reply in &replies {
        assert_eq!(reply.refusal(), (504, "upstream_timeout".to_owned()));
        assert_eq!(reply.json()["class"], "retry");
        assert!(reply.retry_after().is_some_and(|wait| wait >= 1));
    }
    assert_eq!(stage.operations(), ["token_info"]);
    stage.renew("v-1", "emea").await.token();
    let series = r#"sidemint_upstream_requests_total{operation="token_info",outcome="timeout",upstream="acme"}"#;
    assert_eq!(stage.metric(series).await, Some(1.0));
}

#[tokio::test]
async fn row_36_an_answer_that_breaks_off_is_asked_for_again() {
    for broken in [Fault { truncate: true, ..Fault::default() }, Fault { reset: true, ..Fault::default() }] {
        let stage = Stage::warm().await;
        stage.vendor.inject(Fault { operation: "token_info".into(), ..broken.clone() }.times(1));
        stage.vendor.inject(Fault { operation: "mint".into(), ..broken }.times(1));
        stage.renew("v-1", "emea").await.token();
        assert_eq!(stage.operations(), ["token_info", "token_info", "mint", "mint"]);
    }
}

#[tokio::test]
async fn row_36_a_line_that_always_breaks_is_told() {
    let stage = Setup::default().upstream("retry: {attempts: 2}").start().await.warmed().await;
    stage.vendor.inject(Fault { operation: "token_info".into(), truncate: true, ..Fault::default() });
    assert_eq!(stage.renew("v-1", "emea").await.refusal(), (503, "upstream_unavailable".to_owned()));
    assert_eq!(stage.counts(), (0, 2, 0));
}

#[tokio::test]
async fn row_37_the_first_caller_hangs_up_and_the_others_are_served() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { operation: "mint".into(), delay_ms: Some(600), ..Fault::default() });
    {
        let first = stage.renew("v-1", "emea");
        let mint = until("the mint is in the air", async || stage.vendor.count(Operation::Mint) == 1);
        tokio::select! {
            reply = first => panic!("answered before the vendor did: {reply:?}"),
            () = mint => {}
        }
    }
    let reply = stage.renew("v-1", "emea").await;
    assert_eq!(reply.cache(), "coalesced");
    reply.token();
    assert_eq!(stage.counts(), (0, 1, 1));
}

#[tokio::test]
async fn row_37_nobody_is_left_and_the_token_is_kept_all_the_same() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { operation: "mint".into(), delay_ms: Some(200), ..Fault::default() });
    {
        let mint = until("the mint is in the air", async || stage.vendor.count(Operation::Mint) == 1);
        tokio::select! {
            reply = joined((0..3).map(|_| stage.renew("v-1", "emea"))) => panic!("answered too early: {reply:?}"),
            () = mint => {}
        }
    }
    stage.metric_reaches(r#"sidemint_viewer_tokens{upstream="acme"}"#, 1.0).await;
    assert_eq!(stage.renew("v-1", "emea").await.cache(), "hit");
    assert_eq!(stage.counts(), (0, 1, 1));
}

/// A server that counts who comes, and says nothing.
async fn canary() -> (std::net::SocketAddr, Arc<AtomicUsize>, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let came = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&came);
    let serve = async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    };
    (address, came, serve)
}

#[tokio::test]
async fn t30_rank_21_no_redirect_is_followed() {
    let (address, came, serve) = canary().await;
    let scene = async {
        for operation in ["token_info", "mint"] {
            for status in [301, 302, 303, 307, 308] {
                let stage = Stage::warm().await;
                let location = Some(format!("http://{address}/elsewhere?secret=canary"));
                stage.vendor.inject(Fault { location, ..Fault::status(operation, status) });
                let reply = stage.renew("v-1", "emea").await;
                assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()));
                assert!(reply.detail().contains(&address.to_string()), "{}", reply.detail());
                assert!(!reply.text().contains("canary"), "{}", reply.text());
            }
        }
    };
    tokio::select! {
        () = scene => {}
        () = serve => {}
    }
    assert_eq!(came.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn rank_21_nor_is_one_of_the_service_token() {
    let (address, came, serve) = canary().await;
    let vendor = crate::support::emulator().await;
    let location = Some(format!("http://{address}/login"));
    vendor.inject(Fault { location, ..Fault::status("service_token", 307) });
    let stage = Setup::default().beside(vendor).await;
    let reply = tokio::select! {
        reply = stage.renew("v-1", "emea") => reply,
        () = serve => panic!("the canary never ends"),
    };
    assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()));
    assert_eq!(came.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn row_33_a_private_link_redirect_is_named() {
    let stage = Stage::warm().await;
    let location = Some("/login.html?error=private-link-validation-error:canary".to_owned());
    stage.vendor.inject(Fault { operation: "token_info".into(), location, ..Fault::default() });
    let reply = stage.renew("v-1", "emea").await;
    assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()));
    let detail = reply.detail().to_lowercase();
    assert!(detail.contains("private link") && !detail.contains("canary"), "{detail}");
    assert_eq!(stage.operations(), ["token_info"]);
}

#[tokio::test]
async fn garbage_is_malformed_and_not_tried_again() {
    let stage = Stage::warm().await;
    stage.vendor.inject(Fault { operation: "mint".into(), garbage: true, ..Fault::default() });
    assert_eq!(stage.renew("v-1", "emea").await.refusal(), (502, "upstream_malformed".to_owned()));
    assert_eq!(stage.counts(), (0, 1, 1));
}
