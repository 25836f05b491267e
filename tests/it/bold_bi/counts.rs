//! What Bold BI is spared: its samples ask for a token for each page view.

use std::collections::BTreeMap;

use sidemint::emulator::{Fault, Operation};

use super::scene::{BoldBi, VIEWER, calls};
use crate::support::{joined, until};

const VIEWS: usize = 1000;
const VIEWERS: usize = 50;

#[tokio::test]
async fn a_thousand_page_views_of_fifty_viewers_cost_one_call_for_each_viewer() {
    let emails: Vec<String> = (0..VIEWERS).map(|number| format!("v-{number}@example.com")).collect();
    let stage = BoldBi::default().users(&emails).start().await;
    let mut tokens: BTreeMap<usize, String> = BTreeMap::new();
    // Twenty rounds, in each of which every viewer opens the page.
    for _ in 0..VIEWS / VIEWERS {
        let replies = joined(emails.iter().map(|email| stage.load(email, "emea"))).await;
        for (number, reply) in replies.iter().enumerate() {
            let token = reply.token();
            assert_eq!(*tokens.entry(number).or_insert_with(|| token.clone()), token, "one token for each viewer");
        }
    }
    println!("upstream calls: {} for {VIEWS} page views of {VIEWERS} viewers", calls(&stage));
    assert_eq!(calls(&stage), VIEWERS);
    assert_eq!((stage.outcomes("miss").await, stage.outcomes("hit").await), (50.0, 950.0));
}

#[tokio::test]
async fn many_cold_asks_for_one_viewer_are_one_call() {
    for scene in [BoldBi::default(), BoldBi::signed()] {
        let stage = scene.start().await;
        stage.vendor.inject(Fault { operation: "boldbi_authorize".into(), delay_ms: Some(200), ..Fault::default() });
        let replies = joined((0..40).map(|_| stage.load(VIEWER, "emea"))).await;
        assert!(replies.iter().all(|reply| reply.token() == replies[0].token()));
        assert_eq!(calls(&stage), 1);
        assert_eq!((stage.outcomes("miss").await, stage.outcomes("coalesced").await), (1.0, 39.0));
    }
}

/// The first to ask may leave: the others, and who comes later, get what was asked for.
#[tokio::test]
async fn a_caller_who_leaves_ends_nothing() {
    let stage = BoldBi::default().start().await;
    stage.vendor.inject(Fault { operation: "boldbi_authorize".into(), delay_ms: Some(500), ..Fault::default() });
    let under_way = async {
        let count = || stage.vendor.count(Operation::BoldBiAuthorize);
        until("the ask is in the air", async || count() == 1).await;
    };
    tokio::select! {
        reply = stage.renew(VIEWER, "emea") => panic!("too early: {}", reply.text()),
        () = under_way => {}
    }
    let token = stage.renew(VIEWER, "emea").await.token();
    assert_eq!(stage.renew(VIEWER, "emea").await.token(), token);
    assert_eq!(calls(&stage), 1);
}
