//! T21: whatever is answered where the keys should be, the keys in hand go on being used, and nobody waits for long.

use std::time::Instant;

use serde_json::{Value, json};

use super::scene::{Another, Gate, Scene, unauthenticated};
use crate::issuer::{Answer, Issuer, Manner, Token, other_p256, other_rsa, p256, rsa, set};
use crate::support::{Reply, joined, ms, until};

fn gate() -> Gate {
    Gate::default().keys("jwks_url: 'ISSUER/keys'")
}

/// A sidecar with good keys in hand, beside an issuer that answers like this from now on.
async fn turned(scene: &Scene, answer: Answer) -> Another {
    scene.issuer.publish(&[rsa().jwk(), p256().jwk()]);
    let sidecar = scene.another(&gate()).await;
    assert_eq!(sidecar.get(&scene.token().text()).await.status, 200, "the first set is good");
    scene.issuer.keys(answer);
    sidecar
}

/// A token of a key that nobody has published: it makes the sidecar look.
fn stranger(scene: &Scene) -> String {
    scene.token().really_by(other_rsa()).kid("unknown").text()
}

/// What becomes of a token whose key is not known: it is refused, unless the issuer is away, so that the key may be one
/// that it has just made.
type Verdict = fn(&Reply, &str);

fn away(reply: &Reply, what: &str) {
    assert!([503, 504].contains(&reply.status.as_u16()), "{what}: {}", reply.text());
    assert_eq!(reply.json()["class"], "retry", "{what}");
    assert_eq!(reply.header("www-authenticate"), None, "{what}");
}

/// The keys in hand go on, and the bad answer is counted.
async fn goes_on(scene: &Scene, what: &str, answer: Answer, verdict: Verdict) {
    let sidecar = turned(scene, answer).await;
    let (asked, good) = (sidecar.asked().await, sidecar.counted("ok").await);
    verdict(&sidecar.get(&stranger(scene)).await, what);
    assert_eq!(sidecar.asked().await, asked + 1.0, "{what}: it looked once");
    assert_eq!(sidecar.counted("ok").await, good, "{what}: and did not like it");
    for token in [scene.token(), Token::by(p256(), &scene.issuer)] {
        let reply = sidecar.get(&token.text()).await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
    }
    verdict(&sidecar.get(&scene.token().really_by(other_rsa()).kid("injected").text()).await, what);
    assert_eq!(sidecar.asked().await, asked + 1.0, "{what}: not again so soon");
}

#[tokio::test]
async fn t21_bodies_that_are_no_set() {
    let scene = Scene::new().await;
    let injected = other_rsa().jwk_named("injected");
    let oct = json!({"kty": "oct", "k": "AAAA", "kid": "s"});
    let with_private = {
        let mut jwk = other_p256().jwk_named("injected");
        jwk["d"] = json!(other_p256().private_part());
        jwk
    };
    let many = |count: usize| (0..count).map(|number| p256().jwk_named(&format!("k-{number}"))).collect::<Vec<_>>();
    let ten_thousand = set(&many(10_000));
    let spaces = format!("{}{}", set(std::slice::from_ref(&injected)), " ".repeat(300 << 10));
    let deep = format!("{{\"keys\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let duplicate = [injected.clone(), p256().jwk_named("injected")];
    for (what, body) in [
        ("ten thousand keys", ten_thousand),
        ("over a hundred keys", set(&many(101))),
        ("over 256 KiB, most of it spaces", spaces),
        ("8 MiB", "x".repeat(8 << 20)),
        ("a page", "<!doctype html><html><title>Sign in</title></html>".to_owned()),
        ("nothing", String::new()),
        ("an empty set", "{\"keys\":[]}".to_owned()),
        ("half a set", set(std::slice::from_ref(&injected)).split_at(150).0.to_owned()),
        ("nesting", deep),
        ("two keys of one name", set(&duplicate)),
        ("a symmetric key among others", set(&[injected.clone(), oct])),
        ("a private key", set(&[with_private])),
        ("nothing usable", set(&[json!({"kty": "XYZ", "kid": "injected"})])),
        ("an error in JSON", json!({"error": "server_error"}).to_string()),
    ] {
        goes_on(&scene, what, Answer::json(body), unauthenticated).await;
    }
}

#[tokio::test]
async fn t21_answers_that_are_none() {
    let scene = Scene::new().await;
    let good = || Answer::json(set(&[other_rsa().jwk_named("injected")]));
    let status = |status: u16| Answer { status, ..good() };
    for code in [201, 204, 206, 400, 401, 403, 404, 410, 429, 500, 502, 503] {
        let what = format!("{code} with a set in it");
        let answer = if code == 204 { Answer { body: Vec::new(), ..status(code) } } else { status(code) };
        let is_away = code == 429 || code >= 500;
        goes_on(&scene, &what, answer, if is_away { away } else { unauthenticated }).await;
    }
    for (what, manner) in [("half of what was promised", Manner::Half), ("the end at once", Manner::Gone)] {
        goes_on(&scene, what, good().manner(manner), away).await;
    }
}

/// Rank 21: not to another host, and not to another place of the same one.
#[tokio::test]
async fn rank_21_t21_no_redirect_is_followed() {
    let scene = Scene::new().await;
    let elsewhere = Issuer::start();
    elsewhere.publish(&[other_rsa().jwk_named("injected")]);
    scene.issuer.serve("/moved", Answer::json(set(&[other_rsa().jwk_named("injected")])));
    for code in [301, 302, 303, 307, 308] {
        for place in [elsewhere.keys_url(), scene.issuer.place("/moved"), "/moved".to_owned()] {
            goes_on(&scene, &format!("{code} to {place}"), Answer::redirect(code, &place), unauthenticated).await;
        }
    }
    let metadata = Answer::redirect(302, "http://169.254.169.254/latest/meta-data/");
    goes_on(&scene, "to the metadata of the cloud", metadata, unauthenticated).await;
    assert_eq!((elsewhere.heads().len(), scene.issuer.asked("/moved")), (0, 0));
}

/// A wrong label on a good set is not what it is refused for: many servers say text/plain.
#[tokio::test]
async fn t21_the_type_of_the_content_does_not_matter() {
    let scene = Scene::new().await;
    for content in ["text/plain", "application/jwk-set+json", "text/html", "application/octet-stream"] {
        let sidecar = turned(&scene, Answer::typed(content, set(&[rsa().jwk(), other_rsa().jwk_named("added")]))).await;
        let reply = sidecar.get(&scene.token().really_by(other_rsa()).kid("added").text()).await;
        assert_eq!(reply.status, 200, "{content}: {}", reply.text());
    }
}

/// Who has a key in hand does not wait while somebody else makes the sidecar look.
#[tokio::test]
async fn t21_a_slow_answer_holds_up_nobody_with_a_known_key() {
    let scene = Scene::new().await;
    let good = Answer::json(set(&[other_rsa().jwk_named("injected")]));
    for (what, manner) in [("nothing comes", Manner::Never), ("a byte each 100 ms", Manner::Drip(ms(100)))] {
        let sidecar = turned(&scene, good.clone().manner(manner)).await;
        let before = scene.issuer.asked("/realms/x/keys");
        let (token, unknown) = (scene.token().text(), stranger(&scene));
        let looking = sidecar.get(&unknown);
        let meanwhile = async {
            until("it looks", async || scene.issuer.asked("/realms/x/keys") > before).await;
            let begin = Instant::now();
            for reply in joined((0..50).map(|_| sidecar.get(&token))).await {
                assert_eq!(reply.status, 200, "{what}: {}", reply.text());
            }
            assert!(begin.elapsed() < ms(2_000), "{what}: {:?}", begin.elapsed());
            // Whoever else comes with a name that nobody knows starts no second one.
            let others = joined((0..20).map(|_| sidecar.get(&unknown)));
            tokio::select! {
                replies = others => replies.iter().for_each(|reply| away(reply, what)),
                () = crate::support::let_pass(ms(300)) => {}
            }
            assert_eq!(scene.issuer.asked("/realms/x/keys"), before + 1, "{what}");
        };
        tokio::select! {
            biased;
            () = meanwhile => {}
            reply = async { let reply = looking.await; std::future::pending::<()>().await; reply } => drop(reply),
        }
    }
}

/// Whoever makes the sidecar look is told within the time that a look may take.
#[tokio::test]
async fn t21_a_look_has_an_end() {
    let scene = Scene::new().await;
    let sidecar = turned(&scene, Answer::json(set(&[other_rsa().jwk()])).manner(Manner::Never)).await;
    let begin = Instant::now();
    away(&sidecar.get(&stranger(&scene)).await, "nothing comes");
    assert!(begin.elapsed() < ms(12_000), "{:?}", begin.elapsed());
    assert_eq!(sidecar.counted("timeout").await, 1.0);
}

/// What was added to a bad set is not had by its good part either.
#[tokio::test]
async fn t21_a_set_is_taken_as_a_whole_or_not_at_all() {
    let scene = Scene::new().await;
    let mut private = other_p256().jwk_named("leaked");
    private["d"] = json!(other_p256().private_part());
    let keys: [Value; 3] = [rsa().jwk(), other_rsa().jwk_named("added"), private];
    let sidecar = turned(&scene, Answer::json(set(&keys))).await;
    unauthenticated(&sidecar.get(&scene.token().really_by(other_rsa()).kid("added").text()).await, "beside a leak");
    assert_eq!(sidecar.get(&Token::by(p256(), &scene.issuer).text()).await.status, 200, "what was there before stays");
}
