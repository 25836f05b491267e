//! Rank 1: whatever happens at once, a token is the asker's own.

use std::collections::HashMap;

use sidemint::emulator::Emulator;
use sidemint::emulator::{Dashboard, DatabricksSettings, Fault, Settings};

use crate::support::{Setup, Stage, claim, joined, let_pass, ms};

const VIEWERS: usize = 20;
const EMBEDS: usize = 5;
const CALLS: usize = 2000;
/// Callers at work at one time.
const LANES: usize = 50;

/// A stage with more dashboards: `e-0` shows the dashboard `d0`, and so on.
async fn stage() -> Stage {
    let dashboards = (0..EMBEDS).map(|number| Dashboard::new(&format!("d{number}"), "one of many")).collect();
    let databricks = DatabricksSettings { dashboards, ..DatabricksSettings::default() };
    let vendor = Emulator::start(Settings { databricks, ..Settings::default() }).await.expect("a free port");
    let setup = Setup::default();
    let embeds: String =
        (0..EMBEDS).map(|number| format!("  e-{number}: {{upstream: acme, dashboard_id: d{number}}}\n")).collect();
    let text = setup.yaml(&vendor) + &embeds;
    setup.with_text(vendor, &text).await
}

/// Of so many requests each waits another time: faults are for a dashboard each, so that mints overtake each other.
fn upset(stage: &Stage) {
    for number in 0..EMBEDS {
        let path = Some(format!("/d{number}/"));
        let delay_ms = Some(1 + 60 * number as u64);
        stage.vendor.inject(Fault { operation: "token_info".into(), path, delay_ms, ..Fault::default() });
    }
    stage.vendor.inject(Fault::status("mint", 503).times(5));
    stage.vendor.inject(Fault { operation: "token_info".into(), reset: true, ..Fault::default() }.times(5));
}

/// One lane of calls; returns how many were answered and how many were given up.
async fn lane(stage: &Stage, seed: u64, seen: &std::sync::Mutex<HashMap<String, String>>) -> (usize, usize) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (mut answered, mut aborted) = (0, 0);
    for _ in 0..CALLS / LANES {
        let (viewer, value) = (format!("v-{}", chance.usize(..VIEWERS)), format!("r{}", chance.usize(..2)));
        let number = chance.usize(..EMBEDS);
        let embed = format!("e-{number}");
        let ask = stage.renew_of(&embed, &viewer, &value);
        let reply = if chance.usize(..20) == 0 {
            tokio::select! {
                reply = ask => Some(reply),
                () = let_pass(ms(chance.u64(..20))) => None,
            }
        } else {
            Some(ask.await)
        };
        let Some(reply) = reply else {
            aborted += 1;
            continue;
        };
        let token = reply.token();
        let own = format!("urn:aibi:external_data:{value}:{viewer}:d{number}");
        assert_eq!(claim(&token), own);
        let before = seen.lock().expect("no panic before").insert(token, own.clone());
        assert!(before.is_none_or(|before| before == own));
        answered += 1;
    }
    (answered, aborted)
}

#[tokio::test]
async fn t14_rank_01_every_token_is_the_asker_s_own() {
    let stage = stage().await.warmed().await;
    upset(&stage);
    let seen = std::sync::Mutex::new(HashMap::new());
    let lanes = joined((0..LANES as u64).map(|seed| lane(&stage, seed, &seen))).await;
    let (answered, aborted) = lanes.iter().fold((0, 0), |sum, lane| (sum.0 + lane.0, sum.1 + lane.1));
    assert!(aborted > 0 && answered + aborted == CALLS, "{answered} answered, {aborted} given up");
    // No mint was repeated, whoever hung up.
    let keys = seen.lock().expect("no panic before").len();
    let minted =
        stage.metric(r#"sidemint_upstream_requests_total{operation="mint",outcome="ok",upstream="acme"}"#).await;
    let minted = minted.expect("mints are counted");
    assert!(keys > 150 && minted >= keys as f64 && minted <= (VIEWERS * EMBEDS * 2) as f64, "{minted} for {keys}");
}

/// Made-up viewers fill no memory: what is beyond the bound goes, and whoever comes again is served.
#[tokio::test]
async fn t41_the_cache_is_bounded_by_bytes() {
    let stage = Setup::default().more("cache: {max_size: 128KiB}").start().await.warmed().await;
    for viewer in 0..200 {
        stage.renew(&format!("made-up-{viewer}"), "emea").await.token();
    }
    let status = stage.client.get(stage.app.admin(), "/status", &[("accept", "application/json")]).await.json();
    let (tokens, bytes) = (status["cache"]["viewer_tokens"].as_u64(), status["cache"]["bytes"].as_u64());
    assert!(tokens.is_some_and(|tokens| (20..190).contains(&tokens)), "{tokens:?}");
    assert!(bytes.is_some_and(|bytes| bytes <= 128 << 10), "{bytes:?}");
    stage.renew("made-up-0", "emea").await.token();
}
