//! What Power BI refuses, breaks off or leads elsewhere.

use std::net::TcpListener;
use std::time::Instant;

use serde_json::json;
use sidemint::emulator::{Fault, Operation};

use super::scene::{PowerBi, RLS, calls, plain, requests, told, workspace};
use crate::support::{Stage, joined, ms, until};

fn power_bi(status: u16, code: &str) -> Fault {
    Fault { body: Some("powerbi".into()), error_code: Some(code.into()), ..Fault::status("generate_token", status) }
}

#[tokio::test]
async fn row_h38_an_expired_bearer_is_replaced_once_and_the_call_repeated_once() {
    let stage = PowerBi::default().warm().await;
    stage.vendor.inject(power_bi(403, "TokenExpired").times(1));
    stage.renew("v-1", "emea").await.token();
    assert_eq!(stage.operations(), ["powerbi_report", "generate_token", "entra_token", "generate_token"]);
    let bearers: Vec<_> =
        requests(&stage, Operation::GenerateToken).into_iter().map(|entry| entry.credential).collect();
    assert_ne!(bearers[0], bearers[1]);
}

#[tokio::test]
async fn row_h38_one_that_stays_expired_is_an_error_that_names_the_clock() {
    let stage = PowerBi::default().warm().await;
    stage.vendor.inject(power_bi(403, "TokenExpired"));
    for number in 0..10 {
        let reply = stage.renew(&format!("v-{}", number % 2), "emea").await;
        told(&reply, 502, "upstream_denied", "check the clock");
        assert!(reply.detail().contains("TokenExpired"), "{}", reply.detail());
    }
    // The second viewer finds a token that is seconds old: that is not the reason, and no other one is asked for.
    assert_eq!(calls(&stage), (1, 1, 3));
}

#[tokio::test]
async fn row_h39_a_401_is_worth_one_more_service_token_and_then_tells_code_and_request_id() {
    let stage = PowerBi::default().warm().await;
    let fault = Fault { body: Some("pbi_error".into()), ..Fault::status("generate_token", 401) };
    stage.vendor.inject(fault);
    for _ in 0..10 {
        let reply = stage.renew("v-1", "emea").await;
        told(&reply, 502, "upstream_denied", "make it a member of the workspace");
        assert!(
            reply.detail().contains("HTTP 401, code PowerBINotAuthorizedException, request id "),
            "{}",
            reply.detail()
        );
    }
    assert_eq!(calls(&stage), (1, 1, 2));
}

/// Hundreds of viewers whose token is refused at once are one renewal.
#[tokio::test]
async fn a_revoked_service_token_is_replaced_once_for_all() {
    let stage = PowerBi::default().warm().await;
    stage.renew("v-0", "emea").await.token();
    stage.vendor.revoke_entra_tokens();
    stage.vendor.clear_journal();
    let viewers: Vec<String> = (1..=20).map(|number| format!("v-{number}")).collect();
    joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await.iter().for_each(|reply| drop(reply.token()));
    let (tokens, _, mints) = calls(&stage);
    assert_eq!(tokens, 1);
    assert!((20..=40).contains(&mints), "{mints}");
}

#[tokio::test]
async fn row_h40_a_capacity_that_is_used_up_is_left_alone_and_what_is_cached_is_shown() {
    let scene = PowerBi::default().embed("open", &format!("report_id: {}", plain().report));
    let stage = scene.warm().await;
    stage.vendor.set_on_capacity(false);
    stage.vendor.set_trial_allowance(1);
    let shown = stage.renew("v-1", "emea").await.token();
    for number in 0..20 {
        let reply = stage.renew(&format!("v-cold-{number}"), "emea").await;
        told(&reply, 502, "upstream_denied", "assign the workspace to a capacity");
        assert_eq!(reply.json()["class"], "configuration");
    }
    // It is the principal's, whatever the embed.
    told(&stage.renew_of("open", "v-1", "emea").await, 502, "upstream_denied", "capacity");
    assert_eq!((calls(&stage).0, calls(&stage).2), (0, 2));
    assert_eq!(stage.renew("v-1", "emea").await.token(), shown);
    assert_eq!(stage.outcomes("hit").await, 1.0);
}

/// A no to one key is forgotten within seconds, so that what is mended at the vendor shows; a used-up capacity is not.
#[tokio::test]
async fn row_h36_and_h40_the_memory_of_a_capacity_is_longer_than_that_of_a_key() {
    let refused = PowerBi::default().sales("").warm().await;
    told(&refused.renew("v-1", "emea").await, 502, "upstream_rejected", "identity_required");
    let used_up = PowerBi::default().warm().await;
    used_up.vendor.set_on_capacity(false);
    used_up.vendor.set_trial_allowance(0);
    told(&used_up.renew("v-1", "emea").await, 502, "upstream_denied", "capacity");
    until("the vendor is asked again about the key", async || {
        told(&refused.renew("v-1", "emea").await, 502, "upstream_rejected", "identity_required");
        calls(&refused).2 == 2
    })
    .await;
    let times: Vec<Instant> = requests(&refused, Operation::GenerateToken).iter().map(|entry| entry.at).collect();
    assert!((ms(4900)..ms(6500)).contains(&(times[1] - times[0])), "{:?}", times[1] - times[0]);
    for viewer in ["v-1", "v-2"] {
        told(&used_up.renew(viewer, "emea").await, 502, "upstream_denied", "capacity");
    }
    assert_eq!(calls(&used_up), (0, 1, 1));
}

#[tokio::test]
async fn row_h41_an_unknown_item_is_remembered_for_its_key_only() {
    let scene = PowerBi::default()
        .embed("gone", "dashboard_id: 9f8e7d6c-ffff-4000-8000-0000000da5b0")
        .embed("lost", &format!("report_id: b0a19283-ffff-4000-8000-00000004e901, {RLS}"));
    let stage = scene.warm().await;
    for _ in 0..10 {
        told(&stage.renew_of("gone", "v-1", "emea").await, 502, "upstream_not_found", "check the ids of the embed");
    }
    assert_eq!(calls(&stage), (0, 0, 1));
    told(&stage.renew_of("gone", "v-2", "emea").await, 502, "upstream_not_found", "PowerBIEntityNotFound");
    assert_eq!(calls(&stage), (0, 0, 2));
    // A report is looked up first, for all viewers alike.
    for number in 0..10 {
        told(&stage.renew_of("lost", &format!("v-{number}"), "emea").await, 502, "upstream_not_found", "no such item");
    }
    assert_eq!(calls(&stage), (0, 1, 2));
    stage.renew("v-1", "emea").await.token();
}

#[tokio::test]
async fn row_h41_an_unknown_workspace_is_told_apart() {
    let scene = PowerBi::default();
    let vendor = scene.vendor().await;
    let text = scene.yaml(&vendor).replace(&workspace(), "00000000-0000-4000-8000-000000000000");
    let setup = crate::support::Setup::default().variable("ENTRA_SECRET", &vendor.entra().client_secret);
    let stage = setup.with_text(vendor, &text).await;
    told(&stage.renew("v-1", "emea").await, 502, "upstream_not_found", "check workspace_id");
}

#[tokio::test]
async fn row_h42_a_pause_holds_for_all_of_the_principal_and_spares_what_is_cached() {
    let stage = PowerBi::default().upstream("timeouts: {request: 2s}").warm().await;
    let shown = stage.renew("v-1", "emea").await.token();
    stage.vendor.clear_journal();
    stage.vendor.inject(Fault { retry_after: Some("7".into()), ..Fault::status("generate_token", 429) }.times(1));
    for number in 2..20 {
        let reply = stage.renew(&format!("v-{number}"), "emea").await;
        told(&reply, 503, "upstream_throttled", "");
        assert!(reply.retry_after().is_some_and(|wait| (5..=7).contains(&wait)), "{:?}", reply.headers);
        assert_eq!(stage.renew("v-1", "emea").await.token(), shown);
    }
    assert_eq!(stage.operations(), ["generate_token"]);
}

#[tokio::test]
async fn row_h42_a_pause_that_fits_is_waited_out() {
    let stage = PowerBi::default().warm().await;
    stage.vendor.inject(Fault { retry_after: Some("1".into()), ..Fault::status("generate_token", 429) }.times(1));
    stage.renew("v-1", "emea").await.token();
    let times: Vec<Instant> = requests(&stage, Operation::GenerateToken).iter().map(|entry| entry.at).collect();
    assert!(times.len() == 2 && times[1] - times[0] >= ms(1000));
}

#[tokio::test]
async fn row_h43_without_a_pause_of_the_vendor_there_is_one_of_our_own() {
    let stage = PowerBi::default().upstream("retry: {attempts: 3}").warm().await;
    stage.vendor.inject(power_bi(429, "TooManyRequests"));
    let reply = stage.renew("v-1", "emea").await;
    told(&reply, 503, "upstream_throttled", "Power BI throttles us");
    assert!(reply.retry_after().is_some_and(|wait| wait >= 1));
    let times: Vec<Instant> = requests(&stage, Operation::GenerateToken).iter().map(|entry| entry.at).collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 2);
    assert!(gaps[0] >= ms(100) && gaps[1] >= ms(200) && gaps.iter().all(|gap| *gap < ms(2000)), "{gaps:?}");
}

#[tokio::test]
async fn row_h44_a_server_error_is_tried_again() {
    let stage = PowerBi::default().warm().await;
    for operation in ["powerbi_report", "generate_token"] {
        stage.vendor.inject(Fault { body: Some("empty".into()), ..Fault::status(operation, 500) }.times(1));
    }
    stage.renew("v-1", "emea").await.token();
    assert_eq!(calls(&stage), (0, 2, 2));
}

#[tokio::test]
async fn row_h46_half_an_answer_is_asked_for_again() {
    for broken in [Fault { truncate: true, ..Fault::default() }, Fault { reset: true, ..Fault::default() }] {
        let stage = PowerBi::default().warm().await;
        stage.vendor.inject(Fault { operation: "generate_token".into(), ..broken }.times(1));
        stage.renew("v-1", "emea").await.token();
        assert_eq!(calls(&stage), (0, 1, 2));
    }
}

#[tokio::test]
async fn row_h46_and_h47_an_answer_that_makes_no_sense_is_told_and_not_kept() {
    let of = |fault: Fault| Fault { operation: "generate_token".into(), ..fault }.times(1);
    let ends = |expiration: serde_json::Value| of(Fault { expiration: Some(expiration), ..Fault::default() });
    let says = |body: &str| of(Fault { status: Some(200), body: Some(body.into()), ..Fault::default() });
    let stage = PowerBi::default().warm().await;
    for (number, (fault, word)) in [
        (of(Fault { garbage: true, ..Fault::default() }), "no JSON"),
        (says(r#"{"token": "H4sI", "tokenId": "x", "expir"#), "JSON"),
        (says("<html>Sign in</html>"), "HTML"),
        (says("null"), "no JSON object"),
        (says(r#"{"token": "", "expiration": "2099-01-01T00:00:00Z"}"#), "no token"),
        (says("{\"token\": \"a\\\"b\", \"expiration\": \"2099-01-01T00:00:00Z\"}"), "no token"),
        (ends(json!("omit")), "not an embed token"),
        (ends(json!(null)), "not an embed token"),
        (ends(json!("tomorrow")), "expiration is no time"),
        (ends(json!("2018-07-29T17:58:19Z")), "is the clock of this machine right?"),
    ]
    .into_iter()
    .enumerate()
    {
        stage.vendor.inject(fault);
        let viewer = format!("v-{number}");
        told(&stage.renew(&viewer, "emea").await, 502, "upstream_malformed", word);
        // Told from memory, as nothing was kept and nothing is asked for again so soon.
        let again = stage.renew(&viewer, "emea").await;
        told(&again, 502, "upstream_malformed", word);
    }
    assert_eq!(calls(&stage), (0, 1, 10));
    assert_eq!(stage.metric(r#"sidemint_viewer_tokens{upstream="acme"}"#).await, Some(0.0));
}

#[tokio::test]
async fn row_h48_fractions_and_offsets_are_read() {
    let stage = PowerBi::default().warm().await;
    let then = jiff::Timestamp::now().as_second() + 3000;
    let time = jiff::Timestamp::from_second(then).expect("a time").strftime("%Y-%m-%dT%H:%M:%S").to_string();
    for (number, suffix) in [".1234567+00:00", "Z", "+00:00", ".5Z"].into_iter().enumerate() {
        let fault = Fault { expiration: Some(format!("{time}{suffix}").into()), ..Fault::default() };
        stage.vendor.inject(Fault { operation: "generate_token".into(), ..fault }.times(1));
        let reply = stage.renew(&format!("v-{number}"), "emea").await;
        assert!((2900..=3000).contains(&reply.expires_in()), "{suffix}: {}", reply.text());
        assert_eq!(reply.json()["expires_at"], format!("{time}Z"));
    }
}

/// Somebody who waits for a bearer to fall into their hands.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Trap {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a socket option");
        Trap(listener)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().expect("it is bound"))
    }

    fn has_caught_nothing(&self) {
        let caught = self.0.accept().map(|(_, from)| from);
        assert!(caught.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "{caught:?}");
    }
}

async fn led_to(operation: &str, location: String, names: &str) -> Stage {
    let stage = PowerBi::default().warm().await;
    stage.vendor.inject(Fault { location: Some(location), ..Fault::status(operation, 307) });
    for _ in 0..5 {
        let reply = stage.renew("v-1", "emea").await;
        told(&reply, 502, "upstream_malformed", names);
        assert!(reply.detail().contains("not followed") && reply.detail().contains("api_url"), "{}", reply.detail());
    }
    stage
}

/// The contract's way: even the vendor's own cluster is not followed, since the host is to be in the config.
#[tokio::test]
async fn row_h49_a_redirect_to_a_cluster_is_not_followed_and_its_host_is_named() {
    let host = "wabi-x-redirect.analysis.windows.net";
    let stage = led_to("generate_token", format!("https://{host}/v1.0/myorg/GenerateToken"), host).await;
    assert_eq!(calls(&stage), (0, 1, 1));
}

#[tokio::test]
async fn row_h50_a_redirect_elsewhere_gets_no_bearer() {
    for operation in ["generate_token", "powerbi_report"] {
        let trap = Trap::set();
        let address = trap.url().replace("http://", "");
        led_to(operation, format!("{}/v1.0/myorg/GenerateToken", trap.url()), &address).await;
        trap.has_caught_nothing();
    }
}

/// Entra gets the secret itself, and its redirects are no better.
#[tokio::test]
async fn row_h50_a_redirect_of_entra_gets_no_secret() {
    let trap = Trap::set();
    let scene = PowerBi::default();
    let vendor = scene.vendor().await;
    vendor.inject(Fault { location: Some(format!("{}/token", trap.url())), ..Fault::status("entra_token", 307) });
    let stage = scene.beside(vendor).await;
    let address = trap.url().replace("http://", "");
    let reply = stage.renew("v-1", "emea").await;
    told(&reply, 502, "upstream_malformed", &address);
    assert!(reply.detail().contains("authority"), "{}", reply.detail());
    trap.has_caught_nothing();
}

/// An embed URL goes into a page's iframe.
#[tokio::test]
async fn an_embed_url_that_is_a_script_is_no_url() {
    let stage = PowerBi::default().warm().await;
    let fields = json!({"embedUrl": "javascript:alert(1)"});
    let fault = Fault { extra_fields: fields.as_object().cloned().unwrap_or_default(), ..Fault::default() };
    stage.vendor.inject(Fault { operation: "powerbi_report".into(), ..fault });
    told(&stage.renew("v-1", "emea").await, 502, "upstream_malformed", "embedUrl");
    assert_eq!(calls(&stage), (0, 1, 0));
}
