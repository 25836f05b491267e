//! Keys come and go: by the issuer's URL and by a file.

use std::path::Path;

use super::scene::{Gate, Scene, seen, unauthenticated};
use crate::issuer::{Answer, Issuer, Token, other_rsa, p256, rsa, set};
use crate::support::{joined, ms, until, within};

fn new_key(scene: &Scene) -> Token {
    Token::by(other_rsa(), &scene.issuer)
}

#[tokio::test]
async fn a_new_key_is_picked_up_by_its_name_at_once() {
    let scene = Scene::new().await;
    assert_eq!(scene.issuer.fetches(), (1, 1));
    scene.issuer.publish(&[rsa().jwk(), p256().jwk(), other_rsa().jwk()]);
    let tokens: Vec<String> = (0..20).map(|number| new_key(&scene).claim("jti", number).text()).collect();
    for reply in joined(tokens.iter().map(|token| scene.get(token))).await {
        assert_eq!(seen(&reply.token()), "emea:alice");
    }
    assert_eq!(scene.issuer.fetches().1, 2, "twenty who came together made it look once");
    assert_eq!(scene.get(&scene.token().text()).await.status, 200);
    assert_eq!(scene.issuer.fetches().1, 2);
}

#[tokio::test]
async fn a_key_that_is_taken_away_is_refused_after_the_next_look() {
    let scene = Scene::new().await;
    let old = scene.token().text();
    assert_eq!(scene.get(&old).await.status, 200);
    scene.issuer.publish(&[other_rsa().jwk()]);
    assert_eq!(scene.get(&new_key(&scene).text()).await.status, 200);
    scene.vendor.clear_journal();
    unauthenticated(&scene.get(&old).await, "its key is gone, though what it was given is in the cache");
    unauthenticated(&scene.get(&Token::by(p256(), &scene.issuer).text()).await, "gone as well");
    assert_eq!((scene.issuer.fetches().1, scene.counts()), (2, (0, 0, 0)));
}

/// A key that came back under an old name is the new one.
#[tokio::test]
async fn a_name_means_the_key_that_is_published_now() {
    let scene = Scene::new().await;
    scene.issuer.publish(&[other_rsa().jwk_named(rsa().kid), p256().jwk_named("new")]);
    assert_eq!(scene.get(&Token::by(p256(), &scene.issuer).kid("new").text()).await.status, 200);
    unauthenticated(&scene.get(&scene.token().text()).await, "the key before");
    assert_eq!(scene.get(&new_key(&scene).kid(rsa().kid).text()).await.status, 200);
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a temporary file");
}

fn swap(folder: &Path, text: &str) {
    write(&folder.join("next"), text);
    std::fs::rename(folder.join("next"), folder.join("secret")).expect("a file in its place");
}

fn by_file(path: &Path) -> Gate {
    Gate::default().keys(&format!("jwks_file: '{}'", path.display()))
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let (path, folder) = crate::support::file_with(&set(&[rsa().jwk()]));
    let scene = by_file(&path).start().await;
    let (old, new) = (scene.token().text(), new_key(&scene).text());
    assert_eq!(seen(&scene.get(&old).await.token()), "emea:alice");
    unauthenticated(&scene.get(&new).await, "not yet");
    swap(folder.path(), &set(&[rsa().jwk(), other_rsa().jwk()]));
    until("the new key is used", async || scene.get(&new).await.status == 200).await;
    assert_eq!(scene.get(&old).await.status, 200);
    swap(folder.path(), &set(&[other_rsa().jwk()]));
    until("the old key is refused", async || scene.get(&old).await.status == 401).await;
    assert_eq!(scene.get(&new).await.status, 200);
    assert_eq!(scene.issuer.fetches(), (0, 0), "nobody was asked");
}

/// As a secret that is written badly: the keys before go on.
#[tokio::test]
async fn a_file_of_no_keys_is_left_alone() {
    let (path, folder) = crate::support::file_with(&set(&[rsa().jwk()]));
    let scene = by_file(&path).start().await;
    let token = scene.token().text();
    let oct = serde_json::json!({"kty": "oct", "k": "AAAA"});
    for text in [String::new(), "{\"keys\":[]}".to_owned(), "{\"keys\":[".to_owned(), set(&[other_rsa().jwk(), oct])] {
        swap(folder.path(), &text);
    }
    // What is right again is seen, and until then nothing was lost: the last of the bad ones was looked at, or none.
    within(ms(5_000), "the bad ones are looked at", async || {
        assert_eq!(scene.get(&token).await.status, 200);
        let alarms = scene.admin("/metrics").await.text();
        alarms.lines().any(|line| {
            line.starts_with("sidemint_secret_reloads_total{") && line.contains("jwks") && !line.ends_with(" 0")
        })
    })
    .await;
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!(scene.get(&token).await.status, 200);
    swap(folder.path(), &set(&[rsa().jwk(), other_rsa().jwk()]));
    until("a right file is seen", async || scene.get(&new_key(&scene).text()).await.status == 200).await;
}

/// As Kubernetes changes files: by a link to a folder.
#[tokio::test]
async fn a_file_of_keys_may_be_changed_by_a_link() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    for (name, key) in [("one", rsa()), ("two", other_rsa())] {
        std::fs::create_dir(at(name)).expect("a folder");
        write(&at(name).join("keys"), &set(&[key.jwk()]));
    }
    std::os::unix::fs::symlink("one", at("data")).expect("a link");
    let scene = by_file(&at("data").join("keys")).start().await;
    assert_eq!(scene.get(&scene.token().text()).await.status, 200);
    std::os::unix::fs::symlink("two", at("next")).expect("a link");
    std::fs::rename(at("next"), at("data")).expect("a link in its place");
    until("the new key is used", async || scene.get(&new_key(&scene).text()).await.status == 200).await;
    unauthenticated(&scene.get(&scene.token().text()).await, "the old one is gone");
}

// ---- an issuer that is not there -----------------------------------------------------------------------------------------

#[tokio::test]
async fn an_issuer_that_comes_up_late_is_found() {
    let scene = Gate::default().beside(Issuer::closed()).await;
    let token = scene.token().text();
    let reply = scene.get(&token).await;
    assert_eq!(reply.refusal(), (503, "upstream_unavailable".to_owned()), "{}", reply.text());
    assert!(reply.retry_after().is_some_and(|wait| wait >= 1), "{:?}", reply.headers);
    assert_eq!(reply.header("www-authenticate"), None, "another token would not help");
    assert_eq!(reply.json()["class"], "retry");
    assert_eq!(scene.operations(), Vec::<&str>::new());
    scene.issuer.listen();
    within(ms(40_000), "it is found", async || scene.get(&token).await.status == 200).await;
    assert!(scene.counted("connect").await >= 1.0 && scene.counted("ok").await == 2.0);
}

/// What cannot be a right token is refused whoever is down: nobody has to look for that.
#[tokio::test]
async fn what_is_no_token_is_refused_while_the_issuer_is_down() {
    let scene = Gate::default().beside(Issuer::closed()).await;
    let unsecured = scene.token().header("alg", "none").text();
    for token in ["", "x", "a.b.c", &unsecured] {
        unauthenticated(&scene.get(token).await, token);
    }
    let without = scene.send("GET", super::scene::RENEW, &[super::scene::PROOF], "").await;
    unauthenticated(&without, "nothing");
}

/// An outage of the issuer is none of those who have its keys.
#[tokio::test]
async fn an_outage_is_not_noticed_by_known_keys() {
    let scene = Scene::new().await;
    scene.issuer.keys(Answer::status(503));
    scene.issuer.discovery(Answer::status(503));
    for _ in 0..20 {
        assert_eq!(scene.get(&scene.token().text()).await.status, 200);
    }
    // A name that is not among old keys may be that of a new one: its viewer is not to blame.
    for _ in 0..3 {
        let reply = scene.get(&scene.token().kid("unknown").text()).await;
        assert_eq!(reply.refusal(), (503, "upstream_unavailable".to_owned()), "{}", reply.text());
    }
    assert_eq!(scene.issuer.fetches(), (2, 1), "it looked once");
    assert_eq!(scene.get(&scene.token().text()).await.status, 200);
    assert_eq!(scene.admin("/readyz").await.status, 200);
    assert_eq!(scene.admin("/startupz").await.text(), "started\n");
}

/// For as long as a service token is waited for, and then it starts anyway.
#[tokio::test]
async fn the_start_waits_for_the_keys_and_not_for_ever() {
    let scene = Gate::default().beside(Issuer::closed()).await;
    let reply = scene.admin("/startupz").await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    within(ms(15_000), "it starts anyway", async || scene.admin("/startupz").await.status == 200).await;
    assert!(scene.admin("/startupz").await.text().contains("degraded"), "{}", scene.admin("/startupz").await.text());
    scene.issuer.listen();
    within(ms(40_000), "it is whole", async || scene.admin("/startupz").await.text() == "started\n").await;
}

/// A change of what claims mean is no reason to be without keys while the issuer is away.
#[tokio::test]
async fn keys_in_hand_outlive_a_change_of_claims() {
    let scene = Scene::new().await;
    scene.issuer.keys(Answer::status(503));
    let gate = Gate::default().jwt("value_claim: region, clock_skew: 30s");
    let text = gate.setup_for(&scene.issuer).yaml(&scene.stage.vendor);
    let config = scene.stage.parsed(&text);
    scene.stage.app.reload(config).await.expect("the new config is taken");
    assert_eq!(scene.stage.admin("/readyz").await.status, 200);
    assert_eq!(scene.get(&scene.token().text()).await.status, 200, "by the keys in hand");
}
