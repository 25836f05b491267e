//! Finding 7: which keys are used, and which sets are none. Each set is that of a sidecar of its own, so that nothing is
//! left of the one before.

use serde_json::{Value, json};

use super::scene::{Another, Gate, Scene, seen, unauthenticated};
use crate::issuer::{Answer, Token, base64, ed25519, other_p256, other_rsa, p256, p384, rsa, set, unbase64};
use crate::support::until;

const EVERY: &str = "value_claim: region, jwks_url: 'ISSUER/keys', \
                     algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]";

/// A sidecar that has asked for this set.
async fn with_set(scene: &Scene, body: &str) -> Another {
    scene.issuer.keys(Answer::json(body));
    let sidecar = scene.another(&Gate::default().jwt(EVERY)).await;
    until("the set was asked for", async || sidecar.asked().await > 0.0).await;
    sidecar
}

/// This set is none: nobody is let in by it, and nobody is told that his token was wrong.
async fn refused(scene: &Scene, what: &str, body: &str) {
    let sidecar = with_set(scene, body).await;
    for token in [scene.token(), Token::by(p256(), &scene.issuer), scene.token().really_by(other_rsa())] {
        let reply = sidecar.get(&token.text()).await;
        assert_eq!(reply.refusal(), (502, "upstream_malformed".to_owned()), "{what}: {}", reply.text());
        assert_eq!(reply.header("www-authenticate"), None, "{what}");
    }
    assert!(sidecar.counted("malformed").await >= 1.0 && sidecar.counted("ok").await == 0.0, "{what}");
}

/// This key is passed over, and the good one beside it is used; alone it makes no set.
async fn passed_over(scene: &Scene, what: &str, jwk: Value, by: &'static crate::issuer::SigningKey) {
    let named = |mut jwk: Value| {
        jwk["kid"] = json!("bad");
        jwk
    };
    let sidecar = with_set(scene, &set(&[named(jwk.clone()), p384().jwk()])).await;
    unauthenticated(&sidecar.get(&Token::by(by, &scene.issuer).kid("bad").text()).await, what);
    let nameless = Token::by(by, &scene.issuer).no_header("kid").text();
    unauthenticated(&sidecar.get(&nameless).await, what);
    let good = sidecar.get(&Token::by(p384(), &scene.issuer).text()).await;
    assert_eq!(good.status, 200, "{what}: {}", good.text());
    refused(scene, what, &set(&[named(jwk)])).await;
}

#[tokio::test]
async fn finding_7_sets_with_secrets_in_them_are_none() {
    let scene = Scene::new().await;
    let (a, b) = (rsa().jwk(), p256().jwk());
    let oct = json!({"kty": "oct", "k": base64("a secret of 32 bytes, no less...."), "kid": "s", "alg": "HS256", "use": "sig"});
    let mut private = other_p256().jwk();
    private["d"] = json!(other_p256().private_part());
    let mut private_ed = ed25519().jwk();
    private_ed["d"] = json!(ed25519().private_part());
    let with = |name: &str| rsa().jwk_with(name, base64([1; 32]));
    let for_encryption = {
        let mut jwk = private.clone();
        jwk["use"] = json!("enc");
        jwk
    };
    for (what, keys) in [
        ("a symmetric key among others", vec![a.clone(), b.clone(), oct.clone()]),
        ("a symmetric key first", vec![oct.clone(), a.clone()]),
        ("a symmetric key alone", vec![oct.clone()]),
        ("an empty symmetric key", vec![a.clone(), json!({"kty": "oct", "k": ""})]),
        ("a symmetric key for encryption", vec![a.clone(), json!({"kty": "oct", "k": "AAAA", "use": "enc"})]),
        ("a private EC key", vec![a.clone(), private]),
        ("a private Ed25519 key", vec![a.clone(), private_ed]),
        ("a private key for encryption", vec![a.clone(), for_encryption]),
        ("a private RSA key", vec![with("d"), b.clone()]),
        ("a prime", vec![with("p"), b.clone()]),
        ("another prime", vec![with("q"), b.clone()]),
        ("an exponent", vec![with("dp"), b.clone()]),
        ("another exponent", vec![with("dq"), b.clone()]),
        ("a coefficient", vec![with("qi"), b.clone()]),
        ("more primes", vec![rsa().jwk_with("oth", json!([{"r": "AQ", "d": "AQ", "t": "AQ"}])), b.clone()]),
    ] {
        refused(&scene, what, &set(&keys)).await;
    }
}

#[tokio::test]
async fn finding_7_sets_that_can_be_read_in_two_ways_are_none() {
    let scene = Scene::new().await;
    let (a, b) = (rsa().jwk(), p256().jwk());
    for (what, keys) in [
        ("two keys of one name", vec![a.clone(), other_rsa().jwk_named(rsa().kid)]),
        ("one key twice", vec![a.clone(), a.clone()]),
        ("two kinds of one name", vec![a.clone(), p256().jwk_named(rsa().kid)]),
        (
            "one of one name is not usable",
            vec![a.clone(), {
                let mut jwk = other_rsa().jwk_named(rsa().kid);
                jwk["use"] = json!("enc");
                jwk
            }],
        ),
    ] {
        refused(&scene, what, &set(&keys)).await;
    }
    let text = a.to_string();
    for (what, body) in [
        ("two sets in one", format!("{{\"keys\":[{text}],\"keys\":[{b}]}}")),
        ("two moduli in a key", format!("{{\"keys\":[{},{b}]}}", text.replacen('{', "{\"n\":\"AQAB\",", 1))),
        ("two names in a key", format!("{{\"keys\":[{},{b}]}}", text.replacen('{', "{\"kid\":\"x\",", 1))),
    ] {
        let sidecar = with_set(&scene, &body).await;
        let reply = sidecar.get(&scene.token().text()).await;
        assert!(reply.status != 200, "{what}: {}", reply.text());
    }
}

#[tokio::test]
async fn finding_7_sets_that_are_none_at_all() {
    let scene = Scene::new().await;
    let key = rsa().jwk();
    for (what, body) in [
        ("nothing", String::new()),
        ("no keys", "{\"keys\":[]}".to_owned()),
        ("an empty object", "{}".to_owned()),
        ("null", "null".to_owned()),
        ("a list", json!([key]).to_string()),
        ("a key without a set", key.to_string()),
        ("keys by name", json!({"keys": {"rsa-1": key}}).to_string()),
        ("a text", "\"keys\"".to_owned()),
        ("keys that are null", "{\"keys\":null}".to_owned()),
        ("keys that are texts", "{\"keys\":[\"rsa-1\"]}".to_owned()),
        ("half of it", set(std::slice::from_ref(&key)).split_at(100).0.to_owned()),
        ("something behind it", format!("{} x", set(std::slice::from_ref(&key)))),
        ("a page", "<!doctype html><title>Sign in</title>".to_owned()),
        ("a mark in front", format!("\u{feff}{}", set(&[key]))),
    ] {
        refused(&scene, what, &body).await;
    }
}

#[tokio::test]
async fn finding_7_keys_for_something_else_are_passed_over() {
    let scene = Scene::new().await;
    let with = |name: &str, value: Value| rsa().jwk_with(name, value);
    for (what, jwk) in [
        ("for encryption", with("use", json!("enc"))),
        ("for something unknown", with("use", json!("SIG"))),
        ("for a number", with("use", json!(1))),
        ("operations without verify", with("key_ops", json!(["encrypt", "wrapKey"]))),
        ("no operation", with("key_ops", json!([]))),
        ("operations that are a text", with("key_ops", json!("verify"))),
        ("another algorithm of encryption", with("alg", json!("RSA-OAEP"))),
        ("the algorithm of another kind", with("alg", json!("ES256"))),
        ("HMAC on an RSA key", with("alg", json!("HS256"))),
        ("none", with("alg", json!("none"))),
        ("an algorithm that is none", with("alg", json!("XX256"))),
        ("an unknown kind", with("kty", json!("XYZ"))),
        ("a kind of small letters", with("kty", json!("rsa"))),
        ("the kind of a curve", with("kty", json!("EC"))),
        ("no kind", with("kty", Value::Null)),
    ] {
        passed_over(&scene, what, jwk, rsa()).await;
    }
}

#[tokio::test]
async fn finding_7_weak_and_broken_rsa_keys_are_passed_over() {
    let scene = Scene::new().await;
    let jwk = rsa().jwk();
    let n = jwk["n"].as_str().expect("a modulus").to_owned();
    let of = |bytes: usize| {
        // Odd, and with its top bit set.
        let mut modulus = vec![0xa5; bytes];
        modulus[bytes - 1] = 0x0b;
        base64(modulus)
    };
    let with = |name: &str, value: &str| rsa().jwk_with(name, value);
    for (what, jwk) in [
        ("1024 bits", with("n", &of(128))),
        ("2040 bits", with("n", &of(255))),
        ("1024 bits made long by zeroes", with("n", &base64([vec![0; 128], vec![0xa5; 127], vec![0x0b]].concat()))),
        ("8200 bits", with("n", &of(1025))),
        ("16384 bits", with("n", &of(2048))),
        ("no modulus", rsa().jwk_with("n", Value::Null)),
        ("an empty modulus", with("n", "")),
        ("a modulus that is a number", rsa().jwk_with("n", 65537)),
        ("padding in the modulus", with("n", &format!("{n}=="))),
        ("base64 of the other alphabet", with("n", &format!("{}+/", &n[..n.len() - 2]))),
        ("the exponent 1", with("e", "AQ")),
        ("the exponent 2", with("e", "Ag")),
        ("an even exponent", with("e", "AQAA")),
        ("the exponent 0", with("e", "AA")),
        ("no exponent", rsa().jwk_with("e", Value::Null)),
        ("an empty exponent", with("e", "")),
        ("an exponent of 2048 bits", with("e", &of(256))),
    ] {
        passed_over(&scene, what, jwk, rsa()).await;
    }
}

/// The moduli of CVE-2017-15361 can be taken apart; this one is Wycheproof's.
#[tokio::test]
async fn finding_7_a_modulus_of_the_roca_kind_is_passed_over() {
    let scene = Scene::new().await;
    let vectors = include_str!("../../vectors/wycheproof/json_web_key_test.json");
    let vectors: Value = serde_json::from_str(vectors).expect("JSON");
    let groups = vectors["testGroups"].as_array().expect("groups");
    let roca = groups.iter().find(|group| group["comment"] == "jws_rsa_roca_key").expect("it is there");
    let mut jwk = roca["public"]["keys"][0].clone();
    // Its leading zero is not what it is refused for.
    let bytes = unbase64(jwk["n"].as_str().expect("a modulus"));
    passed_over(&scene, "as it is published", jwk.clone(), rsa()).await;
    jwk["n"] = json!(base64(bytes.strip_prefix(&[0]).unwrap_or(&bytes)));
    jwk["kid"] = json!("roca");
    passed_over(&scene, "without the zero in front", jwk, rsa()).await;
}

#[tokio::test]
async fn finding_7_broken_curve_keys_are_passed_over() {
    let scene = Scene::new().await;
    let with = |name: &str, value: Value| p256().jwk_with(name, value);
    let x = p256().jwk()["x"].as_str().expect("a coordinate").to_owned();
    let bytes = unbase64(&x);
    for (what, jwk) in [
        ("the name of another curve", with("crv", json!("P-384"))),
        ("an unknown curve", with("crv", json!("P-257"))),
        ("a curve of other use", with("crv", json!("secp256k1"))),
        ("no curve", with("crv", Value::Null)),
        ("the algorithm of another curve", with("alg", json!("ES384"))),
        ("an algorithm that is none", with("alg", json!("ES521"))),
        ("another algorithm that is none", with("alg", json!("ES224"))),
        ("key agreement", with("alg", json!("ECDH-ES"))),
        ("a short coordinate", with("x", json!(base64(&bytes[..31])))),
        ("a long coordinate", with("x", json!(base64([&[0], bytes.as_slice()].concat())))),
        ("an empty coordinate", with("x", json!(""))),
        ("no coordinate", with("y", Value::Null)),
        ("for encryption", with("use", json!("enc"))),
    ] {
        passed_over(&scene, what, jwk, p256()).await;
    }
    for (what, jwk) in [
        ("key agreement on the other curve", ed25519().jwk_with("crv", "X25519")),
        ("Ed448", ed25519().jwk_with("crv", "Ed448")),
        ("a short key", ed25519().jwk_with("x", base64([1; 31]))),
        ("a long key", ed25519().jwk_with("x", base64([1; 33]))),
        ("the algorithm of another kind", ed25519().jwk_with("alg", "ES256")),
    ] {
        passed_over(&scene, what, jwk, ed25519()).await;
    }
}

/// Nobody signs with these, but a set of them alone is none, and takes the place of no other.
#[tokio::test]
async fn finding_7_points_beside_the_curve_are_passed_over() {
    let scene = Scene::new().await;
    let moved = |name: &str| {
        let mut bytes = unbase64(p256().jwk()[name].as_str().expect("a coordinate"));
        bytes[31] ^= 1;
        p256().jwk_with(name, base64(bytes))
    };
    let both = |byte: u8| {
        let mut jwk = p256().jwk_with("x", base64([byte; 32]));
        jwk["y"] = json!(base64([byte; 32]));
        jwk
    };
    for (what, jwk) in [
        ("another x", moved("x")),
        ("another y", moved("y")),
        ("zeroes", both(0)),
        ("beyond the field", both(0xff)),
        ("the coordinates changed about", {
            let mut jwk = p256().jwk();
            jwk["x"] = p256().jwk()["y"].clone();
            jwk["y"] = p256().jwk()["x"].clone();
            jwk
        }),
    ] {
        passed_over(&scene, what, jwk, p256()).await;
    }
}

/// What is only missing, or only more than is needed, harms nothing.
#[tokio::test]
async fn finding_7_good_keys_are_used_as_they_are_published() {
    let scene = Scene::new().await;
    let mut plain = rsa().bare_jwk();
    plain["kid"] = json!(rsa().kid);
    for (what, jwk) in [
        ("nothing but the key", plain),
        ("no use", rsa().jwk_with("use", Value::Null)),
        ("no algorithm", rsa().jwk_with("alg", Value::Null)),
        ("operations", rsa().jwk_with("key_ops", json!(["verify"]))),
        ("more operations", rsa().jwk_with("key_ops", json!(["sign", "verify"]))),
        ("a certificate and its print", {
            let mut jwk = rsa().jwk_with("x5c", json!(["MIIB"]));
            jwk["x5t"] = json!("AAAA");
            jwk
        }),
        ("members that nobody knows", rsa().jwk_with("nbf", json!(0))),
    ] {
        let strangers = [json!({"kty": "XYZ", "kid": "?"}), p384().jwk_with("crv", "P-521")];
        let sidecar = with_set(&scene, &set(&[jwk, strangers[0].clone(), strangers[1].clone()])).await;
        let reply = sidecar.get(&scene.token().text()).await;
        assert_eq!(reply.status, 200, "{what}: {}", reply.text());
        assert_eq!(seen(&reply.token()), "emea:alice", "{what}");
    }
    // A hundred keys are a set, and more members beside them are ignored.
    let mut keys: Vec<Value> = (0..99).map(|number| p256().jwk_named(&format!("k-{number}"))).collect();
    keys.push(rsa().jwk());
    let body = json!({"keys": keys, "more": {"keys": []}}).to_string();
    let sidecar = with_set(&scene, &body).await;
    assert_eq!(sidecar.get(&scene.token().text()).await.status, 200);
    assert_eq!(sidecar.get(&Token::by(p256(), &scene.issuer).kid("k-98").text()).await.status, 200);
    keys.push(other_rsa().jwk());
    refused(&scene, "a hundred and one", &set(&keys)).await;
}
