//! T16, T17, T19 and T22: what a token may be, before anything that it claims is looked at.

use std::io::ErrorKind;
use std::net::TcpListener;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::scene::{Gate, RENEW, Scene, seen, unauthenticated};
use crate::issuer::{Token, base64, ed25519, joined, opened, other_p256, other_rsa, p256, p384, rsa, unbase64};

/// Every one of these is refused, and the vendor hears of none.
async fn refuses<T: AsRef<str>>(scene: &Scene, tokens: impl IntoIterator<Item = (T, String)>) {
    for (what, token) in tokens {
        unauthenticated(&scene.get(&token).await, what.as_ref());
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
    assert_eq!(seen(&scene.get(&scene.token().text()).await.token()), "emea:alice", "the right one is taken");
}

fn three(header: &str, payload: &str, signature: impl AsRef<[u8]>) -> String {
    format!("{}.{}.{}", base64(header), base64(payload), base64(signature))
}

/// HMAC with what is public, in every form in which a library could take it for a secret.
fn confused(alg: &str, secret: &[u8], payload: &str) -> String {
    let header = json!({"alg": alg, "kid": rsa().kid, "typ": "JWT"}).to_string();
    let message = format!("{}.{}", base64(header), base64(payload));
    let algorithm = match alg {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
    format!("{message}.{}", base64(tag))
}

#[tokio::test]
async fn t16_unsecured_tokens_are_refused() {
    let scene = Scene::new().await;
    let (payload, right) = (scene.token().payload_text(), scene.token().text());
    let mut tokens = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "", " none", "none\u{0}", "RS256 ", "rs256", "RS256,none"] {
        let header = json!({"alg": alg, "kid": rsa().kid, "typ": "JWT"}).to_string();
        tokens.push((format!("{alg}, no signature"), format!("{}.{}.", base64(&header), base64(&payload))));
        tokens.push((format!("{alg}, two parts"), format!("{}.{}", base64(&header), base64(&payload))));
        let signature = opened(&right, 2);
        tokens.push((format!("{alg}, a signature of another"), three(&header, &payload, signature)));
        tokens.push((format!("{alg}, signed"), joined(rsa(), &header, &payload)));
    }
    refuses(&scene, tokens).await;
}

#[tokio::test]
async fn t16_an_algorithm_that_is_not_text_or_not_there_is_refused() {
    let scene = Scene::new().await;
    let payload = scene.token().payload_text();
    let mut tokens = vec![("no alg".to_owned(), scene.token().no_header("alg").text())];
    for alg in [json!(null), json!(["RS256"]), json!({"RS256": true}), json!(256), json!(true)] {
        tokens.push((alg.to_string(), scene.token().header("alg", alg).text()));
    }
    for header in [
        r#"{"alg":"RS256","alg":"none","kid":"rsa-1"}"#,
        r#"{"alg":"none","alg":"RS256","kid":"rsa-1"}"#,
        r#"{"alg":"RS256","kid":"rsa-1","kid":"ec-1"}"#,
        r#"{"alg":"RS256","kid":"rsa-1","\u0061lg":"RS256"}"#,
        r#"{"alg":"RS256","kid":"rsa-1","x":1,"x":1}"#,
        r#"{"alg":"RS256","kid":"rsa-1","x":{"y":1,"y":2}}"#,
    ] {
        tokens.push((header.to_owned(), joined(rsa(), header, &payload)));
    }
    refuses(&scene, tokens).await;
}

#[tokio::test]
async fn t16_hmac_with_the_public_key_is_refused() {
    let scene = Scene::new().await;
    let payload = scene.token().payload_text();
    let jwk = rsa().bare_jwk();
    let set = crate::issuer::set(&[rsa().jwk(), p256().jwk()]);
    let modulus = unbase64(jwk["n"].as_str().expect("a modulus"));
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", jwk["n"].as_str().expect("a text"));
    let secrets: [(&str, Vec<u8>); 7] = [
        ("nothing", Vec::new()),
        ("the modulus", modulus),
        ("its text", jwk["n"].as_str().expect("a text").into()),
        ("the key", jwk.to_string().into()),
        ("the set", set.into()),
        ("a PEM", pem.into()),
        ("the key's name", rsa().kid.into()),
    ];
    let tokens = secrets.iter().flat_map(|(name, secret)| {
        ["HS256", "HS384", "HS512"].map(|alg| (format!("{alg} by {name}"), confused(alg, secret, &payload)))
    });
    refuses(&scene, tokens).await;
}

/// Each key is for one algorithm: the one that it is published for.
#[tokio::test]
async fn t16_a_key_is_not_used_for_another_algorithm() {
    let scene = Gate::default()
        .jwt("value_claim: region, algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]")
        .start()
        .await;
    let by = |key, alg: &str| Token::by(key, &scene.issuer).header("alg", alg);
    let mut tokens: Vec<(String, String)> = ["RS384", "RS512", "PS256", "PS384", "PS512"]
        .map(|alg| (format!("{alg} by an RS256 key"), Token::by(rsa(), &scene.issuer).alg(alg).text()))
        .to_vec();
    tokens.extend([
        ("an EC key named RS256".to_owned(), by(p256(), "RS256").text()),
        ("an RSA key named ES256".to_owned(), by(rsa(), "ES256").text()),
        ("a P-256 key named ES384".to_owned(), by(p256(), "ES384").text()),
        ("a P-256 key named EdDSA".to_owned(), by(p256(), "EdDSA").text()),
        ("the name of the EC key".to_owned(), scene.token().kid(p256().kid).text()),
        ("the name of the RSA key".to_owned(), Token::by(p256(), &scene.issuer).kid(rsa().kid).text()),
    ]);
    refuses(&scene, tokens).await;
}

#[tokio::test]
async fn every_algorithm_of_the_list_is_taken_and_no_other() {
    let list = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
    let scene = Gate::default().start().await;
    let bare = |alg: &str| rsa().jwk_with("alg", alg)["alg"].clone();
    let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let named = |alg: &str| {
        let mut jwk = rsa().jwk_named(&format!("rsa-{alg}"));
        jwk["alg"] = bare(alg);
        jwk
    };
    let mut keys: Vec<Value> = all.iter().map(|alg| named(alg)).collect();
    keys.extend([p256().jwk(), p384().jwk(), ed25519().jwk()]);
    scene.issuer.publish(&keys);
    let mut tokens: Vec<(&str, String)> =
        all.map(|alg| (alg, scene.token().alg(alg).kid(&format!("rsa-{alg}")).text())).to_vec();
    tokens.extend([p256(), p384(), ed25519()].map(|key| (key.alg, Token::by(key, &scene.issuer).text())));
    for only in list.split(", ") {
        let one = scene.another(&Gate::default().jwt(&format!("value_claim: region, algorithms: [{only}]"))).await;
        for (alg, token) in &tokens {
            let reply = one.get(token).await;
            assert_eq!(reply.status == 200, *alg == only, "{alg} where {only} is listed: {}", reply.text());
        }
    }
    let every = scene.another(&Gate::default().jwt(&format!("value_claim: region, algorithms: [{list}]"))).await;
    for (alg, token) in &tokens {
        assert_eq!(seen(&every.get(token).await.token()), "emea:alice", "{alg}");
    }
}

#[tokio::test]
async fn t16_signatures_that_are_none_are_refused() {
    let scene = Scene::new().await;
    let right = scene.token().text();
    let (message, _) = right.rsplit_once('.').expect("three parts");
    let elliptic = Token::by(p256(), &scene.issuer).text();
    let (elliptic, _) = elliptic.rsplit_once('.').expect("three parts");
    let mut tokens = vec![("another key".to_owned(), scene.token().really_by(other_rsa()).text())];
    tokens.push(("another curve key".to_owned(), Token::by(p256(), &scene.issuer).really_by(other_p256()).text()));
    tokens.push(("signed as PS256".to_owned(), scene.token().alg("PS256").header("alg", "RS256").text()));
    tokens.push(("signed as RS512".to_owned(), scene.token().alg("RS512").header("alg", "RS256").text()));
    for length in [0, 1, 32, 63, 64, 65, 255, 256, 257, 512] {
        for byte in [0, 1, 0xff] {
            let signature = base64(vec![byte; length]);
            tokens.push((format!("{length} bytes of {byte}"), format!("{message}.{signature}")));
            tokens.push((format!("{length} bytes of {byte}, ES256"), format!("{elliptic}.{signature}")));
        }
    }
    // CVE-2022-21449: zeroes; and the other forms of an ECDSA signature.
    let order = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";
    tokens.push((
        "r and s are the order".to_owned(),
        format!("{elliptic}.{}", base64([unbase64(order), unbase64(order)].concat())),
    ));
    let good = opened(&Token::by(p256(), &scene.issuer).text(), 2);
    tokens.push(("ECDSA in DER".to_owned(), format!("{elliptic}.{}", base64(der(&good)))));
    refuses(&scene, tokens).await;
}

/// `SEQUENCE { INTEGER r, INTEGER s }`.
fn der(raw: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| [&[2, 33, 0], bytes].concat();
    let (r, s) = raw.split_at(32);
    [vec![0x30, 70], number(r), number(s)].concat()
}

/// The parts are base64url without padding, in one spelling.
#[tokio::test]
async fn t19_parts_have_one_spelling() {
    let scene = Scene::new().await;
    let right = scene.token().text();
    let [header, payload, signature] = parts(&right);
    let mut tokens = vec![
        ("padding".to_owned(), format!("{header}=.{payload}.{signature}")),
        ("padding of the signature".to_owned(), format!("{right}=")),
        ("double padding".to_owned(), format!("{right}==")),
        ("a dot in front".to_owned(), format!(".{right}")),
        ("a dot behind".to_owned(), format!("{right}.")),
        ("four parts".to_owned(), format!("{right}.{signature}")),
        ("five parts, as a JWE".to_owned(), format!("{header}.{payload}.{signature}.{payload}.{signature}")),
        ("one part".to_owned(), header.clone()),
        ("nothing but dots".to_owned(), "..".to_owned()),
        ("an empty header".to_owned(), format!(".{payload}.{signature}")),
        ("an empty payload".to_owned(), format!("{header}..{signature}")),
        ("an empty signature".to_owned(), format!("{header}.{payload}.")),
        ("the alphabet of base64".to_owned(), format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+"))),
        ("a space inside".to_owned(), format!("{header}. {payload}.{signature}")),
        ("a tab behind a dot".to_owned(), format!("{header}.{payload}.\t{signature}")),
        ("quotes".to_owned(), format!("\"{right}\"")),
        ("percent".to_owned(), right.replace('.', "%2e")),
    ];
    for (part, name) in [(0, "header"), (1, "payload"), (2, "signature")] {
        for (number, spelling) in other_spellings(&right, part).into_iter().enumerate() {
            tokens.push((format!("another last character of the {name}, {number}"), spelling));
        }
    }
    refuses(&scene, tokens).await;
}

fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().expect("three parts")
}

/// Texts that a lax decoder takes for the same bytes: the unused bits of the last character are not zero.
fn other_spellings(token: &str, part: usize) -> Vec<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let parts = parts(token);
    let unused = match parts[part].len() % 4 {
        2 => 16,
        3 => 4,
        _ => return Vec::new(),
    };
    let (rest, last) = parts[part].split_at(parts[part].len() - 1);
    let at = ALPHABET.find(last).expect("a character of the alphabet");
    assert_eq!(at % unused, 0, "the right spelling has zeroes there");
    (1..unused)
        .map(|bits| {
            let mut other = parts.clone();
            other[part] = format!("{rest}{}", &ALPHABET[at + bits..=at + bits]);
            other.join(".")
        })
        .collect()
}

/// Every length of a payload has its last character.
#[tokio::test]
async fn t19_no_payload_has_two_spellings() {
    let scene = Scene::new().await;
    let mut seen_some = 0;
    for padding in ["", "x", "xx", "xxx"] {
        let token = scene.token().claim("pad", padding).text();
        assert_eq!(seen(&scene.get(&token).await.token()), "emea:alice");
        for other in other_spellings(&token, 1) {
            unauthenticated(&scene.get(&other).await, "another spelling");
            seen_some += 1;
        }
    }
    assert!(seen_some >= 18, "{seen_some}");
}

#[tokio::test]
async fn t19_what_changes_the_meaning_is_refused() {
    let scene = Scene::new().await;
    let inner = scene.token().text();
    let with = |name: &str, value: Value| (format!("{name}: {value}"), scene.token().header(name, value).text());
    let mut tokens = vec![
        with("crit", json!(["b64"])),
        with("crit", json!(["http://example.invalid/UNDEFINED"])),
        with("crit", json!(["alg"])),
        with("crit", json!(["exp"])),
        with("crit", json!([])),
        with("crit", json!(null)),
        with("b64", json!(false)),
        with("b64", json!(true)),
        with("b64", json!(null)),
        with("zip", json!("DEF")),
        with("enc", json!("A128GCM")),
        with("cty", json!("JWT")),
        with("cty", json!("application/json")),
        with("cty", json!(null)),
    ];
    let unencoded = scene.token().header("b64", false).header("crit", json!(["b64"])).header_text();
    tokens.push(("RFC 7797".to_owned(), joined(rsa(), &unencoded, &scene.token().payload_text())));
    let nested = scene.token().header("cty", "JWT").header_text();
    tokens.push(("nested".to_owned(), joined(rsa(), &nested, &inner)));
    let plain = scene.token().header_text();
    tokens.push(("nested and not said so".to_owned(), joined(rsa(), &plain, &inner)));
    tokens.push(("a text as payload".to_owned(), joined(rsa(), &plain, &format!("\"{inner}\""))));
    for typ in ["JWS", "JOSE", "JOSE+JSON", "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "jwt ", "", "text/jwt"]
    {
        tokens.push(with("typ", json!(typ)));
    }
    for typ in [json!(null), json!(["JWT"]), json!(1)] {
        tokens.push(with("typ", typ));
    }
    refuses(&scene, tokens).await;
}

#[tokio::test]
async fn t19_types_that_mean_a_token_are_taken() {
    let scene = Scene::new().await;
    let absent = scene.token().no_header("typ").text();
    assert_eq!(seen(&scene.get(&absent).await.token()), "emea:alice");
    for typ in ["JWT", "jwt", "Jwt", "at+jwt", "AT+JWT", "application/jwt", "application/at+jwt", "Application/JWT"] {
        let token = scene.token().header("typ", typ).text();
        assert_eq!(seen(&scene.get(&token).await.token()), "emea:alice", "{typ}");
    }
    // What it does not know and is not critical is ignored (RFC 7515 section 4).
    let more = scene.token().header("x", json!({"y": [1, null]})).header("nonce", "n").text();
    assert_eq!(seen(&scene.get(&more).await.token()), "emea:alice");
}

#[tokio::test]
async fn t19_other_serializations_are_refused() {
    let scene = Scene::new().await;
    let [header, payload, signature] = parts(&scene.token().text());
    let flat = json!({"protected": header, "payload": payload, "signature": signature});
    let general = json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]});
    let unprotected = json!({"header": {"alg": "RS256", "kid": rsa().kid}, "payload": payload, "signature": signature});
    let tokens = [("flattened", flat), ("general", general), ("unprotected", unprotected)];
    let encoded = tokens.clone().map(|(name, json)| (format!("{name}, encoded"), base64(json.to_string())));
    refuses(&scene, tokens.map(|(name, json)| (name, json.to_string()))).await;
    scene.vendor.clear_journal();
    refuses_hits(&scene, encoded).await;
}

/// As [`refuses`], where the right token is in hand already.
async fn refuses_hits<T: AsRef<str>>(scene: &Scene, tokens: impl IntoIterator<Item = (T, String)>) {
    for (what, token) in tokens {
        unauthenticated(&scene.get(&token).await, what.as_ref());
    }
    assert_eq!(scene.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn t19_headers_and_payloads_that_are_no_objects_are_refused() {
    let scene = Scene::new().await;
    let (header, payload) = (scene.token().header_text(), scene.token().payload_text());
    let no_objects = ["", "null", "[]", "\"x\"", "5", "true", "{", "{}x", "{} {}", "\u{feff}{}", "{'alg': 'RS256'}"];
    let mut tokens: Vec<(String, String)> = Vec::new();
    for text in no_objects {
        tokens.push((format!("header {text}"), joined(rsa(), text, &payload)));
        tokens.push((format!("payload {text}"), joined(rsa(), &header, text)));
    }
    for (name, text) in [("a comma at the end", "{\"alg\":\"RS256\",}"), ("a comment", "{\"alg\":\"RS256\"/**/}")] {
        tokens.push((name.to_owned(), joined(rsa(), text, &payload)));
    }
    let broken = [&payload.as_bytes()[..payload.len() - 1], b",\"x\":\"\xff\"}"].concat();
    let message = format!("{}.{}", base64(&header), base64(&broken));
    let signature = rsa().sign(message.as_bytes());
    tokens.push(("no UTF-8".to_owned(), format!("{message}.{}", base64(signature))));
    let doubled = payload.replacen('{', "{\"sub\":\"bob\",", 1);
    tokens.push(("two subjects".to_owned(), joined(rsa(), &header, &doubled)));
    let escaped = payload.replacen('{', "{\"s\\u0075b\":\"bob\",", 1);
    tokens.push(("two subjects, one escaped".to_owned(), joined(rsa(), &header, &escaped)));
    let inside = payload.replacen('{', "{\"x\":{\"y\":1,\"y\":2},", 1);
    tokens.push(("two of one name inside".to_owned(), joined(rsa(), &header, &inside)));
    refuses(&scene, tokens).await;
}

#[tokio::test]
async fn t17_a_name_of_a_key_is_looked_up_and_nothing_else() {
    let scene = Scene::new().await;
    let names = [
        "../../../../dev/null",
        "/etc/passwd",
        "file:///dev/null",
        "' OR '1'='1",
        "rsa-1' UNION SELECT 'x",
        "rsa-1\u{0}",
        " rsa-1",
        "RSA-1",
        "$(id)",
        "",
        "*",
        "{{7*7}}",
    ];
    let mut tokens: Vec<(String, String)> =
        names.map(|name| (format!("kid {name:?}"), scene.token().kid(name).text())).to_vec();
    for kid in [json!(null), json!(1), json!(["rsa-1"]), json!({"rsa-1": 1}), json!(true), json!(0)] {
        tokens.push((format!("kid {kid}"), scene.token().header("kid", kid).text()));
    }
    for length in [257, 4096, 10_000] {
        tokens.push((format!("a kid of {length} bytes"), scene.token().kid(&"k".repeat(length)).text()));
    }
    tokens.push(("no kid where two keys could be meant".to_owned(), {
        scene.issuer.publish(&[rsa().jwk(), other_rsa().jwk()]);
        scene.token().kid("new").text()
    }));
    refuses(&scene, tokens).await;
    assert!(scene.issuer.fetches().1 <= 2, "{:?}", scene.issuer.fetches());
}

#[tokio::test]
async fn t17_without_a_name_the_only_key_that_fits_is_used() {
    let scene = Scene::new().await;
    // One RSA key and one EC key: one fits each algorithm.
    for key in [rsa(), p256()] {
        let token = Token::by(key, &scene.issuer).no_header("kid").text();
        assert_eq!(seen(&scene.get(&token).await.token()), "emea:alice", "{}", key.alg);
    }
    scene.issuer.publish(&[rsa().jwk(), other_rsa().jwk(), p256().jwk()]);
    let two = scene.another(&Gate::default()).await;
    for key in [rsa(), other_rsa()] {
        unauthenticated(&two.get(&Token::by(key, &scene.issuer).no_header("kid").text()).await, "two keys fit");
        assert_eq!(seen(&two.get(&Token::by(key, &scene.issuer).text()).await.token()), "emea:alice");
    }
    // A name of 256 bytes is a name; a set may have keys without one.
    let long = "k".repeat(256);
    scene.issuer.publish(&[rsa().jwk_named(&long), p256().bare_jwk()]);
    let long_one = scene.another(&Gate::default()).await;
    assert_eq!(seen(&long_one.get(&scene.token().kid(&long).text()).await.token()), "emea:alice");
    let nameless = Token::by(p256(), &scene.issuer).no_header("kid").text();
    assert_eq!(seen(&long_one.get(&nameless).await.token()), "emea:alice");
    unauthenticated(&long_one.get(&Token::by(p256(), &scene.issuer).text()).await, "a name that no key has");
    let longer = "k".repeat(257);
    scene.issuer.publish(&[rsa().jwk_named(&longer), p256().jwk()]);
    let longer_one = scene.another(&Gate::default()).await;
    unauthenticated(&longer_one.get(&scene.token().kid(&longer).text()).await, "a longer one is none");
    assert_eq!(seen(&longer_one.get(&Token::by(p256(), &scene.issuer).text()).await.token()), "emea:alice");
}

/// Wycheproof's tc32 and its like: a key that comes with the token proves nothing.
#[tokio::test]
async fn t17_keys_that_come_with_the_token_are_not_used() {
    let scene = Scene::new().await;
    let canary = TcpListener::bind("127.0.0.1:0").expect("a free port");
    canary.set_nonblocking(true).expect("it can be asked without waiting");
    let url = format!("http://{}/keys", canary.local_addr().expect("it listens"));
    scene.issuer.serve("/evil", crate::issuer::Answer::json(crate::issuer::set(&[other_rsa().jwk()])));
    let evil = scene.issuer.place("/evil");
    let forged = || scene.token().really_by(other_rsa());
    let jwk = other_rsa().jwk();
    let mut tokens = vec![
        ("jwk".to_owned(), forged().header("jwk", jwk.clone()).text()),
        ("jwk, no kid".to_owned(), forged().no_header("kid").header("jwk", jwk.clone()).text()),
        ("jwk and its kid".to_owned(), forged().kid(other_rsa().kid).header("jwk", jwk.clone()).text()),
        ("jwks".to_owned(), forged().header("jwks", json!({"keys": [jwk]})).text()),
        ("x5c".to_owned(), forged().header("x5c", json!(["MIIB"])).text()),
        ("x5t".to_owned(), forged().header("x5t", "AAAA").header("x5t#S256", "AAAA").text()),
    ];
    for place in [&url, &evil] {
        for name in ["jku", "x5u", "iss", "kid", "url"] {
            let token = forged().kid(other_rsa().kid).header(name, place.as_str());
            tokens.push((format!("{name}: {place}"), token.text()));
        }
        tokens.push((format!("iss: {place}"), forged().claim("iss", place.as_str()).text()));
    }
    refuses(&scene, tokens).await;
    let nobody = canary.accept().map_err(|error| error.kind());
    assert!(matches!(nobody, Err(ErrorKind::WouldBlock)), "{nobody:?}");
    assert_eq!(scene.issuer.asked("/evil"), 0);
    // Beside a right signature they change nothing.
    let right = scene.token().header("jku", url.as_str()).header("jwk", jwk).text();
    let reply = scene.get(&right).await;
    assert!(reply.status == 200 || reply.status == 401, "{}", reply.text());
    let nobody = canary.accept().map_err(|error| error.kind());
    assert!(matches!(nobody, Err(ErrorKind::WouldBlock)), "{nobody:?}");
}

#[tokio::test]
async fn t22_size_and_nesting_have_their_bounds() {
    let scene = Scene::new().await;
    let padded = |length: usize| scene.token().claim("pad", "x".repeat(length)).text();
    let fits = padded(8_000);
    assert!(fits.len() > 10_000);
    assert_eq!(seen(&scene.get(&fits).await.token()), "emea:alice");
    let head = scene.get(&padded(20_000)).await;
    assert_eq!(head.refusal(), (431, "headers_too_large".to_owned()), "{}", head.text());
    scene.vendor.clear_journal();
    let deep = |open: &str, close: &str, times: usize| {
        let nested = format!("{}1{}", open.repeat(times), close.repeat(times));
        scene.token().payload_text().replacen('{', &format!("{{\"deep\":{nested},"), 1)
    };
    let (header, mut tokens) = (scene.token().header_text(), Vec::new());
    for times in [130, 1_000, 3_000] {
        tokens.push((format!("{times} arrays in the payload"), joined(rsa(), &header, &deep("[", "]", times))));
    }
    tokens.push(("1,000 objects".to_owned(), joined(rsa(), &header, &deep("{\"a\":", "}", 1_000))));
    let deep_header =
        format!("{{\"x\":{}1{},\"alg\":\"RS256\",\"kid\":\"rsa-1\"}}", "[".repeat(1_000), "]".repeat(1_000));
    tokens.push(("1,000 arrays in the header".to_owned(), joined(rsa(), &deep_header, &scene.token().payload_text())));
    refuses_hits(&scene, tokens).await;
}

#[tokio::test]
async fn rfc_6750_the_scheme_has_to_be_bearer() {
    let scene = Scene::new().await;
    let token = scene.token().text();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        assert_eq!(seen(&scene.get_with(&format!("{scheme} {token}")).await.token()), "emea:alice", "{scheme}");
    }
    scene.vendor.clear_journal();
    for authorization in [
        String::new(),
        token.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer{token}"),
        format!("Basic {token}"),
        format!("DPoP {token}"),
        format!("Token {token}"),
        format!("Bearer: {token}"),
        format!("Bearer Bearer {token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer token={token}"),
    ] {
        unauthenticated(&scene.get_with(&authorization).await, &authorization.chars().take(20).collect::<String>());
    }
    let without = scene.send("GET", RENEW, &[super::scene::PROOF], "").await;
    unauthenticated(&without, "no header");
    assert_eq!(
        without.header("www-authenticate"),
        Some("Bearer"),
        "no error is named where none was made (section 3.1)"
    );
    assert_eq!(scene.operations(), Vec::<&str>::new());
}
