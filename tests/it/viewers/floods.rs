//! T20 and rank 26: names of keys that nobody knows make neither the issuer nor anybody else suffer.

use std::time::{Duration, Instant};

use super::scene::{Gate, Scene, unauthenticated};
use crate::issuer::{Answer, Issuer, base64, other_rsa, rsa};
use crate::support::{Reply, joined};

const FLOOD: usize = 10_000;
/// The time in which a name that nobody knows may make it look once.
const PAUSE: Duration = Duration::from_secs(30);

/// Tokens of this issuer with names of keys that were never used before, and a signature of the right length.
fn unknown(issuer: &Issuer, number: usize) -> String {
    let token =
        crate::issuer::Token::by(rsa(), issuer).kid(&format!("random-{number}-{}", number.wrapping_mul(0x9e37_79b9)));
    format!("{}.{}.{}", base64(token.header_text()), base64(token.payload_text()), base64([0x5a; 256]))
}

/// How many looks so long a time allows, besides those before it.
fn allowed(begin: Instant) -> usize {
    1 + usize::try_from(begin.elapsed().as_secs() / PAUSE.as_secs()).expect("a small number")
}

/// The flood, in pieces, with a right token after each; what each of the right ones got.
async fn flood(scene: &Scene, judge: impl Fn(&Reply)) -> Vec<Reply> {
    let right = scene.token().text();
    let mut served = Vec::new();
    for piece in 0..FLOOD / 100 {
        let tokens: Vec<String> = (0..100).map(|at| unknown(&scene.issuer, piece * 100 + at)).collect();
        let (replies, reply) = tokio::join!(joined(tokens.iter().map(|token| scene.get(token))), scene.get(&right));
        replies.iter().for_each(&judge);
        served.push(reply);
    }
    served
}

#[tokio::test]
async fn rank_26_t20_ten_thousand_unknown_names_cost_one_look() {
    let scene = Scene::new().await;
    let (_, before) = scene.issuer.fetches();
    let begin = Instant::now();
    let served = flood(&scene, |reply| unauthenticated(reply, "an unknown name")).await;
    assert!(served.iter().all(|reply| reply.status == 200), "every right one is served");
    let (_, after) = scene.issuer.fetches();
    assert!((1..=allowed(begin)).contains(&(after - before)), "{} looks in {:?}", after - before, begin.elapsed());
    assert_eq!(scene.counts().2, 1, "and the vendor was asked once, for the one who may");
}

/// The pause holds where there is nothing to show for it, too.
#[tokio::test]
async fn rank_26_t20_nor_does_an_empty_set_make_it_look_more() {
    let issuer = Issuer::start();
    issuer.publish(&[]);
    let scene = Gate::default().keys("jwks_url: 'ISSUER/keys'").beside(issuer).await;
    let begin = Instant::now();
    let never = |reply: &Reply| assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()), "{}", reply.text());
    let served = flood(&scene, never).await;
    served.iter().for_each(never);
    let (_, looks) = scene.issuer.fetches();
    assert!(looks <= 1 + allowed(begin), "{looks} looks in {:?}", begin.elapsed());
}

#[tokio::test]
async fn rank_26_t20_nor_does_an_issuer_that_fails() {
    let scene = Gate::default().keys("jwks_url: 'ISSUER/keys'").start().await;
    let (_, before) = scene.issuer.fetches();
    scene.issuer.keys(Answer::status(500));
    let begin = Instant::now();
    let away =
        |reply: &Reply| assert_eq!(reply.refusal(), (503, "upstream_unavailable".to_owned()), "{}", reply.text());
    let served = flood(&scene, away).await;
    assert!(served.iter().all(|reply| reply.status == 200), "the keys in hand go on");
    let (_, after) = scene.issuer.fetches();
    assert!((1..=allowed(begin)).contains(&(after - before)), "{} looks in {:?}", after - before, begin.elapsed());
}

/// An issuer that has never answered is not asked by every caller either.
#[tokio::test]
async fn t20_nor_does_one_that_has_never_answered() {
    let issuer = Issuer::start();
    issuer.keys(Answer::status(503));
    let scene = Gate::default().keys("jwks_url: 'ISSUER/keys'").beside(issuer).await;
    let begin = Instant::now();
    let token = scene.token().text();
    for _ in 0..10 {
        for reply in joined((0..50).map(|_| scene.get(&token))).await {
            assert_eq!(reply.refusal(), (503, "upstream_unavailable".to_owned()), "{}", reply.text());
            assert!(reply.retry_after().is_some_and(|wait| (1..=60).contains(&wait)), "{:?}", reply.headers);
        }
    }
    let (_, looks) = scene.issuer.fetches();
    // The first look, what it is repeated by, and the one that a caller may cause.
    assert!(looks <= 6 + allowed(begin), "{looks} looks in {:?}", begin.elapsed());
}

/// One who floods does not use up the look that another one needs: whoever comes first with a new key's name has made
/// everybody see it.
#[tokio::test]
async fn t20_a_new_key_is_seen_by_whoever_makes_it_look() {
    let scene = Scene::new().await;
    scene.issuer.publish(&[rsa().jwk(), other_rsa().jwk()]);
    unauthenticated(&scene.get(&unknown(&scene.issuer, 0)).await, "an unknown name");
    let reply = scene.get(&scene.token().really_by(other_rsa()).kid(other_rsa().kid).text()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(scene.issuer.fetches().1, 2, "the first keys, and one look");
}
