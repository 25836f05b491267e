//! Targets that do not take the token, and vendors that give none (rows 49 to 51, rank 14).

use sidemint::emulator::{AppRefusal, Fault};

use super::scene::{Route, ask, at_app, fetched, get, head, refuse, send};
use super::target::{OK, Target};
use crate::support::{Reply, emulator, joined, until};

const BOTH: [AppRefusal; 2] = [AppRefusal::Unauthorized, AppRefusal::SignIn];

/// A request of a caller whose body is not kept.
fn streamed(stage: &crate::support::Stage) -> String {
    head(stage, "POST /api/x", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n"
}

#[tokio::test]
async fn row_49_and_50_a_refused_token_is_renewed_and_the_request_sent_again() {
    for refusal in BOTH {
        let stage = Route::default().before_app().await;
        refuse(&stage, refusal, 1);
        assert_eq!(get(&stage, "/api/x?a=b").await.status, 200, "{refusal:?}");
        assert_eq!(fetched(&stage), (1, 0, 2), "{refusal:?}");
        let entries = at_app(&stage);
        assert_ne!(entries[0].credential, entries[1].credential, "{refusal:?}: with the new one");
        assert_eq!((&entries[0].path, &entries[0].query), (&entries[1].path, &entries[1].query));
        assert_eq!(get(&stage, "/api/x").await.status, 200);
        assert_eq!(at_app(&stage)[2].credential, entries[1].credential, "{refusal:?}: which is kept");
    }
}

#[tokio::test]
async fn row_50_a_short_body_is_sent_again_whole() {
    for refusal in BOTH {
        let stage = Route::default().before_app().await;
        refuse(&stage, refusal, 1);
        let reply = send(&stage, "POST", "/api/predict", "the whole body").await;
        assert_eq!((reply.status.as_u16(), &reply.json()["body"]["text"]), (200, &"the whole body".into()));
        let bytes: Vec<_> = at_app(&stage).iter().map(|entry| entry.received.map(|received| received.bytes)).collect();
        assert_eq!((bytes, fetched(&stage)), (vec![Some(14); 2], (1, 0, 2)), "{refusal:?}");
    }
}

/// Rank 14: what was not kept cannot be sent again; but the next one has the new token.
#[tokio::test]
async fn rank_14_a_streamed_body_is_sent_once() {
    for (refusal, wanted) in [(AppRefusal::Unauthorized, 401), (AppRefusal::SignIn, 503)] {
        let stage = Route::default().before_app().await;
        refuse(&stage, refusal, 1);
        let answer = ask(&stage, &streamed(&stage)).await.expect("an answer");
        assert_eq!(answer.status(), wanted, "{refusal:?}: {}", answer.text());
        assert!(wanted == 401 || answer.refusal().1 == "upstream_unavailable", "{}", answer.text());
        until("the token is renewed all the same", async || fetched(&stage).0 == 1).await;
        assert_eq!(fetched(&stage), (1, 0, 1));
        assert_eq!(ask(&stage, &streamed(&stage)).await.map(|answer| answer.status()), Some(200));
        let entries = at_app(&stage);
        assert_ne!(entries[0].credential, entries[1].credential);
    }
}

#[tokio::test]
async fn row_49_a_second_refusal_is_told() {
    for (refusal, wanted) in [(AppRefusal::Unauthorized, (401, "")), (AppRefusal::SignIn, (502, "upstream_denied"))] {
        let stage = Route::default().before_app().await;
        stage.vendor.inject(Fault { operation: "app".into(), refuse: Some(refusal), ..Fault::default() });
        let reply = get(&stage, "/api/x").await;
        assert_eq!(reply.refusal(), (wanted.0, wanted.1.to_owned()), "{}", reply.text());
        assert_eq!(fetched(&stage), (1, 0, 2), "{refusal:?}");
        if refusal == AppRefusal::Unauthorized {
            assert_eq!(reply.json()["error_code"], "UNAUTHENTICATED", "in the target's own words");
        } else {
            assert!(reply.detail().contains("CAN USE"), "{}", reply.detail());
        }
        // Whoever refuses everything is no loop at the vendor.
        for _ in 0..20 {
            assert_eq!(get(&stage, "/api/x").await.status.as_u16(), wanted.0);
        }
        assert_eq!(fetched(&stage).0, 1, "{refusal:?}");
    }
}

/// Rank 14: however many are refused one token, one other is fetched. On a busy machine so many connections take longer
/// than they may by default, which is not what this is about.
#[tokio::test]
async fn rank_14_many_refusals_of_one_token_cause_one_renewal() {
    const MANY: usize = 500;
    sidemint::edge::raise_file_limit();
    for refusal in BOTH {
        let stage = Route::default().keys("timeouts: {connect: 30s}").before_app().await;
        stage.vendor.set_app_refusal(refusal);
        stage.vendor.revoke_tokens();
        let replies = joined((0..MANY).map(|_| get(&stage, "/api/x"))).await;
        let others: Vec<_> = replies.iter().filter(|reply| reply.status != 200).map(Reply::refusal).collect();
        assert!(others.is_empty(), "{refusal:?}: {others:?}");
        assert_eq!(fetched(&stage).0, 1, "{refusal:?}");
    }
}

#[tokio::test]
async fn row_51_what_is_no_refusal_of_the_token_is_passed_on() {
    let stage = Route::default().before_app().await;
    for status in [400, 403, 404, 407, 409, 429, 500, 502, 503, 504] {
        stage.vendor.inject(Fault { retry_after: Some("7".into()), ..Fault::status("app", status) }.times(1));
        let reply = get(&stage, "/api/x").await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (status, Some("7")));
        assert!(reply.header("content-type") != Some("application/problem+json"), "{status}: in the target's words");
    }
    assert_eq!(fetched(&stage), (0, 0, 10));
}

/// A redirect to a page that only looks like a login is the app's own business.
#[tokio::test]
async fn row_49_other_redirects_are_passed_on() {
    let stage = Route::default().before_app().await;
    for to in ["/api/x/", "/login", "https://app.example/authorize", "/api/next?to=/oidc/oauth2/v2.0/authorize"] {
        let escaped: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
        let reply = get(&stage, &format!("/api/redirect?code=302&to={escaped}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (302, Some(to)));
    }
    assert_eq!(fetched(&stage), (0, 0, 4));
}

#[tokio::test]
async fn without_a_service_token_nothing_goes_to_the_target() {
    let target = Target::ok().await;
    for (fault, wanted) in [
        (
            Fault { body: Some("oauth".into()), error_code: Some("invalid_client".into()), ..Fault::status("", 401) },
            (502, "upstream_credentials_rejected"),
        ),
        (Fault::status("", 503), (503, "upstream_unavailable")),
    ] {
        let vendor = emulator().await;
        vendor.inject(Fault { operation: "service_token".into(), ..fault });
        let stage = Route::default().upstream("retry: {attempts: 1}").setup(&target.url).beside(vendor).await;
        let reply = get(&stage, "/api/x").await;
        assert_eq!(reply.refusal(), (wanted.0, wanted.1.to_owned()), "{}", reply.text());
    }
    assert_eq!(target.connections(), 0);
}

/// The renewal fails: why says more than what the target made of the old token.
#[tokio::test]
async fn a_refused_token_that_cannot_be_renewed_is_told() {
    for (refusal, wanted) in [(AppRefusal::Unauthorized, 503), (AppRefusal::SignIn, 503)] {
        let stage = Route::default().upstream("retry: {attempts: 1}").before_app().await;
        stage.vendor.inject(Fault::status("service_token", 503));
        refuse(&stage, refusal, 5);
        assert_eq!(get(&stage, "/api/x").await.status.as_u16(), wanted, "{refusal:?}");
        assert_eq!(fetched(&stage).2, 1, "{refusal:?}: not sent again with the same token");
    }
}

/// What is between us and the target says nothing of the token to the caller.
#[tokio::test]
async fn no_answer_of_ours_has_the_token_in_it() {
    let target = Target::saying(|arrived| {
        let token = arrived.head.get("authorization").unwrap_or_default().replace("Bearer ", "");
        match arrived.head.first.as_str() {
            "GET /api/ok HTTP/1.1" => OK.to_owned(),
            // An OAuth error page with the token in its address.
            _ => format!("HTTP/1.1 302 x\r\nLocation: /oidc/oauth2/authorize?t={token}\r\nContent-Length: 0\r\n\r\n"),
        }
    })
    .await;
    let stage = Route::default().to(&target.url).await;
    let reply = get(&stage, "/api/x").await;
    assert_eq!(reply.refusal(), (502, "upstream_denied".to_owned()));
    let status = stage.admin("/status").await;
    for text in [reply.text(), format!("{:?}", reply.headers), status.text(), stage.admin("/metrics").await.text()] {
        assert!(!text.contains("eyJ"), "{text}");
    }
}
