//! The embed secret. A site has one; generating a new one ends the old one at once.

use std::path::Path;
use std::time::Duration;

use sidemint::emulator::{Emulator, Fault};

use super::refusals::says;
use super::scene::{BoldBi, READER, VIEWER, asked, calls, told};
use crate::support::{Stage, file_with, joined, within};

async fn with_file(scene: BoldBi, vendor: Emulator, path: &Path) -> Stage {
    scene.auth(&format!("{{embed_secret_file: {}}}", path.display())).beside(vendor).await
}

const WHERE: &str = "Settings > Embed > Regenerate";

async fn a_secret_ends(scene: BoldBi) {
    let scene = scene.users(&["new-1@example.com", "new-2@example.com"]);
    let vendor = scene.vendor().await;
    let (path, _folder) = file_with(&vendor.boldbi().embed_secret);
    let stage = with_file(scene, vendor, &path).await;
    let shown = stage.renew(VIEWER, "emea").await.token();
    stage.vendor.set_boldbi_secret("bold-embed-secret-new");
    stage.vendor.clear_journal();
    for round in 0..10 {
        // It was good before, so the first refusal may be about her alone, and the second one is proof.
        for (viewer, asked) in [("new-1@example.com", 1), ("new-2@example.com", 2), (READER, 2)] {
            told(&stage.renew(viewer, "emea").await, 502, "upstream_credentials_rejected", WHERE);
            assert_eq!(calls(&stage), if round == 0 { asked } else { 2 });
        }
        let old = stage.renew(VIEWER, "emea").await;
        assert_eq!((old.token(), old.cache()), (shown.clone(), "hit".to_owned()));
    }
    assert_eq!(asked(&stage)[0].notes, ["the embed secret was replaced"]);
    for probe in ["/readyz", "/startupz", "/livez"] {
        assert_eq!(stage.admin(probe).await.status, 200, "{probe}: old tokens are good");
    }
    // As soon as the file has the new one, and well before the thirty seconds.
    std::fs::write(&path, "bold-embed-secret-new\n").expect("a file can be written");
    within(Duration::from_secs(15), "the new secret is in use", async || {
        stage.renew(READER, "emea").await.status == 200
    })
    .await;
    assert_eq!(calls(&stage), 3);
    assert_eq!(stage.renew(VIEWER, "emea").await.token(), shown);
}

#[tokio::test]
async fn row_b16_a_secret_that_ended_is_offered_no_more_and_what_is_cached_is_shown() {
    // Both wait for the file to be looked at, so they wait together.
    joined([BoldBi::default(), BoldBi::signed()].map(a_secret_ends)).await;
}

/// Nobody but she is kept waiting for it, however often she asks.
#[tokio::test]
async fn a_viewer_for_whom_the_secret_is_said_to_be_wrong_stops_nobody_else() {
    let stage = BoldBi::default().users(&["new-1@example.com"]).start().await;
    stage.renew(VIEWER, "emea").await.token();
    stage.vendor.inject(Fault { times: Some(1), ..says("Invalid embed secret") });
    for _ in 0..10 {
        told(&stage.renew("new-1@example.com", "emea").await, 502, "upstream_credentials_rejected", WHERE);
    }
    assert_eq!(calls(&stage), 2);
    stage.renew(READER, "emea").await.token();
    assert_eq!(calls(&stage), 3);
}

/// In the file before anybody notices: the vendor's no makes us look, and no caller sees it.
#[tokio::test]
async fn row_b16_a_secret_that_is_already_in_the_file_costs_nobody_an_error() {
    let scene = BoldBi::default();
    let vendor = scene.vendor().await;
    let (path, _folder) = file_with(&vendor.boldbi().embed_secret);
    let stage = with_file(scene, vendor, &path).await;
    let old = stage.renew(VIEWER, "emea").await.token();
    stage.vendor.set_boldbi_secret("bold-embed-secret-new");
    std::fs::write(&path, "bold-embed-secret-new\n").expect("a file can be written");
    stage.renew(READER, "emea").await.token();
    assert_eq!(stage.renew(VIEWER, "emea").await.token(), old);
    // At most one ask with the old one, if it was not re-read in time.
    assert!((2..=3).contains(&calls(&stage)), "{:?}", stage.operations());
}

#[tokio::test]
async fn row_b16_a_wrong_secret_from_the_start_is_told_and_shows_in_the_status() {
    let scene = BoldBi::default();
    let vendor = scene.vendor().await;
    vendor.set_boldbi_secret("another");
    let stage = scene.beside(vendor).await;
    for number in 0..20 {
        let reply = stage.renew(&format!("v-{number}@example.com"), "emea").await;
        told(&reply, 502, "upstream_credentials_rejected", WHERE);
    }
    assert_eq!(calls(&stage), 1);
    let status = stage.client.get(stage.app.admin(), "/status", &[("accept", "application/json")]).await.json();
    assert_eq!(status["recent_errors"][0]["code"], "upstream_credentials_rejected");
    let denied = r#"sidemint_upstream_requests_total{operation="mint",outcome="denied",upstream="acme"}"#;
    assert_eq!(stage.metric(denied).await, Some(1.0));
}
