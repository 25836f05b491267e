//! Viewers with tokens at Bold BI, by both endpoints.

use serde_json::{Value, json};

use super::page_client::{JSON, PATH, PROOF, honest, percent};
use super::scene::{BoldBi, READER, VIEWER, bodies, calls, regions, set};
use crate::issuer::{Issuer, Token, other_rsa, rsa};
use crate::support::{Reply, Setup, Stage};
use crate::viewers::scene::{Gate, unauthenticated};

async fn start(issuer: &Issuer, gate: Gate) -> Stage {
    let scene = BoldBi::default().sales("custom_attributes: {region: viewer.value}");
    let vendor = scene.vendor().await;
    let text = format!("{}{}", gate.section(issuer), scene.yaml(&vendor));
    let setup = Setup::default().variable("BOLD_SECRET", &vendor.boldbi().embed_secret);
    setup.with_text(vendor, &text).await
}

fn token(issuer: &Issuer) -> Token {
    Token::by(rsa(), issuer).viewer(VIEWER, "emea")
}

async fn authorize(stage: &Stage, token: &str, query: &str, headers: &[(&str, &str)]) -> Reply {
    let bearer = format!("Bearer {token}");
    let all: Vec<_> = [PROOF, JSON, ("authorization", bearer.as_str())].iter().chain(headers).copied().collect();
    stage.send("POST", &format!("{PATH}?{query}purpose=renew"), &all, honest()).await
}

#[tokio::test]
async fn t9_the_page_client_shows_what_the_token_proves() {
    let issuer = Issuer::start();
    let stage = start(&issuer, Gate::default()).await;
    let reply = authorize(&stage, &token(&issuer).text(), "", &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = reply.json()["Data"]["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(regions(&stage, &shown).await, set(&["emea"]));
    assert_eq!(bodies(&stage)[0]["email"], VIEWER);
    // Named as well, in either way, it is the same.
    let whole = percent(&json!({"id": VIEWER, "value": "emea"}).to_string());
    for (query, headers) in [
        (format!("viewer_id={}&", percent(VIEWER)), vec![("sidemint-viewer-value", "emea")]),
        (String::new(), vec![("sidemint-viewer", whole.as_str())]),
        (String::new(), vec![("sidemint-viewer", "%7B%7D")]),
    ] {
        let again = authorize(&stage, &token(&issuer).text(), &query, &headers).await;
        assert_eq!((again.text(), again.cache()), (reply.text(), "hit".to_owned()));
    }
    let posted = stage
        .send("POST", "/v1/embeds/sales/token", &[PROOF, JSON, ("authorization", &token(&issuer).bearer())], "{}")
        .await;
    assert_eq!(posted.token(), shown);
    assert_eq!(bodies(&stage).len(), 1, "one token for all of it");
}

#[tokio::test]
async fn rank_3_t9_the_page_cannot_name_another_viewer() {
    let issuer = Issuer::start();
    let stage = start(&issuer, Gate::default()).await;
    let named = |viewer: Value| percent(&viewer.to_string());
    let right = token(&issuer).text();
    for (query, headers) in [
        (format!("viewer_id={}&", percent(READER)), vec![]),
        (String::new(), vec![("sidemint-viewer-value", "apac".to_owned())]),
        (String::new(), vec![("sidemint-viewer", named(json!({"id": READER, "value": "emea"})))]),
        (String::new(), vec![("sidemint-viewer", named(json!({"id": VIEWER, "value": "apac"})))]),
        (String::new(), vec![("sidemint-viewer", named(json!({"roles": ["admin"]})))]),
        (String::new(), vec![("sidemint-viewer", named(json!({"attributes": {"region": "apac"}})))]),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = authorize(&stage, &right, &query, &headers).await;
        assert_eq!(reply.refusal(), (403, "viewer_mismatch".to_owned()), "{query} {headers:?}: {}", reply.text());
    }
    let none: [&str; 3] = ["", "x.y.z", &token(&issuer).really_by(other_rsa()).text()];
    for token in none {
        unauthenticated(&authorize(&stage, token, "", &[]).await, token);
        let named = format!("viewer_id={}&", percent(VIEWER));
        unauthenticated(&authorize(&stage, token, &named, &[("sidemint-viewer-value", "emea")]).await, token);
    }
    let without = stage.send("POST", PATH, &[PROOF, JSON], honest()).await;
    unauthenticated(&without, "no header");
    assert_eq!(calls(&stage), 0);
}
