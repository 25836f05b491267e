//! What Microsoft Entra refuses: what a caller is told, and how often Entra is asked.

use sidemint::emulator::{EntraSettings, Fault, Operation};

use super::scene::{PowerBi, calls, told};
use crate::support::{Stage, joined, until};

/// Asks of many viewers, one after the other and at once: all are told the same, and Entra is asked `most` times at
/// the most, since a credential that was rejected is not offered again for a while.
async fn refused(stage: &Stage, says: &[&str], most: u64) {
    for number in 0..25 {
        let reply = stage.renew(&format!("v-{number}"), "emea").await;
        says.iter().for_each(|word| told(&reply, 502, "upstream_credentials_rejected", word));
        assert_eq!(reply.json()["class"], "configuration");
    }
    let viewers: Vec<String> = (25..50).map(|number| format!("v-{number}")).collect();
    for reply in joined(viewers.iter().map(|viewer| stage.renew(viewer, "emea"))).await {
        told(&reply, 502, "upstream_credentials_rejected", says[0]);
    }
    let (tokens, look_ups, mints) = calls(stage);
    assert!(tokens <= most && (look_ups, mints) == (0, 0), "{:?}", stage.operations());
    let series = r#"sidemint_upstream_requests_total{operation="service_token",outcome="denied",upstream="acme"}"#;
    assert_eq!(stage.metric(series).await, Some(tokens as f64));
    assert_eq!(
        stage.metric(r#"sidemint_service_token_refreshes_total{outcome="ok",upstream="acme"}"#).await,
        Some(0.0)
    );
    for probe in ["/readyz", "/startupz"] {
        assert_eq!(stage.admin(probe).await.status, 503, "{probe}: a rollout stops at a rejected credential");
    }
}

#[tokio::test]
async fn row_h14_a_wrong_secret_is_offered_once() {
    let scene = PowerBi::default();
    let vendor = scene.vendor().await;
    vendor.set_entra_secrets(&["another"]);
    let stage = scene.beside(vendor).await;
    refused(&stage, &["AADSTS7000215", "the client secret is wrong", "Secret ID", "request id"], 1).await;
    assert!(!stage.renew("v-1", "emea").await.text().contains(&stage.vendor.entra().client_secret));
}

#[tokio::test]
async fn row_h15_an_expired_secret_is_told_apart() {
    let scene = PowerBi::default();
    let vendor = scene.vendor().await;
    vendor.expire_entra_secret(&vendor.entra().client_secret);
    let stage = scene.beside(vendor).await;
    refused(&stage, &["AADSTS7000222", "the client secret has expired"], 1).await;
    let status = stage.client.get(stage.app.admin(), "/status", &[("accept", "application/json")]).await;
    assert!(status.text().contains("AADSTS7000222"), "{}", status.text());
}

#[tokio::test]
async fn row_h17_an_unknown_tenant_is_told_apart() {
    let scene = PowerBi::default();
    let vendor = scene.vendor().await;
    vendor.inject(Fault {
        body: Some("entra".into()),
        error_code: Some(90_002.into()),
        ..Fault::status("entra_token", 400)
    });
    let stage = scene.beside(vendor).await;
    refused(&stage, &["AADSTS90002", "there is no such tenant; check tenant_id and cloud"], 1).await;
}

/// What a person must mend at Entra, by what Entra says of it. The status and `error` decide what is done; the number
/// only chooses the sentence.
#[tokio::test]
async fn every_refusal_of_entra_says_what_to_mend() {
    for (number, says) in [
        (700_016, "no such application"),
        (7_000_112, "disabled"),
        (7_000_214, "revoked"),
        (7_000_218, "neither a secret nor an assertion"),
        (700_213, "no federated credential"),
        (500_011, "the scope is not known"),
        (70_011, "the scope is not known"),
        (53_003, "Conditional Access"),
        (50_196, "loop"),
        (12_345, "check tenant_id, client_id and auth"),
    ] {
        let scene = PowerBi::default();
        let vendor = scene.vendor().await;
        vendor.inject(Fault { body: Some("entra".into()), error_code: Some(number.into()), ..Fault::default() });
        let stage = scene.beside(vendor).await;
        let reply = stage.renew("v-1", "emea").await;
        told(&reply, 502, "upstream_credentials_rejected", says);
        told(&reply, 502, "upstream_credentials_rejected", &format!("AADSTS{number}"));
        assert_eq!(calls(&stage).0, 1);
    }
}

#[tokio::test]
async fn an_application_that_is_disabled_meanwhile_does_not_end_what_is_shown() {
    let stage = PowerBi::default().warm().await;
    let shown = stage.renew("v-1", "emea").await.token();
    stage.vendor.set_entra_app_enabled(false);
    stage.vendor.revoke_entra_tokens();
    told(&stage.renew("v-2", "emea").await, 502, "upstream_credentials_rejected", "AADSTS7000112");
    assert_eq!(stage.renew("v-1", "emea").await.token(), shown);
}

#[tokio::test]
async fn row_h13_a_429_in_plain_text_silences_us_for_as_long_as_it_says() {
    let stage = PowerBi::default().warm().await;
    let shown = stage.renew("v-1", "emea").await.token();
    let throttled = Fault {
        body: Some("Too Many Requests".into()),
        retry_after: Some("60".into()),
        ..Fault::status("entra_token", 429)
    };
    stage.vendor.inject(throttled.times(1));
    stage.vendor.revoke_entra_tokens();
    stage.vendor.clear_journal();
    for number in 0..20 {
        let reply = stage.renew(&format!("v-cold-{}", number % 4), "emea").await;
        told(&reply, 503, "upstream_throttled", "Microsoft Entra throttles us");
        assert!(reply.retry_after().is_some_and(|wait| (50..=60).contains(&wait)), "{:?}", reply.headers);
        assert_eq!(stage.renew("v-1", "emea").await.token(), shown);
    }
    assert_eq!(stage.vendor.count(Operation::EntraToken), 1);
}

/// The refused token is taken back for want of another one. What all are told is why there is none, not what Power BI
/// says of the old one: that would send people to the workspace's members.
#[tokio::test]
async fn who_meets_a_revoked_token_in_an_outage_of_entra_is_told_of_the_outage() {
    let stage = PowerBi::default().upstream("retry: {attempts: 1}").warm().await;
    stage.vendor.revoke_entra_tokens();
    stage.vendor.inject(Fault::status("entra_token", 503));
    for number in 0..10 {
        let reply = stage.renew(&format!("v-{number}"), "emea").await;
        told(&reply, 503, "upstream_unavailable", "Microsoft Entra is in trouble");
    }
}

/// 50033, 50087 and 90033 are the vendor's words for "in a moment".
#[tokio::test]
async fn what_entra_calls_temporary_is_tried_again() {
    for number in [50_033, 50_087, 90_033] {
        let scene = PowerBi::default();
        let vendor = scene.vendor().await;
        let fault =
            Fault { body: Some("entra".into()), error_code: Some(number.into()), ..Fault::status("entra_token", 400) };
        vendor.inject(fault.times(1));
        let stage = scene.beside(vendor).await;
        stage.renew("v-1", "emea").await.token();
        assert_eq!(calls(&stage), (2, 1, 1));
    }
}

/// A tenant may call its own service principals something else than the config does.
#[tokio::test]
async fn a_client_id_that_the_tenant_does_not_know_is_told_apart() {
    let scene = PowerBi::default().entra(EntraSettings { client_id: "another".into(), ..EntraSettings::default() });
    let auth = format!("{{client_id: {}, client_secret_env: ENTRA_SECRET}}", EntraSettings::default().client_id);
    let stage = scene.auth(&auth).start().await;
    told(&stage.renew("v-1", "emea").await, 502, "upstream_credentials_rejected", "AADSTS700016");
}

#[tokio::test]
async fn a_revoked_token_is_replaced_as_soon_as_entra_is_back() {
    let stage = PowerBi::default().upstream("retry: {attempts: 1}").warm().await;
    stage.vendor.revoke_entra_tokens();
    let outage = stage.vendor.inject(Fault::status("entra_token", 503));
    for number in 0..10 {
        told(&stage.renew(&format!("v-{number}"), "emea").await, 503, "upstream_unavailable", "in trouble");
    }
    stage.vendor.remove_fault(outage);
    until("the outage is over", async || stage.renew("v-0", "emea").await.status == 200).await;
}
