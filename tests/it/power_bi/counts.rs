//! What Power BI and Entra are spared. The vendor's samples make six (Python) or eight (Node) calls for each page view.

use std::collections::BTreeMap;

use super::scene::{PowerBi, calls};
use crate::support::joined;

const VIEWS: usize = 1000;
const VIEWERS: usize = 50;

#[tokio::test]
async fn a_thousand_page_views_of_fifty_viewers_cost_one_call_for_each_viewer_and_two_for_all() {
    let stage = PowerBi::default().start().await;
    let viewers: Vec<(String, String)> =
        (0..VIEWERS).map(|number| (format!("v-{number}"), format!("name-{number}"))).collect();
    let mut tokens: BTreeMap<usize, String> = BTreeMap::new();
    // Twenty rounds, in each of which every viewer opens the page.
    for _ in 0..VIEWS / VIEWERS {
        let replies = joined(viewers.iter().map(|(viewer, name)| stage.load(viewer, name))).await;
        for (number, reply) in replies.iter().enumerate() {
            let token = reply.token();
            assert_eq!(*tokens.entry(number).or_insert_with(|| token.clone()), token, "one token for each viewer");
        }
    }
    let made = stage.vendor.journal().len();
    println!(
        "upstream calls: {made} for {VIEWS} page views of {VIEWERS} viewers; the vendor's samples make {} or {}",
        6 * VIEWS,
        8 * VIEWS
    );
    assert_eq!(calls(&stage), (1, 1, 50));
    assert!(made <= VIEWERS + 2, "{made}");
    assert_eq!((stage.outcomes("miss").await, stage.outcomes("hit").await), (50.0, 950.0));
}
