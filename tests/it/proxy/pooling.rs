//! Connections to a target are kept and used again.

use super::scene::{Route, caller, get, head, send};
use super::target::{Bare, OK, Target};
use crate::support::{joined, until};

#[tokio::test]
async fn a_hundred_requests_in_a_row_use_one_connection() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    for number in 0..100 {
        let (method, body) = [("GET", ""), ("POST", "hello"), ("HEAD", ""), ("DELETE", ""), ("PUT", "x")][number % 5];
        if method == "HEAD" {
            continue; // The target would send a body with it.
        }
        assert_eq!(send(&stage, method, "/api/x", body).await.status, 200);
    }
    assert_eq!((target.connections(), target.arrived().len()), (1, 80));
}

/// Each caller's connection is its own; those to the target are everybody's.
#[tokio::test]
async fn callers_share_them() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    for _ in 0..10 {
        let mut line = caller(&stage).await;
        line.say(head(&stage, "GET /api/x", "")).await;
        assert_eq!(line.answer().await.map(|answer| answer.status()), Some(200));
    }
    assert_eq!(target.connections(), 1);
}

#[tokio::test]
async fn a_burst_opens_more_and_the_next_one_uses_them() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    for _ in 0..5 {
        let replies = joined((0..20).map(|_| get(&stage, "/api/x"))).await;
        assert!(replies.iter().all(|reply| reply.status == 200));
    }
    assert!(target.connections() <= 20, "{}", target.connections());
    assert_eq!(target.arrived().len(), 100);
}

/// Two requests never share one at a time.
#[tokio::test]
async fn a_connection_is_busy_until_the_response_has_ended() {
    let bare = Bare::new().await;
    let stage = Route::default().to(&bare.url).await;
    let mut first = caller(&stage).await;
    first.say(head(&stage, "GET /api/first", "")).await;
    let (mut one, _) = bare.request().await;
    one.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ").await;
    first.head().await.expect("the head was passed on");
    let mut second = caller(&stage).await;
    second.say(head(&stage, "GET /api/second", "")).await;
    let (mut two, head_of_second) = bare.request().await;
    assert_eq!(head_of_second.first, "GET /api/second HTTP/1.1");
    two.say(OK).await;
    assert_eq!(second.answer().await.map(|answer| answer.text()).as_deref(), Some("ok"));
    one.say("of it").await;
    assert_eq!(first.exactly(10).await, b"half of it");
}

#[tokio::test]
async fn one_that_the_target_wants_closed_is_not_kept() {
    let target =
        Target::saying(|_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_owned()).await;
    let stage = Route::default().to(&target.url).await;
    for _ in 0..3 {
        assert_eq!(get(&stage, "/api/x").await.status, 200);
    }
    assert_eq!(target.connections(), 3);
}

/// Routes to one host share nothing but the token.
#[tokio::test]
async fn a_close_in_good_order_is_noticed() {
    let stage = Route::default().before_app().await;
    for _ in 0..5 {
        assert_eq!(send(&stage, "POST", "/api/x", "hello").await.status, 200);
        assert_eq!(stage.vendor.app_traffic().connections, 1);
        stage.vendor.close_connections();
        until("it is closed", async || stage.vendor.app_traffic().connections == 0).await;
    }
}
