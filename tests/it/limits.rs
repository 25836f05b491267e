//! How fast dashboards may start.

use std::time::{Duration, Instant};

use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::support::{DASHBOARD, Reply, Setup, Stage, emulator, joined, let_pass, ms, until};

const STARTED: &str = r#"sidemint_loads_started_total{upstream="acme"}"#;

fn limited(reason: &str) -> String {
    format!(r#"sidemint_loads_rejected_total{{reason="{reason}",upstream="acme"}}"#)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("v-{number}")).collect()
}

#[tokio::test]
async fn an_idle_limiter_lets_twenty_through_and_the_rest_wait_for_the_window() {
    let stage = Stage::warm().await;
    let viewers = names(25);
    joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await;
    let begin = Instant::now();
    let timed = async |viewer: &String| {
        let reply = stage.load(viewer, "emea").await;
        (begin.elapsed(), reply)
    };
    let replies = joined(viewers.iter().map(timed)).await;
    let waited = |reply: &Reply| {
        reply
            .header("server-timing")
            .is_some_and(|timing| timing.contains("limiter;dur=") && !timing.contains("limiter;dur=0.0"))
    };
    for (after, reply) in &replies {
        reply.token();
        assert!(!waited(reply) || *after >= ms(1000), "{after:?} {:?}", reply.headers);
    }
    assert_eq!(replies.iter().filter(|(_, reply)| waited(reply)).count(), 5);
    assert_eq!(stage.metric(STARTED).await, Some(25.0));
    assert_eq!(stage.metric(r#"sidemint_loads_waiting{upstream="acme"}"#).await, Some(0.0));
    assert_eq!(stage.metric(r#"sidemint_load_wait_seconds_count{upstream="acme"}"#).await, Some(25.0));
}

#[tokio::test]
async fn one_viewer_may_start_five_in_a_second() {
    let stage = Stage::warm().await;
    stage.renew("v-1", "emea").await.token();
    let replies = joined((0..8).map(|_| stage.load("v-1", "emea"))).await;
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status != 200).collect();
    assert_eq!(refused.len(), 3);
    for reply in refused {
        assert_eq!(reply.refusal(), (429, "viewer_limited".to_owned()));
        assert_eq!((reply.retry_after(), reply.json()["retry_after"].as_u64()), (Some(1), Some(1)));
        assert_eq!(reply.json()["class"], "retry");
    }
    assert_eq!(stage.metric(&limited("viewer_limited")).await, Some(3.0));
    assert_eq!(stage.outcomes("limited").await, 3.0);
    // Another viewer is not held up, and neither is a renewal of this one.
    stage.load("v-2", "emea").await.token();
    stage.renew("v-1", "emea").await.token();
    // The time it was told is true.
    let_pass(ms(1000)).await;
    stage.load("v-1", "emea").await.token();
}

#[tokio::test]
async fn beyond_the_longest_wait_it_is_429_with_a_true_time() {
    let stage = Setup::default().upstream("load_limit: {per_second: 2, max_wait: 1s}").start().await.warmed().await;
    let viewers = names(8);
    joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await;
    let begin = Instant::now();
    let replies = joined(viewers.iter().map(|viewer| stage.load(viewer, "emea"))).await;
    let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status != 200).collect();
    assert!((4..=6).contains(&refused.len()), "{} refused", refused.len());
    for reply in &refused {
        assert_eq!(reply.refusal(), (429, "load_limited".to_owned()));
        assert!(reply.retry_after().is_some_and(|wait| (1..=5).contains(&wait)), "{:?}", reply.headers);
    }
    assert!(begin.elapsed() < ms(2500), "{:?}", begin.elapsed());
    assert_eq!(stage.metric(&limited("load_limited")).await, Some(refused.len() as f64));
    stage.renew("v-0", "emea").await.token();
}

#[tokio::test]
async fn t43_no_mint_is_spent_on_a_load_that_cannot_even_queue_up() {
    let limit = "load_limit: {per_second: 1, max_wait: 5s, max_waiting: 1}";
    let stage = Setup::default().upstream(limit).start().await.warmed().await;
    stage.renew("v-0", "emea").await.token();
    stage.load("v-0", "emea").await.token();
    let waiting = stage.load("v-0", "emea");
    let others = async {
        stage.metric_reaches(r#"sidemint_loads_waiting{upstream="acme"}"#, 1.0).await;
        stage.vendor.clear_journal();
        let refused = stage.load("v-cold", "emea").await;
        assert_eq!(refused.refusal(), (429, "load_limited".to_owned()));
        assert_eq!(stage.operations(), Vec::<&str>::new());
    };
    let (reply, ()) = tokio::join!(waiting, others);
    reply.token();
}

#[tokio::test]
async fn two_upstreams_of_one_host_share_the_limit() {
    let vendor = emulator().await;
    let setup = Setup::default().upstream("load_limit: {per_second: 3, max_wait: 0s}");
    let second = format!(
        "upstreams:\n  again: {{kind: databricks, host: '{}', auth: {{client_id: {}, client_secret_env: SECRET}}}}\n",
        vendor.url(),
        vendor.databricks().client_id
    );
    let mut text = setup.yaml(&vendor).replace("upstreams:\n", &second);
    text.push_str(&format!("  twin: {{upstream: again, dashboard_id: {DASHBOARD}}}\n"));
    let stage = setup.with_text(vendor, &text).await;
    let ask = async |embed: &str, viewer: &str, purpose: &str| {
        stage.post(embed, &json!({"viewer": {"id": viewer}, "purpose": purpose})).await
    };
    for viewer in names(6) {
        ask("sales", &viewer, "renew").await.token();
        ask("twin", &viewer, "renew").await.token();
    }
    let asks = (0..6).map(|number| {
        let (ask, viewer) = (&ask, format!("v-{number}"));
        async move { ask(if number % 2 == 0 { "sales" } else { "twin" }, &viewer, "load").await.status }
    });
    let statuses = joined(asks).await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
}

/// One that hangs up while it waits takes no start.
#[tokio::test]
async fn who_hangs_up_while_waiting_makes_room() {
    let stage = Setup::default().upstream("load_limit: {per_second: 1, max_wait: 5s}").start().await.warmed().await;
    for viewer in ["v-1", "v-2", "v-3"] {
        stage.renew(viewer, "emea").await.token();
    }
    stage.load("v-1", "emea").await.token();
    let waiting = r#"sidemint_loads_waiting{upstream="acme"}"#;
    tokio::select! {
        reply = stage.load("v-2", "emea") => panic!("started too early: {reply:?}"),
        () = stage.metric_reaches(waiting, 1.0) => {}
    }
    until("nobody waits", async || stage.metric(waiting).await == Some(0.0)).await;
    stage.load("v-3", "emea").await.token();
    assert_eq!(stage.metric(STARTED).await, Some(2.0));
}

/// Cold viewers in a burst, each of whom starts the dashboard as soon as it has its token, and asks again when told to.
#[tokio::test]
async fn rank_05_a_burst_of_cold_viewers_never_starts_more_than_twenty_in_a_second() {
    // All of this runs on one thread, so the way from a hand-out to a load takes longer than it does anywhere else.
    let limit = "load_limit: {window: 1600ms}";
    let stage = Setup::default().upstream(limit).start().await.warmed().await;
    let viewers = names(70);
    let scene = async |viewer: &String| loop {
        let reply = stage.load(viewer, "emea").await;
        if reply.status == 200 {
            let handed_out = Instant::now();
            assert_eq!(start(&stage, &reply.token()).await, 200, "the vendor refuses nobody");
            return handed_out;
        }
        assert_eq!(reply.refusal(), (429, "load_limited".to_owned()));
        let wait = reply.retry_after().expect("a refusal says when to come again");
        let_pass(Duration::from_secs(wait)).await;
    };
    let mut times = joined(viewers.iter().map(scene)).await;
    times.sort_unstable();
    let most = times.iter().map(|first| times.iter().filter(|at| **at >= *first && **at - *first < ms(1000)).count());
    assert!(most.clone().max() <= Some(20), "{:?} in one second", most.max());
    let loads = stage.vendor.loads();
    assert_eq!((loads.started, loads.refused), (70, 0));
    assert!(loads.peak_per_second <= 20, "{loads:?}");
    assert_eq!(stage.metric(STARTED).await, Some(70.0));
}

/// The vendor's page starts to load with this token.
async fn start(stage: &Stage, token: &str) -> u16 {
    let url = format!("{}/api/emulator/dashboards/{DASHBOARD}/load", stage.vendor.url());
    let request = Request::post(url).header("authorization", format!("Bearer {token}"));
    let request = request.body(Full::default()).expect("a request of known parts");
    stage.client.send(request).await.expect("the vendor answers").status.as_u16()
}
