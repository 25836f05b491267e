//! The ways to the keys: discovery, an URL, TLS.

use serde_json::{Value, json};

use super::scene::{Gate, Scene, seen};
use crate::issuer::{Answer, Issuer, other_rsa, rsa, set};
use crate::support::{Reply, until};

/// What a right token gets beside an issuer that says this of itself.
async fn with_document(document: impl FnOnce(&Issuer) -> Value) -> (Scene, Reply) {
    let issuer = Issuer::start();
    issuer.discover(document(&issuer));
    let scene = Gate::default().beside(issuer).await;
    let reply = scene.get(&scene.token().text()).await;
    (scene, reply)
}

#[tokio::test]
async fn discovery_says_where_the_keys_are() {
    let scene = Scene::new().await;
    assert_eq!(seen(&scene.get(&scene.token().text()).await.token()), "emea:alice");
    assert_eq!(scene.issuer.fetches(), (1, 1));
    assert_eq!(scene.counted("ok").await, 2.0, "both are counted");
    let heads = scene.issuer.heads();
    assert!(heads[0].starts_with("GET /realms/x/.well-known/openid-configuration HTTP/1.1\r\n"), "{heads:?}");
    for head in heads.iter().map(|head| head.to_lowercase()) {
        for secret in ["authorization", "cookie", "sidemint-request", "referer", "eyj"] {
            assert!(!head.contains(secret), "{secret} in {head}");
        }
    }
}

#[tokio::test]
async fn an_issuer_may_have_no_path() {
    let scene = Gate::default().beside(Issuer::at_the_root()).await.ready().await;
    assert_eq!(seen(&scene.get(&scene.token().text()).await.token()), "emea:alice");
    assert_eq!(scene.issuer.fetches(), (1, 1));
}

#[tokio::test]
async fn with_an_url_nothing_is_discovered() {
    let scene = Gate::default().keys("jwks_url: 'ISSUER/keys'").start().await;
    assert_eq!(seen(&scene.get(&scene.token().text()).await.token()), "emea:alice");
    assert_eq!(scene.issuer.fetches(), (0, 1));
    assert_eq!(scene.counted("ok").await, 1.0);
}

/// OpenID Connect Discovery 1.0 section 4.3: a document of another issuer is none.
#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    for change in ["/", "x", "%", "?a", "#"] {
        let (scene, reply) = with_document(
            |issuer| json!({"issuer": format!("{}{change}", issuer.url()), "jwks_uri": issuer.keys_url()}),
        )
        .await;
        assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()), "{change}: {}", reply.text());
        assert_eq!(scene.issuer.fetches().1, 0, "{change}: its keys are not even asked for");
    }
}

#[tokio::test]
async fn documents_that_say_nothing_are_refused() {
    for document in [
        |_: &Issuer| json!({}),
        |issuer: &Issuer| json!({"issuer": issuer.url()}),
        |issuer: &Issuer| json!({"jwks_uri": issuer.keys_url()}),
        |issuer: &Issuer| json!({"issuer": issuer.url(), "jwks_uri": null}),
        |issuer: &Issuer| json!({"issuer": [issuer.url()], "jwks_uri": issuer.keys_url()}),
        |issuer: &Issuer| json!({"issuer": issuer.url(), "jwks_uri": [issuer.keys_url()]}),
        |issuer: &Issuer| json!({"issuer": issuer.url(), "jwks_uri": "/keys"}),
        |issuer: &Issuer| json!({"issuer": issuer.url(), "jwks_uri": "file:///etc/passwd"}),
        |issuer: &Issuer| json!({"issuer": issuer.url(), "jwks_uri": "ftp://127.0.0.1/keys"}),
        |issuer: &Issuer| json!({"issuer": issuer.url(), "jwks_uri": ""}),
        |issuer: &Issuer| json!([{"issuer": issuer.url(), "jwks_uri": issuer.keys_url()}]),
    ] {
        let (scene, reply) = with_document(document).await;
        assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()), "{}", reply.text());
        assert_eq!(scene.issuer.fetches().1, 0, "{}", reply.text());
    }
}

/// A document leads nowhere but to keys that are as well protected as itself.
#[tokio::test]
async fn keys_without_tls_of_an_issuer_with_tls_are_refused() {
    let issuer = Issuer::with_tls();
    let plain = Issuer::start();
    plain.publish(&[rsa().jwk()]);
    issuer.discover(json!({"issuer": issuer.url(), "jwks_uri": plain.keys_url()}));
    let (path, _folder) = crate::support::file_with(issuer.ca_pem());
    let gate = Gate::default().jwt(&format!("value_claim: region, ca_file: '{}'", path.display()));
    let scene = gate.beside(issuer).await;
    let reply = scene.get(&scene.token().text()).await;
    assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()), "{}", reply.text());
    assert_eq!(plain.heads().len(), 0);
}

/// T44: an authority that nobody here trusts is not listened to.
#[tokio::test]
async fn t44_the_issuers_authority_has_to_be_trusted() {
    let issuer = Issuer::with_tls();
    let (path, _folder) = crate::support::file_with(issuer.ca_pem());
    let trusting = Gate::default().jwt(&format!("value_claim: region, ca_file: '{}'", path.display()));
    let scene = trusting.beside(issuer).await.ready().await;
    assert_eq!(seen(&scene.get(&scene.token().text()).await.token()), "emea:alice");
    assert_eq!(scene.issuer.fetches(), (1, 1));
    let doubting = scene.another(&Gate::default()).await;
    let reply = doubting.get(&scene.token().text()).await;
    assert_eq!(reply.refusal(), (503, "upstream_unavailable".to_owned()), "{}", reply.text());
    assert!(reply.detail().contains("ca_file"), "{}", reply.detail());
    assert!(doubting.counted("tls").await >= 1.0);
    assert_eq!(scene.issuer.fetches(), (1, 1), "nothing was asked of it");
}

/// The same bounds hold for the document as for the keys.
#[tokio::test]
async fn t21_a_hostile_document_is_refused() {
    let elsewhere = Issuer::start();
    for (what, answer) in [
        ("a page", Answer::typed("text/html", "<!doctype html>")),
        ("8 MiB", Answer::json(format!("{{\"pad\":\"{}\"}}", "x".repeat(8 << 20)))),
        ("half of it", Answer::json("{\"issuer\":\"")),
        ("nesting", Answer::json("[".repeat(100_000))),
        ("a redirect", Answer::redirect(302, &elsewhere.place("/realms/x/.well-known/openid-configuration"))),
    ] {
        let issuer = Issuer::start();
        issuer.discovery(answer);
        let scene = Gate::default().beside(issuer).await;
        let reply = scene.get(&scene.token().text()).await;
        assert_eq!(reply.status.as_u16(), 502, "{what}: {}", reply.text());
        assert_eq!(reply.header("www-authenticate"), None, "{what}");
        assert_eq!(scene.issuer.fetches().1, 0, "{what}");
    }
    assert_eq!(elsewhere.heads().len(), 0);
}

/// Where the keys are may change as well.
#[tokio::test]
async fn keys_that_moved_are_found_again() {
    let scene = Scene::new().await;
    scene.issuer.serve("/elsewhere", Answer::json(set(&[other_rsa().jwk()])));
    scene.issuer.discover(json!({"issuer": scene.issuer.url(), "jwks_uri": scene.issuer.place("/elsewhere")}));
    scene.issuer.keys(Answer::status(404));
    let token = scene.token().really_by(other_rsa()).kid(other_rsa().kid).text();
    until("they are found", async || scene.get(&token).await.status == 200).await;
}
