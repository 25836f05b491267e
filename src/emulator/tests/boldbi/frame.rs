//! What a token lets its bearer see in the frame.

use std::time::Duration;

use super::*;
use crate::emulator::{Fault, Operation};

async fn data(emulator: &Emulator, token: &str) -> Answer {
    data_at(emulator, "/bi/site/site1", token).await
}

async fn data_at(emulator: &Emulator, site: &str, token: &str) -> Answer {
    let path = format!("{site}/embed/data?dashboard={BOARD}");
    get(emulator, &path, &[("Authorization", &format!("Bearer {token}"))]).await
}

/// The regions that a viewer with these members sees.
async fn regions(emulator: &Emulator, more: Value) -> Vec<String> {
    let seen = data(emulator, &access_token(&authorize(emulator, more).await)).await.json();
    let rows = seen["rows"].as_array().expect("rows").clone();
    let mut regions: Vec<_> = rows.iter().map(|row| row["region"].as_str().expect("a region").to_owned()).collect();
    regions.sort();
    regions.dedup();
    regions
}

#[tokio::test]
async fn viewers_see_the_rows_that_were_minted_for_them() {
    let emulator = emulator().await;
    let attribute = |value: Value| json!({"customattributes": [{"name": "region", "value": value}]});
    assert_eq!(regions(&emulator, attribute(json!("emea"))).await, ["emea"]);
    assert_eq!(regions(&emulator, attribute(json!(["emea", "apac"]))).await, ["apac", "emea"]);
    assert_eq!(regions(&emulator, attribute(json!("EMEA"))).await, [""; 0]);
    let filter = |list: &str, operator: &str| json!({list: [{"name": "Region", "value": ["emea", "anz"], "operator": operator}]});
    assert_eq!(regions(&emulator, filter("datasourcefilters", "in")).await, ["anz", "emea"]);
    assert_eq!(regions(&emulator, filter("dashboardparameters", "NOT IN")).await.len(), 4);
    let mut both = filter("datasourcefilters", "IN");
    both["customattributes"] = json!([{"name": "region", "value": ["emea", "latam"]}]);
    assert_eq!(regions(&emulator, both).await, ["emea"]);
    assert_eq!(regions(&emulator, json!({})).await.len(), 6);
}

#[tokio::test]
async fn the_frame_is_told_who_sees_what_and_for_how_long() {
    let emulator = emulator().await;
    let more = json!({"datasourcefilters": [{"name": "region", "value": "emea"}]});
    let answer = authorize(&emulator, more.clone()).await;
    let seen = data(&emulator, &access_token(&answer)).await.json();
    assert_eq!((&seen["title"], &seen["user"]), (&"Supply chain".into(), &EMAIL.into()));
    assert_eq!((&seen["filters"], &seen["tokenId"]), (&json!(["region = emea"]), &claims(&answer)["unique_name"]));
    assert!(seen["expiresIn"].as_i64().is_some_and(|left| (86_390..=86_400).contains(&left)));
    emulator.change_boldbi(|settings| settings.opaque_tokens = true);
    let opaque = access_token(&authorize(&emulator, more).await);
    assert_eq!(data(&emulator, &opaque).await.json()["rows"], seen["rows"]);
}

#[tokio::test]
async fn tokens_of_others_or_of_another_time_show_nothing() {
    let emulator = emulator().await;
    let good = access_token(&authorize(&emulator, json!({})).await);
    let foreign = super::super::emulator().await;
    let foreign = access_token(&authorize(&foreign, json!({})).await);
    for stranger in ["", "x", &foreign, &format!("{good}x")] {
        assert_eq!(data(&emulator, stranger).await.status, 401);
    }
    assert_eq!(data_at(&emulator, "/bi", &good).await.text("Message"), "The embed token is for another site");
    let nothing =
        get(&emulator, "/bi/site/site1/embed/data?dashboard=1", &[("Authorization", &format!("Bearer {good}"))]).await;
    assert_eq!(nothing.status, 404);
    emulator.set_boldbi_secret("another");
    assert_eq!(data(&emulator, &good).await.status, 200);
    emulator.revoke_boldbi_tokens();
    assert_eq!(data(&emulator, &good).await.status, 401);
    emulator.set_boldbi_token_life(Duration::ZERO);
    let over = access_token(&authorize(&emulator, json!({"embedsecret": "another"})).await);
    let refused = data(&emulator, &over).await;
    assert_eq!((refused.status, refused.text("Message").as_str()), (401, "The embed token has expired"));
    emulator.inject(Fault::status("boldbi_data", 503));
    assert_eq!(data(&emulator, &over).await.status, 503);
}

#[tokio::test]
async fn the_page_is_the_same_everywhere_and_may_be_framed_by_anybody() {
    let emulator = emulator().await;
    for site in ["/bi/site/site1", "/bi", ""] {
        let page = get(&emulator, &format!("{site}/embed/dashboards/{BOARD}"), &[]).await;
        assert!(page.header("content-security-policy").is_some_and(|policy| policy.ends_with("frame-ancestors *")));
        assert!(page.body.contains("/emulator/boldbi/frame.js") && !page.body.contains("{style}"));
    }
    let script = get(&emulator, "/emulator/boldbi/frame.js", &[]).await;
    assert!(script.header("content-type").is_some_and(|kind| kind.starts_with("text/javascript")));
    assert_eq!(emulator.count(Operation::BoldBiFrame), 4);
    let front = get(&emulator, "/", &[]).await.body;
    assert!(front.contains(BOARD) && front.contains(SECRET) && front.contains(EMAIL) && !front.contains("{boldbi"));
}
