//! The first token, the next one, and many at once.

use std::collections::BTreeSet;

use serde_json::json;
use sidemint::emulator::{Fault, Operation};

use super::scene::{PowerBi, bodies, calls, opened, plain, requests, secured, workspace};
use crate::support::{joined, until};

#[tokio::test]
async fn row_h1_a_cold_viewer_costs_one_service_token_one_look_up_and_one_mint() {
    let stage = PowerBi::default().start().await;
    let reply = stage.renew("v-1", "emea").await;
    let token = reply.token();
    assert!(token.starts_with("H4sI") && opened(&token).contains(r#""username":"emea""#));
    // The embed token ends with the Entra token, which was got a moment ago.
    assert!((3500..=3600).contains(&reply.expires_in()), "{}", reply.text());
    assert_eq!(reply.json()["token_type"], "Bearer");
    assert!(reply.json()["refresh_in"].as_i64().is_some_and(|after| (2500..=2700).contains(&after)));
    assert_eq!((reply.cache().as_str(), reply.header("cache-control")), ("miss", Some("no-store")));
    assert_eq!(stage.operations(), ["entra_token", "powerbi_report", "generate_token"]);
    let form = &requests(&stage, Operation::EntraToken)[0].form;
    assert_eq!(form["scope"], "https://analysis.windows.net/powerbi/api/.default");
    assert_eq!(form["grant_type"], "client_credentials");
    let body = json!({
        "datasets": [{"id": secured().dataset}],
        "reports": [{"id": secured().report}],
        "identities": [{"username": "emea", "roles": ["Customer"], "datasets": [secured().dataset]}],
    });
    assert_eq!(bodies(&stage), [body]);
    let minted = &requests(&stage, Operation::GenerateToken)[0];
    assert_eq!((minted.path.as_str(), minted.auth_scheme.as_deref()), ("/v1.0/myorg/GenerateToken", Some("bearer")));
    assert_eq!(minted.headers["content-type"], "application/json");
}

#[tokio::test]
async fn row_h2_the_next_ask_is_the_same_token_from_memory() {
    let stage = PowerBi::default().start().await;
    let first = stage.renew("v-1", "emea").await;
    stage.vendor.clear_journal();
    let second = stage.renew("v-1", "emea").await;
    assert_eq!((second.token(), second.cache()), (first.token(), "hit".to_owned()));
    assert_eq!(second.json()["embed"]["token_id"], first.json()["embed"]["token_id"]);
    assert_eq!(stage.operations(), Vec::<&str>::new());
    // The GET and the bare text are the same token.
    let headers = [("sidemint-request", "true"), ("sidemint-viewer-value", "emea"), ("accept", "text/plain")];
    let path = "/v1/embeds/sales/token?viewer_id=v-1&purpose=renew";
    assert_eq!(stage.send("GET", path, &headers, "").await.text(), first.token());
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn row_h3_a_hundred_asks_for_one_viewer_are_one_mint() {
    let stage = PowerBi::default().start().await;
    let replies = joined((0..100).map(|_| stage.renew("v-1", "emea"))).await;
    let tokens: BTreeSet<String> = replies.iter().map(|reply| reply.token()).collect();
    assert_eq!((tokens.len(), calls(&stage)), (1, (1, 1, 1)));
}

#[tokio::test]
async fn row_h4_a_hundred_viewers_are_a_hundred_mints_and_one_look_up() {
    let stage = PowerBi::default().start().await;
    let ask = async |number: usize| {
        let name = format!("name-{number:03}");
        let token = stage.renew(&format!("v-{number}"), &name).await.token();
        assert!(opened(&token).contains(&format!(r#""username":"{name}""#)), "{name} got another's token");
        token
    };
    let tokens: BTreeSet<String> = joined((0..100).map(ask)).await.into_iter().collect();
    assert_eq!((tokens.len(), calls(&stage)), (100, (1, 1, 100)));
}

/// What everybody waits for is looked up once, even where it takes long and all come meanwhile.
#[tokio::test]
async fn the_report_is_looked_up_once_however_slow_the_vendor_is() {
    let stage = PowerBi::default().warm().await;
    let slow = Fault { operation: "powerbi_report".into(), delay_ms: Some(300), ..Fault::default() };
    stage.vendor.inject(slow.times(1));
    let viewers: Vec<String> = (0..20).map(|number| format!("v-{number}")).collect();
    joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await.iter().for_each(|reply| drop(reply.token()));
    assert_eq!(calls(&stage), (0, 1, 20));
}

#[tokio::test]
async fn row_h51_who_hangs_up_neither_ends_the_mint_nor_fails_the_others() {
    let stage = PowerBi::default().warm().await;
    stage.vendor.inject(Fault { operation: "generate_token".into(), delay_ms: Some(400), ..Fault::default() });
    {
        let first = stage.renew("v-1", "emea");
        let mint = until("the mint is in the air", async || calls(&stage).2 == 1);
        tokio::select! {
            reply = first => panic!("answered before the vendor did: {reply:?}"),
            () = mint => {}
        }
    }
    let second = stage.renew("v-1", "emea").await;
    second.token();
    assert_eq!((second.cache().as_str(), calls(&stage)), ("coalesced", (0, 1, 1)));
}

/// Two embeds of one report are two embeds: each looks it up, and neither shows the other's tokens.
#[tokio::test]
async fn embeds_of_one_upstream_share_the_service_token_and_nothing_else() {
    let open = format!("report_id: {}", plain().report);
    let stage = PowerBi::default().embed("open", &open).start().await;
    let (filtered, whole) = tokio::join!(stage.renew("v-1", "emea"), stage.renew_of("open", "v-1", "emea"));
    assert_ne!(filtered.token(), whole.token());
    assert!(!opened(&whole.token()).contains("emea"));
    assert_eq!(calls(&stage), (1, 2, 2));
    let looked: BTreeSet<String> =
        requests(&stage, Operation::PowerBiReport).into_iter().map(|entry| entry.path).collect();
    let path = |report: &str| format!("/v1.0/myorg/groups/{}/reports/{report}", workspace());
    assert_eq!(looked, BTreeSet::from([path(&secured().report), path(&plain().report)]));
}
