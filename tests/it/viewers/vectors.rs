//! T16, T17 and T19 by the vectors of others (tests/vectors): what opens, and what does not.

use serde_json::{Value, json};
use sidemint::config::Algorithm;
use sidemint::identity::KeySet;
use sidemint::identity::jws::Unverified;

const NAMES: [&str; 9] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

// ---- the program, as these tests see it ----------------------------------------------------------------------------------

/// A set, if it is one.
fn set_of(keys: &Value) -> Option<KeySet> {
    KeySet::parse(keys.to_string().as_bytes()).ok()
}

/// The payload of a token that one of these keys has signed, by any algorithm that is offered.
fn open(token: &str, keys: &KeySet) -> Option<Vec<u8>> {
    let algorithms: Vec<Algorithm> = NAMES.iter().filter_map(|name| Algorithm::named(name)).collect();
    assert_eq!(algorithms.len(), NAMES.len(), "all of them are offered");
    Unverified::read(token, &algorithms).ok()?.payload(keys).ok().map(<[u8]>::to_vec)
}

/// Whether a token opens with this set, if it is one.
fn opens(token: &str, keys: &Value) -> bool {
    set_of(keys).is_some_and(|keys| open(token, &keys).is_some())
}

// ---- vectors -------------------------------------------------------------------------------------------------------------

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("vectors are JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is a list"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is a text"))
}

/// The public half of a key; a symmetric one has none.
fn public(key: &Value) -> Value {
    let mut key = key.clone();
    let members = key.as_object_mut().expect("a key is an object");
    ["d", "p", "q", "dp", "dq", "qi"].iter().for_each(|name| drop(members.remove(*name)));
    key
}

/// Rank 28: 401 signatures. What is wrong opens nothing; what is right opens, but for the listed exceptions.
#[test]
fn rank_28_t16_wycheproofs_signatures() {
    let vectors = read(include_str!("../../vectors/wycheproof/json_web_signature_test.json"));
    let exceptions = read(include_str!("../../vectors/wycheproof/refused_though_valid.json"));
    let (mut right, mut wrong, mut excepted) = (0, 0, 0);
    for group in list(&vectors, "testGroups") {
        let key = group.get("public").unwrap_or(&group["private"]);
        for test in list(group, "tests") {
            let (number, token) = (test["tcId"].to_string(), text(test, "jws"));
            let is_open = opens(token, &json!({"keys": [key]}));
            let is_excepted = exceptions.get(&number).is_some();
            let wanted = test["result"] == "valid" && !is_excepted;
            assert_eq!(is_open, wanted, "{number} {}: {test}", group["comment"]);
            right += usize::from(wanted);
            excepted += usize::from(is_excepted);
            wrong += usize::from(test["result"] != "valid");
        }
    }
    assert_eq!((right, excepted, wrong), (26, 20, 355), "all of them were looked at");
}

/// With every key of the collection in hand at once, and the secret ones left out, so that each is looked up by name.
#[test]
fn t16_wycheproofs_forgeries_open_with_no_key_at_all() {
    let vectors = read(include_str!("../../vectors/wycheproof/json_web_signature_test.json"));
    let groups = list(&vectors, "testGroups");
    let keys: Vec<Value> = groups.iter().filter_map(|group| group.get("public")).map(public).collect();
    let tests: Vec<&Value> = groups.iter().flat_map(|group| list(group, "tests")).collect();
    // Some are only refused since the key that stands beside them is for something else.
    let is_sound = |token: &str| tests.iter().any(|test| test["jws"] == token && test["result"] == "valid");
    for test in tests.iter().filter(|test| test["result"] != "valid") {
        for key in &keys {
            let mut nameless = key.clone();
            nameless.as_object_mut().expect("a key is an object").remove("kid");
            for key in [key, &nameless] {
                assert!(!opens(text(test, "jws"), &json!({"keys": [key]})) || is_sound(text(test, "jws")), "{test}");
            }
        }
    }
}

/// Rank 28: 26 sets. Which of them are none, and which have no key for their token.
#[test]
fn rank_28_finding_7_wycheproofs_key_sets() {
    let vectors = read(include_str!("../../vectors/wycheproof/json_web_key_test.json"));
    let (mut opened, mut looked) = (Vec::new(), 0);
    for group in list(&vectors, "testGroups") {
        let keys = group.get("public").unwrap_or(&group["private"]);
        for test in list(group, "tests") {
            looked += 1;
            if opens(text(test, "jws"), keys) {
                opened.push(text(group, "comment").to_owned());
                assert_eq!(test["result"], "valid", "{test}");
            }
        }
        let has_secrets = list(keys, "keys").iter().any(|key| key["kty"] == "oct");
        assert!(!has_secrets || set_of(keys).is_none(), "{}", group["comment"]);
        if list(group, "tests").iter().all(|test| test["result"] != "valid") {
            assert!(set_of(keys).is_none(), "{}: none of its keys is usable", group["comment"]);
        }
    }
    assert_eq!((opened, looked), (vec!["rs256".to_owned()], 26), "the other four valid ones are HMAC");
}

#[test]
fn the_tokens_of_the_rfcs() {
    let tokens = read(include_str!("../../vectors/rfc/tokens.json"));
    let tokens = tokens.as_array().expect("a list");
    for token in tokens {
        assert!(set_of(&token["keys"]).is_some(), "{}: its set is one", token["origin"]);
        assert_eq!(opens(text(token, "token"), &token["keys"]), token["outcome"] == "opens", "{token}");
    }
    assert_eq!(tokens.iter().filter(|token| token["outcome"] == "opens").count(), 3);
}

#[test]
fn the_key_sets_of_the_rfcs() {
    let sets = read(include_str!("../../vectors/rfc/key_sets.json"));
    for set in sets.as_array().expect("a list") {
        let taken = set_of(&set["keys"]);
        assert_eq!(taken.is_some(), set["outcome"] == "taken", "{}: {}", set["origin"], set["why"]);
        if let Some(taken) = taken {
            assert_eq!(taken.size().0, list(set, "usable").len(), "{}", set["origin"]);
        }
    }
}

/// RFC 7520 section 4, RFC 7797 section 4 and RFC 8037 appendix A: those that are signed in a way that is offered.
#[test]
fn the_cookbooks_signatures() {
    macro_rules! vector {
        ($name:literal) => {
            ($name, read(include_str!(concat!("../../vectors/cookbook/", $name, ".json"))))
        };
    }
    let spare = crate::issuer::p384().jwk();
    for ((name, vector), outcome) in [
        (vector!("4_1.rsa_v15_signature"), true),
        (vector!("4_2.rsa-pss_signature"), true),
        (vector!("4_3.ecdsa_signature"), false), // ES512
        (vector!("4_4.hmac-sha2_integrity_protection"), false),
        (vector!("4_5.signature_with_detached_content"), false),
        (vector!("4_6.protecting_specific_header_fields"), false),
        (vector!("4_7.protecting_content_only"), false),
        (vector!("curve25519_jws"), true),
        (vector!("rfc7797_hmac-sha2_b64_false"), false),
    ] {
        let key = public(&vector["input"]["key"]);
        // A key that is there in any case: what is refused is the token, not only the set.
        let keys = if key["kty"] == "oct" { json!({"keys": [spare]}) } else { json!({"keys": [key, spare]}) };
        let output = &vector["output"];
        let compact = output.get("compact").and_then(Value::as_str);
        assert_eq!(compact.is_some_and(|token| opens(token, &keys)), outcome, "{name}");
        for serialization in ["json", "json_flat"] {
            assert!(!opens(&output[serialization].to_string(), &keys), "{name}, {serialization}");
        }
    }
}

/// T22: a head has no room for more, but whoever else hands a token in is held to the same bound.
#[test]
fn t22_a_token_of_16_kib_is_the_longest() {
    let key = crate::issuer::rsa();
    let keys = json!({"keys": [key.jwk()]});
    let header = json!({"alg": key.alg, "kid": key.kid}).to_string();
    let of = |length: usize| crate::issuer::joined(key, &header, &"x".repeat(length));
    // Four characters of base64 are three bytes, so the last payload that fits is followed by one that does not.
    let fits = (0..16 << 10).rev().find(|length| of_length(&header, *length) <= 16 << 10).expect("some length fits");
    assert!(opens(&of(fits), &keys));
    assert!(!opens(&of(fits + 1), &keys));
    assert!(!opens(&of(1 << 20), &keys));
}

/// How long a token with such a payload and an RSA signature of 2048 bits is.
fn of_length(header: &str, payload: usize) -> usize {
    let encoded = |bytes: usize| (bytes * 4).div_ceil(3);
    encoded(header.len()) + 1 + encoded(payload) + 1 + encoded(256)
}

/// RFC 7520 sections 4.8 and 6: several signatures, and a token inside of an encrypted one.
#[test]
fn the_cookbooks_compositions() {
    let nested = read(include_str!("../../vectors/cookbook/6.nesting_signatures_and_encryption.json"));
    let several = read(include_str!("../../vectors/cookbook/4_8.multiple_signatures.json"));
    let keys = json!({"keys": [public(&nested["sign"]["input"]["key"])]});
    assert!(set_of(&keys).is_some());
    assert!(opens(text(&nested["sign"]["output"], "compact"), &keys), "PS256 inside");
    for outer in ["compact", "json", "json_flat"] {
        let output = &nested["encrypt"]["output"][outer];
        assert!(!opens(output.as_str().unwrap_or(&output.to_string()), &keys), "{outer}");
    }
    assert!(!opens(&several["output"]["json"].to_string(), &keys));
}
