//! `audience`: a token that is good for one app alone, exchanged for the workspace's, which never goes there.

use sidemint::emulator::{AppRefusal, AppSettings, Fault};

use super::scene::{Route, at_app, fetched, get, refuse};
use super::target::Target;
use crate::support::{Stage, claims, joined};

fn route(audience: &str) -> Route {
    Route::default().keys(&format!("audience: {audience}"))
}

fn own() -> String {
    AppSettings::default().client_id
}

async fn before_app() -> Stage {
    route(&own()).before_app().await
}

#[tokio::test]
async fn the_token_is_for_the_app_alone_and_exchanged_once() {
    let target = Target::ok().await;
    let stage = route(&own()).to(&target.url).await;
    let replies = joined((0..50).map(|_| get(&stage, "/api/x"))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert_eq!(fetched(&stage), (0, 1, 0));
    let arrived = target.arrived();
    assert_eq!(arrived.len(), 50);
    for one in &arrived {
        let authorization = one.head.get("authorization").expect("there is a credential");
        let token = authorization.strip_prefix("Bearer ").expect("a bearer token");
        assert_eq!(claims(token)["aud"], own().as_str(), "never the workspace's");
    }
}

#[tokio::test]
async fn it_opens_the_app() {
    let stage = before_app().await;
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    assert_eq!(fetched(&stage), (0, 1, 2));
}

#[tokio::test]
async fn a_refused_one_is_exchanged_anew() {
    for refusal in [AppRefusal::Unauthorized, AppRefusal::SignIn] {
        let stage = before_app().await;
        assert_eq!(get(&stage, "/api/x").await.status, 200);
        refuse(&stage, refusal, 1);
        assert_eq!(get(&stage, "/api/x").await.status, 200);
        assert_eq!(fetched(&stage), (0, 2, 3), "the service token itself was not refused");
        let entries = at_app(&stage);
        assert_ne!(entries[1].credential, entries[2].credential);
    }
}

/// A revoked service token is refused at the exchange; then that one is renewed first.
#[tokio::test]
async fn a_revoked_service_token_is_renewed_on_the_way() {
    let stage = before_app().await;
    assert_eq!(get(&stage, "/api/x").await.status, 200);
    stage.vendor.revoke_tokens();
    let replies = joined((0..50).map(|_| get(&stage, "/api/x"))).await;
    let worst = replies.iter().map(|reply| reply.status.as_u16()).max();
    assert_eq!(worst, Some(200), "{:?}", replies.iter().find(|reply| reply.status != 200));
    let (service, app, _) = fetched(&stage);
    assert!(service == 1 && (2..=3).contains(&app), "{service} {app}");
}

#[tokio::test]
async fn an_audience_that_the_vendor_does_not_know_is_told() {
    let target = Target::ok().await;
    let stage = route("no-such-app").to(&target.url).await;
    let reply = get(&stage, "/api/x").await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert_eq!(reply.json()["class"], "configuration");
    assert!(!reply.text().contains("eyJ"), "{}", reply.text());
    assert_eq!(target.connections(), 0, "the workspace's token is no substitute");
    for _ in 0..10 {
        assert_eq!(get(&stage, "/api/x").await.status, 502);
    }
    assert_eq!(fetched(&stage).1, 1, "a no is remembered for a while");
}

/// The token of another app is a token all the same; the app says no.
#[tokio::test]
async fn the_token_of_another_app_opens_nothing() {
    let stage = route(&AppSettings::default().other_client_ids[0]).before_app().await;
    assert_eq!(get(&stage, "/api/x").await.status, 401);
    assert_eq!((fetched(&stage).0, fetched(&stage).1), (0, 2));
}

#[tokio::test]
async fn an_exchange_that_fails_is_tried_again_by_the_next() {
    let stage = route(&own()).upstream("retry: {attempts: 1}").before_app().await;
    stage.vendor.inject(Fault::status("app_token", 503).times(1));
    assert_eq!(get(&stage, "/api/x").await.refusal(), (503, "upstream_unavailable".to_owned()));
    crate::support::until("the pause is over", async || get(&stage, "/api/x").await.status == 200).await;
}

/// One narrowing, one lease: routes to the same app share it.
#[tokio::test]
async fn routes_with_the_same_audience_share_a_token() {
    let keys = format!("allow: ['GET /api/**'], audience: {}", own());
    let stage = route(&own()).also("second", &keys).also("broad", "allow: ['GET /api/**']").before_app().await;
    for route in ["app", "second", "app"] {
        let path = format!("/proxy/{route}/api/x");
        assert_eq!(stage.send("GET", &path, &[super::scene::PROOF], "").await.status, 200);
    }
    assert_eq!(fetched(&stage).1, 1);
    assert_eq!(stage.send("GET", "/proxy/broad/api/x", &[super::scene::PROOF], "").await.status, 200);
    let credentials: Vec<_> = at_app(&stage).into_iter().map(|entry| entry.credential).collect();
    assert_eq!(credentials[0], credentials[1]);
    assert_ne!(credentials[0], credentials[3], "and a route without one has the broad token");
}
