//! Secrets that change while the sidecar runs.

use std::path::Path;

use sidemint::emulator::Emulator;

use crate::support::{Setup, Stage, emulator, file_with, within};

async fn with_file(vendor: Emulator, path: &Path) -> Stage {
    let setup = Setup::default().secret_file(&vendor, path);
    setup.beside(vendor).await
}

const RELOADS: &str = r#"sidemint_secret_reloads_total{outcome="ok",secret="upstreams.acme.auth"}"#;

#[tokio::test]
async fn row_38_a_rotated_secret_is_used_for_the_next_mint_and_tokens_are_kept() {
    let vendor = emulator().await;
    let (path, _folder) = file_with(&format!("{}\n", vendor.databricks().client_secret));
    let stage = with_file(vendor, &path).await;
    let old = stage.renew("v-1", "emea").await.token();
    stage.vendor.set_secrets(&["dose-canary-new"]);
    std::fs::write(&path, "dose-canary-new\n").unwrap();
    // At once, before any poll: the vendor's no makes us look.
    stage.renew("v-2", "emea").await.token();
    assert_eq!(stage.renew("v-1", "emea").await.token(), old);
    let offered = stage.operations().iter().filter(|name| **name == "mint").count();
    assert!(offered <= 3, "{:?}", stage.operations());
}

/// As kubelet does it: a folder beside, and a link that is swapped.
#[tokio::test]
async fn row_38_and_rank_35_a_swapped_link_is_in_use_within_ten_seconds() {
    let vendor = emulator().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, secret: &str| {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("secret"), secret).unwrap();
        std::os::unix::fs::symlink(name, folder.path().join("..data_tmp")).unwrap();
        std::fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    write("one", &vendor.databricks().client_secret);
    let path = folder.path().join("..data").join("secret");
    let stage = with_file(vendor, &path).await.warmed().await;
    assert_eq!(stage.metric(RELOADS).await, Some(0.0));
    write("two", "dose-canary-new");
    within(std::time::Duration::from_secs(10), "the new secret is in use", async || {
        stage.metric(RELOADS).await == Some(1.0)
    })
    .await;
    // Not by the vendor's no: it takes the new one only, and sees no other.
    stage.vendor.set_secrets(&["dose-canary-new"]);
    stage.renew("v-1", "emea").await.token();
    assert_eq!(stage.counts(), (0, 1, 1));
}

/// A file that is empty or gone for a moment changes nothing, but shows.
#[tokio::test]
async fn rank_35_a_bad_file_is_ignored_and_counted() {
    let vendor = emulator().await;
    let (path, _folder) = file_with(&vendor.databricks().client_secret);
    let stage = with_file(vendor, &path).await.warmed().await;
    std::fs::write(&path, "").unwrap();
    stage.metric_reaches(r#"sidemint_secret_reloads_total{outcome="empty",secret="upstreams.acme.auth"}"#, 1.0).await;
    stage.renew("v-1", "emea").await.token();
    std::fs::remove_file(&path).unwrap();
    stage
        .metric_reaches(r#"sidemint_secret_reloads_total{outcome="unreadable",secret="upstreams.acme.auth"}"#, 1.0)
        .await;
    stage.renew("v-2", "emea").await.token();
}

/// A secret that the vendor refuses is not offered again until it changes; then it is, well before the thirty seconds.
#[tokio::test]
async fn row_38_a_corrected_secret_is_used_without_waiting_for_the_backoff() {
    let vendor = emulator().await;
    let good = vendor.databricks().client_secret.clone();
    let (path, _folder) = file_with("dose-canary-wrong");
    let stage = with_file(vendor, &path).await;
    assert_eq!(stage.renew("v-1", "emea").await.refusal(), (502, "upstream_credentials_rejected".to_owned()));
    std::fs::write(&path, good).unwrap();
    within(std::time::Duration::from_secs(15), "the corrected secret is used", async || {
        stage.renew("v-1", "emea").await.status == 200
    })
    .await;
    assert_eq!(stage.admin("/readyz").await.status, 200);
}

/// In the file before it is at the vendor: the one before goes on, and an alarm says so.
#[tokio::test]
async fn section_2_7_a_secret_that_the_vendor_does_not_know_yet_stops_nobody() {
    let vendor = emulator().await;
    let good = vendor.databricks().client_secret.clone();
    let (path, _folder) = file_with(&good);
    let stage = with_file(vendor, &path).await.warmed().await;
    stage.renew("v-1", "emea").await.token();
    std::fs::write(&path, "dose-canary-early").unwrap();
    stage.metric_reaches(RELOADS, 1.0).await;
    stage.vendor.revoke_tokens();
    stage.renew("v-2", "emea").await.token();
    let rejected = r#"sidemint_secret_reloads_total{outcome="rejected",secret="upstreams.acme.auth"}"#;
    assert_eq!(stage.metric(rejected).await, Some(1.0));
    assert_eq!(stage.admin("/readyz").await.status, 200);
    // Then the vendor changes over, with no gap either.
    stage.vendor.set_secrets(&["dose-canary-early"]);
    stage.vendor.revoke_tokens();
    within(std::time::Duration::from_secs(20), "the new one is taken", async || {
        stage.renew("v-3", "emea").await.status == 200
    })
    .await;
}
