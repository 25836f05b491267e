//! Routes while the sidecar runs: what is counted, shown, and put in their place by a reload or a stop.

use sidemint::config;
use sidemint::emulator::{AppSettings, Fault};

use super::scene::{PROOF, Route, at_app, caller, fetched, get, head};
use super::target::{Bare, OK, Target};
use crate::support::{Stage, joined, until};

async fn count(stage: &Stage, code: &str) -> f64 {
    let series = format!(r#"sidemint_proxy_requests_total{{code="{code}",route="app"}}"#);
    stage.metric(&series).await.unwrap_or_default()
}

#[tokio::test]
async fn rank_33_requests_are_counted_by_class_and_nothing_else() {
    let target = Target::saying(|arrived| {
        let status = arrived.head.first.split(['/', ' ']).nth(3).unwrap_or("200").to_owned();
        format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\n\r\nok")
    })
    .await;
    let stage = Route::default().to(&target.url).await;
    for path in ["/api/200", "/api/201", "/api/302", "/api/404", "/api/500", "/api/503", "/admin", "/api/../x"] {
        get(&stage, path).await;
    }
    let mut counts = Vec::new();
    for code in ["2xx", "3xx", "4xx", "5xx"] {
        counts.push(count(&stage, code).await);
    }
    assert_eq!(counts, [2.0, 1.0, 3.0, 2.0]);
    let duration = r#"sidemint_proxy_request_duration_seconds_count{code="2xx",route="app"}"#;
    assert_eq!(stage.metric(duration).await, Some(2.0));
    assert_eq!(stage.metric(r#"sidemint_refused_requests_total{code="route_denied"}"#).await, Some(1.0));
    // Series are those of the config: whatever is asked makes no other.
    stage.send("GET", "/proxy/nothing/x", &[PROOF], "").await;
    let before = stage.admin("/metrics").await.text().lines().count();
    for number in 0..200 {
        get(&stage, &format!("/api/200?x={number}")).await;
        stage.send("GET", &format!("/proxy/r{number}/x"), &[PROOF], "").await;
    }
    let text = stage.admin("/metrics").await.text();
    assert_eq!(text.lines().count(), before, "{text}");
    assert!(!text.contains("r199") && !text.contains("admin"), "no path in it");
}

#[tokio::test]
async fn the_status_page_shows_routes_and_their_failures() {
    let bare = Bare::new().await;
    let stage = Route::default().keys("audience: an-app").also("second", "allow: []").to(&bare.url).await;
    let url = bare.url.clone();
    drop(bare);
    assert_eq!(get(&stage, "/api/secret-path?q=secret").await.status, 502);
    assert_eq!(stage.send("GET", "/proxy/second/x", &[PROOF], "").await.status, 403);
    let json = stage.client.get(stage.app.admin(), "/status", &[("accept", "application/json")]).await.json();
    let route = json["routes"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "app")).expect("a route");
    assert_eq!(
        (&route["upstream"], &route["target"], &route["audience"]),
        (&"acme".into(), &url.into(), &"an-app".into())
    );
    let errors = json["recent_errors"].to_string();
    assert!(errors.contains("app"), "{errors}");
    let page = stage.admin("/status").await.text();
    for text in [json.to_string(), page] {
        assert!(!text.contains("secret") && !text.contains("eyJ"), "{text}");
    }
}

fn parsed(stage: &Stage, route: &Route, target: &str) -> config::Config {
    let text = route.setup(target).yaml(&stage.vendor);
    stage.parsed(&text)
}

#[tokio::test]
async fn a_reload_adds_changes_and_removes_routes() {
    let (one, other) = (Target::ok().await, Target::ok().await);
    let stage = Route::default().to(&one.url).await;
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    let more = Route::default().also("second", "allow: ['GET /**']");
    stage.app.reload(parsed(&stage, &more, &one.url)).await.expect("the new config is taken");
    assert_eq!(stage.send("GET", "/proxy/second/x", &[PROOF], "").await.status, 200);
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    assert_eq!(one.connections(), 2, "what has not changed keeps its connections");
    stage.app.reload(parsed(&stage, &Route::default(), &other.url)).await.expect("the new config is taken");
    assert_eq!(stage.send("GET", "/proxy/second/x", &[PROOF], "").await.refusal(), (404, "unknown_route".to_owned()));
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    assert_eq!((one.arrived().len(), other.arrived().len()), (3, 1));
    stage.app.reload(parsed(&stage, &Route::default().allow("GET /other"), &other.url)).await.expect("taken");
    assert_eq!(get(&stage, "/api/x").await.refusal(), (403, "route_denied".to_owned()));
    assert_eq!(get(&stage, "/other").await.status, 200);
    assert_eq!(fetched(&stage).0, 0, "the service token is kept through all of it");
    assert_eq!(count(&stage, "2xx").await, 4.0, "and so are the counters");
}

/// A request in flight goes on with the route that it began with.
#[tokio::test]
async fn a_reload_disturbs_no_request_in_flight() {
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let mut line = caller(&stage).await;
    line.say(head(&stage, "GET /api/x", "")).await;
    let (mut target, _) = bare.request().await;
    let elsewhere = Target::ok().await;
    stage.app.reload(parsed(&stage, &Route::default().allow("GET /none"), &elsewhere.url)).await.expect("taken");
    target.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ").await;
    let under_way = line.head().await.expect("an answer");
    line.say("").await;
    target.say("of it").await;
    assert_eq!(line.body(&under_way).await.data, b"half of it");
    assert_eq!(elsewhere.connections(), 0);
}

/// The app-scoped token is kept as well, as long as its route and upstream stay.
#[tokio::test]
async fn a_reload_keeps_narrowed_tokens() {
    let route = Route::default().keys(&format!("audience: {}", AppSettings::default().client_id));
    let stage = route.clone().before_app().await;
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    let target = stage.vendor.app_url();
    let changed = route.clone().also("second", "allow: ['GET /api/**']");
    stage.app.reload(parsed(&stage, &changed, &target)).await.expect("the new config is taken");
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    assert_eq!(fetched(&stage), (0, 1, 2));
    let entries = at_app(&stage);
    assert_eq!(entries[0].credential, entries[1].credential);
}

/// What is in flight when a stop begins is answered; what comes later is told to go elsewhere.
#[tokio::test]
async fn rank_38_a_stop_lets_what_is_in_flight_finish() {
    let bare = Bare::new().await;
    let stage = Route::default().server("drain_timeout: 5s").to(&bare.url).await;
    let mut line = caller(&stage).await;
    line.say(head(&stage, "GET /api/x", "")).await;
    let (mut target, _) = bare.request().await;
    target.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    let under_way = line.head().await.expect("an answer");
    stage.app.tasks().stop().begin();
    let finishing = async {
        assert_eq!(line.chunk().await.as_deref(), Some(&b"half"[..]));
        let mut late = caller(&stage).await;
        late.say(head(&stage, "GET /api/late", "")).await;
        assert_eq!(late.answer().await.map(|answer| answer.refusal()), Some((503, "draining".to_owned())));
        target.say("5\r\nwhole\r\n0\r\n\r\n").await;
        line.body(&under_way).await
    };
    let (_, body) = tokio::join!(stage.app.run(), finishing);
    assert!(body.whole && body.data == b"whole", "{body:?}");
}

/// A stop that is over waits for nobody: who has no head yet is told. Who has one is cut by the end of the process,
/// which is a test of the binary.
#[tokio::test]
async fn rank_38_the_end_of_a_drain_waits_for_nobody() {
    let stage = Route::default().server("drain_timeout: 200ms").before_app().await;
    let mut streaming = caller(&stage).await;
    streaming.say(head(&stage, "GET /api/sse?events=100000&every_ms=10", "")).await;
    streaming.head().await.expect("an answer");
    stage.vendor.inject(Fault { operation: "app".into(), hang: true, ..Fault::default() });
    let mut waiting = caller(&stage).await;
    waiting.say(head(&stage, "GET /api/x", "")).await;
    until("it hangs", async || at_app(&stage).len() == 2).await;
    stage.app.tasks().stop().begin();
    let (_, told) = tokio::join!(stage.app.run(), waiting.answer());
    assert_eq!(told.map(|answer| answer.refusal()), Some((503, "draining".to_owned())));
}

/// Nobody waits for anybody: a route whose target hangs holds no other up.
#[tokio::test]
async fn targets_that_hang_hold_nobody_else_up() {
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let mut hanging = Vec::new();
    for _ in 0..20 {
        let mut line = caller(&stage).await;
        line.say(head(&stage, "GET /api/x", "")).await;
        hanging.push((line, bare.request().await));
    }
    let (reply, ()) = tokio::join!(get(&stage, "/api/y"), async {
        let (mut target, _) = bare.request().await;
        target.say(OK).await;
    });
    assert_eq!(reply.status, 200);
    assert!(
        joined((0..20).map(|number| stage.renew("v-1", if number % 2 == 0 { "a" } else { "b" })))
            .await
            .iter()
            .all(|reply| reply.status == 200)
    );
}
