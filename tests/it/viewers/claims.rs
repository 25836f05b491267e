//! Findings 5 and 6, and T18: what a token has to claim, each case with its outcome.

use serde_json::{Value, json};

use super::scene::{Gate, Scene, seen, unauthenticated};
use crate::issuer::{AUDIENCE, Token, joined, now, rsa};
use crate::support::Reply;

const DAY: i64 = 24 * 3600;

/// Each is refused, and the vendor hears of none.
async fn refuses(scene: &Scene, tokens: Vec<(&str, Token)>) {
    for (what, token) in tokens {
        unauthenticated(&scene.get(&token.text()).await, what);
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
}

/// Each is alice's.
async fn takes(scene: &Scene, tokens: Vec<(&str, Token)>) {
    for (what, token) in tokens {
        let reply = scene.get(&token.text()).await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
        assert_eq!(seen(&reply.token()), "emea:alice", "{what}");
    }
}

#[tokio::test]
async fn finding_5_claims_that_are_not_there_are_missed() {
    let scene = Scene::new().await;
    let without = |names: &[&str]| names.iter().fold(scene.token(), |token, name| token.no_claim(name));
    let tokens = vec![
        ("no exp", without(&["exp"])),
        ("no iss", without(&["iss"])),
        ("no aud", without(&["aud"])),
        ("no sub", without(&["sub"])),
        ("neither iss nor aud", without(&["iss", "aud"])),
        ("nothing but sub", without(&["iss", "aud", "exp", "iat", "region"])),
        ("nothing at all", without(&["iss", "aud", "exp", "iat", "region", "sub"])),
    ];
    refuses(&scene, tokens).await;
    takes(&scene, vec![("no iat", without(&["iat"]))]).await;
}

#[tokio::test]
async fn finding_5_an_issuer_is_the_very_one() {
    let scene = Scene::new().await;
    let issuer = scene.issuer.url();
    let values = [
        json!(5),
        json!(null),
        json!(true),
        json!({}),
        json!({"iss": issuer}),
        json!([]),
        json!([issuer]),
        json!([issuer, "https://evil.example"]),
        json!(""),
        json!(format!("{issuer}/")),
        json!(format!("{issuer}\u{0}")),
        json!(issuer.to_uppercase()),
        json!(issuer.trim_end_matches("/realms/x")),
        json!(issuer.replace("127.0.0.1", "localhost")),
        json!(issuer.replace("/realms/x", "/realms/y")),
        json!(issuer.replace("/realms/x", "/realms/%78")),
        json!(issuer.replace("http://", "https://")),
        json!(format!(" {issuer}")),
    ];
    for value in values {
        let token = scene.token().claim("iss", value.clone()).text();
        unauthenticated(&scene.get(&token).await, &format!("iss {value}"));
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn finding_5_an_audience_is_one_of_ours() {
    let scene = Scene::new().await;
    for value in [
        json!(5),
        json!(null),
        json!(true),
        json!({}),
        json!({AUDIENCE: true}),
        json!([]),
        json!([null]),
        json!([[AUDIENCE]]),
        json!(["other"]),
        json!("other"),
        json!(""),
        json!("MY-APP"),
        json!("my-app "),
        json!("my-app,other"),
        json!("my-app other"),
        json!("my-ap"),
        json!("my-app2"),
        json!([5, AUDIENCE]),
        json!([AUDIENCE, null]),
    ] {
        let token = scene.token().claim("aud", value.clone()).text();
        unauthenticated(&scene.get(&token).await, &format!("aud {value}"));
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
    for value in [json!(AUDIENCE), json!([AUDIENCE]), json!(["other", AUDIENCE]), json!([AUDIENCE, AUDIENCE])] {
        let token = scene.token().claim("aud", value.clone()).text();
        assert_eq!(seen(&scene.get(&token).await.token()), "emea:alice", "{value}");
    }
}

#[tokio::test]
async fn audiences_may_be_several() {
    let scene = Gate::default().jwt("audience: [one, two], value_claim: region").start().await;
    for value in [json!("one"), json!("two"), json!(["two", "three"])] {
        let token = scene.token().claim("aud", value.clone()).text();
        assert_eq!(seen(&scene.get(&token).await.token()), "emea:alice", "{value}");
    }
    for value in [json!("three"), json!("one two"), json!(["three"]), json!("my-app"), json!("[\"one\"]")] {
        let token = scene.token().claim("aud", value.clone()).text();
        unauthenticated(&scene.get(&token).await, &value.to_string());
    }
}

#[tokio::test]
async fn finding_6_an_end_has_to_be_a_near_number_to_come() {
    let scene = Scene::new().await;
    let now = now();
    for value in [
        json!(now - 120),
        json!(now - 10 * DAY),
        json!(0),
        json!(-1),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(now + 32 * DAY),
        json!((now + 3600) * 1000),
        json!((now + 3600).to_string()),
        json!(""),
        json!(null),
        json!(true),
        json!([now + 3600]),
        json!({"exp": now + 3600}),
        json!(1e300),
        json!(-1e300),
    ] {
        let token = scene.token().claim("exp", value.clone()).text();
        unauthenticated(&scene.get(&token).await, &format!("exp {value}"));
    }
    // What no serializer would write.
    let payload = |exp: &str| scene.token().claim("exp", 4711).payload_text().replace("4711", exp);
    for exp in ["1e400", "-1e400", "NaN", "Infinity", "0x7fffffff", "01", "99999999999999999999999999", "1_000"] {
        let token = joined(rsa(), &scene.token().header_text(), &payload(exp));
        unauthenticated(&scene.get(&token).await, &format!("exp {exp}"));
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
    takes(
        &scene,
        vec![
            ("just over, within the skew", scene.token().claim("exp", now - 45)),
            ("thirty days", scene.token().claim("exp", now + 30 * DAY)),
            ("with a fraction (RFC 7519 section 2)", scene.token().claim("exp", now as f64 + 3600.5)),
        ],
    )
    .await;
}

#[tokio::test]
async fn finding_6_beginnings_have_to_be_past_numbers() {
    let scene = Scene::new().await;
    let now = now();
    for name in ["nbf", "iat"] {
        for value in [
            json!(now + 120),
            json!(now + DAY),
            json!(u64::MAX),
            json!(i64::MAX),
            json!(1e300),
            json!((now - 10).to_string()),
            json!(""),
            json!(null),
            json!(false),
            json!([now]),
            json!({}),
        ] {
            let token = scene.token().claim(name, value.clone()).text();
            unauthenticated(&scene.get(&token).await, &format!("{name} {value}"));
        }
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
    takes(
        &scene,
        vec![
            ("nbf within the skew", scene.token().claim("nbf", now + 45)),
            ("iat within the skew", scene.token().claim("iat", now + 45)),
            ("nbf long ago", scene.token().claim("nbf", 0)),
            ("iat long ago", scene.token().claim("iat", now - 300 * DAY)),
            ("both now", scene.token().claim("nbf", now).claim("iat", now)),
        ],
    )
    .await;
}

#[tokio::test]
async fn finding_6_a_subject_is_a_text() {
    let scene = Scene::new().await;
    for value in [json!(""), json!(5), json!(null), json!(true), json!(["alice"]), json!({"id": "alice"})] {
        let token = scene.token().claim("sub", value.clone()).text();
        unauthenticated(&scene.get(&token).await, &format!("sub {value}"));
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
    // It is wanted even where another claim names the viewer.
    let other = scene.another(&Gate::default().jwt("id_claim: uid, value_claim: region")).await;
    let token = scene.token().claim("uid", "carol");
    assert_eq!(seen(&other.get(&token.text()).await.token()), "emea:carol");
    for token in [token.clone().no_claim("sub"), token.clone().claim("sub", ""), token.claim("sub", 5)] {
        unauthenticated(&other.get(&token.text()).await, "no subject");
    }
}

#[tokio::test]
async fn the_skew_is_the_configs() {
    let scene = Scene::new().await;
    let strict = scene.another(&Gate::default().jwt("clock_skew: 0s, value_claim: region")).await;
    let lax = scene.another(&Gate::default().jwt("clock_skew: 5m, value_claim: region")).await;
    let now = now();
    for (name, at) in [("exp", now - 5), ("nbf", now + 30), ("iat", now + 30)] {
        let token = scene.token().claim(name, at).text();
        unauthenticated(&strict.get(&token).await, name);
        assert_eq!(seen(&lax.get(&token).await.token()), "emea:alice", "{name}");
    }
    for (name, at) in [("exp", now - 280), ("nbf", now + 280), ("iat", now + 280)] {
        let token = scene.token().claim(name, at).text();
        unauthenticated(&scene.get(&token).await, name);
        assert_eq!(seen(&lax.get(&token).await.token()), "emea:alice", "{name}");
    }
    assert_eq!(seen(&strict.get(&scene.token().text()).await.token()), "emea:alice");
}

// ---- the claims that name the viewer -----------------------------------------------------------------------------------

/// Each of these as the claim is no viewer.
async fn wrong(scene: &Scene, name: &str, values: impl IntoIterator<Item = Value>) {
    let without = scene.token().no_claim(name).text();
    unauthenticated(&scene.get(&without).await, &format!("no {name}"));
    for value in values {
        let token = scene.token().claim(name, value.clone()).text();
        unauthenticated(&scene.get(&token).await, &format!("{name} {value}"));
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_claim_that_the_config_names_has_to_be_there_and_a_text() {
    let types =
        || [json!(null), json!(5), json!(true), json!([]), json!(["emea"]), json!({}), json!({"region": "emea"})];
    let scene = Scene::new().await;
    wrong(&scene, "region", types()).await;
    let scene = Gate::default().jwt("id_claim: uid").start().await;
    wrong(&scene, "uid", types().into_iter().chain([json!("")])).await;
    let scene = Gate::default().jwt("attribute_claims: {area: place}").start().await;
    wrong(&scene, "place", types()).await;
}

#[tokio::test]
async fn roles_are_texts_or_one_text() {
    let scene = Gate::default().jwt("value_claim: region, roles_claim: roles").start().await;
    let types = [json!(null), json!(5), json!(true), json!({}), json!([5]), json!(["a", null]), json!([["a"]])];
    wrong(&scene, "roles", types).await;
    let mut tokens = Vec::new();
    for roles in [json!(["a", "b"]), json!(["b", "a"]), json!(["b", "a", "b"]), json!("a"), json!(["a"]), json!([])] {
        let reply = scene.get(&scene.token().claim("roles", roles).text()).await;
        tokens.push((reply.token(), reply.cache()));
    }
    let caches: Vec<&str> = tokens.iter().map(|(_, cache)| cache.as_str()).collect();
    assert_eq!(caches, ["miss", "hit", "hit", "miss", "hit", "miss"], "a set, whatever its order");
    assert_eq!(tokens[0].0, tokens[1].0);
    assert_ne!(tokens[0].0, tokens[3].0);
}

/// A name is exact, dots and all; what begins with a slash is a path.
#[tokio::test]
async fn claims_may_be_inside_of_others() {
    let jwt = "id_claim: /user/id, value_claim: 'https://example.com/region', attribute_claims: {area: /a~1b/c~0d/1}";
    let scene = Gate::default().jwt(jwt).start().await;
    let right = scene
        .token()
        .claim("user", json!({"id": "u-1"}))
        .claim("https://example.com/region", "apac")
        .claim("a/b", json!({"c~d": ["west", "east"]}));
    assert_eq!(seen(&scene.get(&right.text()).await.token()), "apac:u-1");
    scene.vendor.clear_journal();
    for (what, token) in [
        ("a flat name with slashes", right.clone().no_claim("user").claim("/user/id", "u-1").claim("user/id", "u-1")),
        ("a name with a dot", right.clone().no_claim("user").claim("user.id", "u-1")),
        ("a text where the object should be", right.clone().claim("user", "u-1")),
        ("a number inside", right.clone().claim("user", json!({"id": 5}))),
        ("nothing inside", right.clone().claim("user", json!({}))),
        ("a list that is too short", right.clone().claim("a/b", json!({"c~d": ["west"]}))),
        ("an object where the list should be", right.clone().claim("a/b", json!({"c~d": {"x": "east"}}))),
        (
            "a name that is nested",
            right
                .no_claim("https://example.com/region")
                .claim("https:", json!({"": {"example.com": {"region": "apac"}}})),
        ),
    ] {
        unauthenticated(&scene.get(&token.text()).await, what);
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
}

/// Who he is, is proved; that the vendor cannot show him anything is another matter.
#[tokio::test]
async fn a_verified_viewer_that_the_vendor_cannot_take_is_told_so() {
    let scene = Scene::new().await;
    let told = |reply: &Reply, what: &str| {
        assert_eq!(reply.refusal(), (422, "invalid_viewer".to_owned()), "{what}: {}", reply.text());
        assert_eq!(reply.header("www-authenticate"), None, "{what}: another token would not help");
        assert!(!reply.text().contains("canary"), "{what}: {}", reply.text());
    };
    for (id, value) in [
        ("canary:1", "emea"),
        ("canary|1", "emea"),
        ("canary@example.com", "emea"),
        ("canary\u{0}", "emea"),
        ("canary\n", "emea"),
        ("canary\u{202e}", "emea"),
        ("u-1", "canary:1"),
        ("u-1", "canary\t1"),
        (&"canary".repeat(180), "emea"),
        ("u-1", &"canary".repeat(180)),
    ] {
        told(&scene.get(&scene.token().viewer(id, value).text()).await, id);
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
    // Nothing is folded or trimmed.
    for id in ["Alice", "ALICE", "alice ", " alice", "\u{e9}", "e\u{301}"] {
        assert_eq!(seen(&scene.get(&scene.token().viewer(id, "emea").text()).await.token()), format!("emea:{id}"));
    }
}

#[tokio::test]
async fn without_a_value_claim_nobody_has_a_value() {
    let scene = Gate::default().jwt("").start().await;
    assert_eq!(seen(&scene.get(&scene.token().text()).await.token()), ":alice");
    let named = scene.ask_for(&scene.token().text(), json!({"id": "alice", "value": "emea"})).await;
    assert_eq!(named.refusal(), (403, "viewer_mismatch".to_owned()), "a value that nothing proves");
}

/// What becomes of an id is the same whoever names it.
#[tokio::test]
async fn an_address_as_id_is_a_matter_of_the_config() {
    let plain = Gate::default().viewers("id_privacy: plain").start().await;
    let token = plain.token().viewer("alice@example.com", "emea").text();
    assert_eq!(seen(&plain.get(&token).await.token()), "emea:alice@example.com");
    let named = plain.ask_for(&token, json!({"id": "alice@example.com"})).await;
    assert_eq!(named.status, 200, "{}", named.text());
    let hmac = Gate::default().viewers("id_privacy: hmac, hmac_key_env: KEY");
    let hmac = hmac.setup(|setup| setup.variable("KEY", "0123456789abcdef0123456789abcdef")).start().await;
    let token = hmac.token().viewer("alice@example.com", "emea").text();
    let shown = seen(&hmac.get(&token).await.token());
    assert!(shown.starts_with("emea:") && !shown.contains("alice"), "{shown}");
    let named = hmac.ask_for(&token, json!({"id": "alice@example.com"})).await;
    assert_eq!((seen(&named.token()), named.cache().as_str()), (shown.clone(), "hit"), "the name, not what it became");
    let hashed = hmac.ask_for(&token, json!({"id": shown.trim_start_matches("emea:")})).await;
    assert_eq!(hashed.refusal(), (403, "viewer_mismatch".to_owned()));
}
