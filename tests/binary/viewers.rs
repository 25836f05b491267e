//! Viewers with tokens at the binary: the vectors of others, the audit trail, the log at its loudest, what a hostile
//! issuer costs, and a change of mode while it runs.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::canary::{Seen, judge};
use crate::issuer::{AUDIENCE, Answer, Issuer, SigningKey, Token, joined, other_rsa, p256, rsa, set};
use crate::support::http::{Reply, send};
use crate::support::sidecar::{JSON, PROOF, TOKEN};
use crate::support::{PATIENCE, Settings, Sidecar, Vendor, run};

const RENEW: &str = "/v1/embeds/sales/token?purpose=renew";

/// The section `viewers` for this issuer, which publishes its keys at a place of its own.
fn section(issuer: &Issuer, more: &str) -> String {
    let (name, keys) = (issuer.url(), issuer.keys_url());
    let list = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA";
    format!(
        "viewers:\n  source: jwt\n  jwt: {{issuer: '{name}', jwks_url: '{keys}', audience: {AUDIENCE}, \
         value_claim: region, algorithms: [{list}]}}\n{more}"
    )
}

fn settings(issuer: &Issuer) -> Settings {
    Settings { more: section(issuer, ""), ..Settings::default() }
}

fn get(sidecar: &Sidecar, token: &str) -> Reply {
    send(sidecar.listen, "GET", RENEW, &[PROOF, ("Authorization", &format!("Bearer {token}"))], "")
}

fn detail(reply: &Reply) -> String {
    reply.json()["detail"].as_str().unwrap_or_default().to_owned()
}

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).expect("vectors are JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is a list"))
}

/// What the binary says of a token whose signature is right and which claims nothing: what every right vector gets, and
/// no forged one may.
fn past_the_signature(sidecar: &Sidecar, key: &SigningKey) -> String {
    let header = json!({"alg": key.alg, "kid": key.kid}).to_string();
    let reply = get(sidecar, &joined(key, &header, "foo"));
    assert_eq!(reply.code(), "viewer_unauthenticated", "{}", reply.text());
    detail(&reply)
}

/// Judges one group of Wycheproof's signatures by a sidecar of its own; how many passed the signature.
fn judge_group(vendor: &Vendor, issuer: &Issuer, group: &Value, exceptions: &Value) -> usize {
    let key = group.get("public").unwrap_or(&group["private"]);
    issuer.publish(std::slice::from_ref(key));
    let sidecar = Sidecar::with(vendor, &settings(issuer));
    // Where its owner can be signed for and is let in, the set is in use; elsewhere there is nothing to get past.
    let owner = SigningKey::of_jwk(&group["private"]);
    let owner = owner.filter(|key| get(&sidecar, &Token::by(key, issuer).no_header("typ").text()).status == 200);
    let past = owner.map(|key| past_the_signature(&sidecar, key));
    let mut opened = 0;
    for test in list(group, "tests") {
        let token = test["jws"].as_str().expect("a text");
        let reply = get(&sidecar, token);
        assert!([401, 502].contains(&reply.status), "{test}: {}", reply.text());
        let is_past = past.as_ref().is_some_and(|past| *past == detail(&reply));
        let wanted = test["result"] == "valid" && exceptions.get(test["tcId"].to_string()).is_none();
        assert_eq!(is_past, wanted, "{}: {test}: {}", group["comment"], reply.text());
        opened += usize::from(is_past);
    }
    opened
}

#[test]
fn rank_28_t16_no_forged_signature_of_wycheproofs_is_accepted() {
    let (vendor, issuer) = (Vendor::start(), Issuer::start());
    let exceptions = vectors(include_str!("../vectors/wycheproof/refused_though_valid.json"));
    let all = vectors(include_str!("../vectors/wycheproof/json_web_signature_test.json"));
    let groups = list(&all, "testGroups");
    let opened: usize = groups.iter().map(|group| judge_group(&vendor, &issuer, group, &exceptions)).sum();
    assert_eq!(opened, 26, "those that are right, and not excepted");
    let mints = vendor.journal().iter().filter(|entry| entry.operation.name() == "mint").count();
    let owners = groups.iter().filter(|group| SigningKey::of_jwk(&group["private"]).is_some()).count();
    assert!(mints <= owners, "{mints} tokens, none of them for a vector");
}

#[test]
fn rank_28_finding_7_none_of_wycheproofs_bad_key_sets_is_used() {
    let (vendor, issuer) = (Vendor::start(), Issuer::start());
    let all = vectors(include_str!("../vectors/wycheproof/json_web_key_test.json"));
    for group in list(&all, "testGroups") {
        let keys = group.get("public").unwrap_or(&group["private"]);
        issuer.keys(Answer::json(keys.to_string()));
        let sidecar = Sidecar::with(&vendor, &settings(&issuer));
        let is_good = group["comment"] == "rs256" && list(group, "tests").iter().all(|test| test["result"] == "valid");
        for test in list(group, "tests") {
            let reply = get(&sidecar, test["jws"].as_str().expect("a text"));
            // HMAC is refused before any key is looked for.
            let code = reply.code();
            let is_refused = code == "viewer_unauthenticated" || (code == "upstream_malformed" && !is_good);
            assert!(is_refused, "{}: {}", group["comment"], reply.text());
        }
        // Nobody is let in by a set that is none, however well he signs.
        let keys = list(&group["private"], "keys").iter().filter_map(SigningKey::of_jwk);
        for key in keys.chain([rsa(), p256()]) {
            let reply = get(&sidecar, &Token::by(key, &issuer).text());
            let is_owner = is_good && key.kid == "kid-rsa-sign";
            assert_eq!(reply.status == 200, is_owner, "{}: {}", group["comment"], reply.text());
        }
    }
}

/// The lines of the audit trail so far, once there are so many.
fn audit(sidecar: &Sidecar, count: usize) -> Vec<Value> {
    sidecar.process.err.find("so many audit lines", |text| {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let all = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"));
        let audit: Vec<Value> = all.filter(|line| line["target"] == "audit").collect();
        (audit.len() >= count).then_some(audit)
    })
}

/// Who was shown what: the same viewer has the same hash, whoever named him.
#[test]
fn the_audit_trail_has_the_verified_viewer() {
    let (vendor, issuer) = (Vendor::start(), Issuer::start());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let key = folder.path().join("key");
    std::fs::write(&key, "a key").expect("a file can be written");
    let hmac = format!("  hmac_key_file: {}\n", key.display());
    let sidecar = Sidecar::with(&vendor, &Settings { more: section(&issuer, &hmac), ..Settings::default() }).ready();
    let alice = || Token::by(rsa(), &issuer);
    assert_eq!(get(&sidecar, &alice().text()).status, 200);
    assert_eq!(get(&sidecar, &alice().claim("jti", "2").text()).status, 200);
    assert_eq!(get(&sidecar, &alice().viewer("bob", "emea").text()).status, 200);
    let body = json!({"viewer": {"id": "bob"}, "purpose": "renew"}).to_string();
    let bearer = alice().bearer();
    assert_eq!(send(sidecar.listen, "POST", TOKEN, &[PROOF, JSON, ("Authorization", &bearer)], &body).status, 403);
    assert_eq!(get(&sidecar, &alice().really_by(other_rsa()).text()).status, 401);
    assert_eq!(get(&sidecar, &alice().claim("sub", "a:b").text()).status, 422);
    let lines = audit(&sidecar, 6);
    let of = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(of("decision"), ["granted", "granted", "granted", "refused", "refused", "refused"]);
    assert_eq!(of("code"), ["miss", "hit", "miss", "viewer_mismatch", "viewer_unauthenticated", "invalid_viewer"]);
    assert_eq!((of("embed"), of("upstream")), (vec!["sales".to_owned(); 6], vec!["acme".to_owned(); 6]));
    let viewers = of("viewer");
    assert!(viewers[0] == viewers[1] && viewers[0] != viewers[2], "{viewers:?}");
    assert_eq!(viewers[3], viewers[0], "the one who proved himself, not the one who was named");
    assert_eq!(viewers[4], "-", "nobody has been proved");
    let more = format!("viewers: {{hmac_key_file: {}}}", key.display());
    let named = Sidecar::with(&vendor, &Settings { more, ..Settings::default() }).ready();
    named.renew("alice");
    assert_eq!(audit(&named, 1)[0]["viewer"], viewers[0]);
    let said = sidecar.process.err.text();
    for word in ["alice", "bob", "emea", "a:b", "eyJ"] {
        assert!(!said.contains(word), "{word} in {said}");
    }
}

/// Rank 4: with the log at its loudest, nothing of a viewer's token is found in it, or in anybody's answer.
#[test]
fn rank_4_nothing_of_a_viewers_token_is_found_anywhere() {
    let (vendor, issuer) = (Vendor::start(), Issuer::start());
    let log = "level: \"trace,hyper_util=trace\", audit: true";
    let sidecar = Sidecar::with(&vendor, &Settings { log, ..settings(&issuer) }).ready();
    let (id, value, claim, kid) = ("canary-viewer-4711", "canary-value-4712", "canary-claim-4713", "canary-kid-4714");
    let token = || Token::by(rsa(), &issuer).viewer(id, value).claim("canary-name-4715", claim);
    let right = token().text();
    let mut seen = Seen::default();
    seen.reply("a miss", &get(&sidecar, &right));
    assert_eq!(seen.tokens.len(), 1, "it is let in");
    seen.reply("a hit", &get(&sidecar, &right));
    for (what, text) in [
        ("unsecured", token().header("alg", "none").text()),
        ("an unknown key", token().kid(kid).text()),
        ("another key", token().really_by(other_rsa()).text()),
        ("expired", token().claim("exp", 1).text()),
        ("another issuer", token().claim("iss", claim).text()),
        ("another audience", token().claim("aud", claim).text()),
        ("no value", token().claim("region", json!([value])).text()),
        ("a bad id", token().claim("sub", format!("{id}:x")).text()),
        ("an unknown type", token().header("typ", claim).text()),
        ("too long", token().claim("pad", claim.repeat(1000)).text()),
        ("cut", right[..right.len() / 2].to_owned()),
    ] {
        seen.reply(what, &get(&sidecar, &text));
    }
    let twice = [PROOF, ("Authorization", &format!("Bearer {right}")), ("Authorization", claim)];
    seen.reply("two", &send(sidecar.listen, "GET", RENEW, &twice, ""));
    issuer.keys(Answer::json(format!("{{\"{claim}\": \"{value}\"}}")));
    seen.reply("a hostile set", &get(&sidecar, &token().kid("canary-kid-4714-b").text()));
    for (place, accept) in [("/status", "text/html"), ("/status", "application/json"), ("/metrics", "*/*")] {
        seen.add(place, send(sidecar.admin, "GET", place, &[("Accept", accept)], "").text());
    }
    sidecar.process.signal(Signal::TERM);
    let ended = sidecar.process.end(PATIENCE);
    seen.add("stdout", ended.out);
    seen.add("stderr", ended.err);
    let parts: Vec<&str> = right.split('.').collect();
    judge(&seen, &[id, value, claim, kid, "canary-name-4715", parts[1], parts[2]]);
}

/// What the process had at most, in KiB.
fn peak(sidecar: &Sidecar) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.process.id())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number of KiB")
}

/// T21: what an issuer sends without an end is not kept.
#[test]
fn t21_a_body_without_an_end_costs_little_memory() {
    let (vendor, issuer) = (Vendor::start(), Issuer::start());
    let sidecar = Sidecar::with(&vendor, &settings(&issuer)).ready();
    let right = Token::by(rsa(), &issuer).text();
    assert_eq!(get(&sidecar, &right).status, 200);
    let before = peak(&sidecar);
    issuer.keys(Answer::json(vec![b' '; 256 << 20]));
    let reply = get(&sidecar, &Token::by(rsa(), &issuer).kid("unknown").text());
    assert_eq!(reply.status, 401, "{}", reply.text());
    let growth = peak(&sidecar) - before;
    assert!(growth < 8 << 10, "{growth} KiB more");
    assert_eq!(get(&sidecar, &right).status, 200);
}

/// From callers who name the viewer to tokens that prove him, and back.
#[test]
fn a_reload_changes_the_mode() {
    let (vendor, issuer) = (Vendor::start(), Issuer::start());
    let sidecar = Sidecar::start(&vendor).ready();
    let ways = || (sidecar.renew("bob").status, get(&sidecar, &Token::by(rsa(), &issuer).text()).status);
    assert_eq!(ways(), (200, 422));
    let tell = |settings: &Settings, wanted: (u16, u16)| {
        sidecar.files.write("config.yaml", &sidecar.files.text(&vendor, settings));
        sidecar.process.signal(Signal::HUP);
        let deadline = std::time::Instant::now() + PATIENCE;
        while ways() != wanted {
            assert!(std::time::Instant::now() < deadline, "{:?} is never {wanted:?}", ways());
            std::thread::yield_now();
        }
    };
    tell(&settings(&issuer), (401, 200));
    // A config that cannot be is refused as a whole: nobody is let in by half of it.
    let wrong = settings(&issuer).more.replace("RS256", "HS256");
    sidecar.files.write("config.yaml", &sidecar.files.text(&vendor, &Settings { more: wrong, ..Settings::default() }));
    sidecar.process.signal(Signal::HUP);
    sidecar.process.err.says("viewers.jwt.algorithms");
    assert_eq!(ways(), (401, 200));
    tell(&Settings::default(), (200, 422));
}

/// With keys in a file, no issuer is there at all.
#[test]
fn keys_in_a_file_are_in_use_within_ten_seconds() {
    let (vendor, issuer) = (Vendor::start(), Issuer::closed());
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("keys.json");
    std::fs::write(&path, set(&[rsa().jwk()])).expect("a file can be written");
    let file = format!("jwks_file: '{}'", path.display());
    let more = section(&issuer, "").replace(&format!("jwks_url: '{}'", issuer.keys_url()), &file);
    let sidecar = Sidecar::with(&vendor, &Settings { more, ..Settings::default() }).ready();
    let [old, new] = [rsa(), other_rsa()].map(|key| Token::by(key, &issuer).text());
    assert_eq!((get(&sidecar, &old).status, get(&sidecar, &new).status), (200, 401));
    let begin = std::time::Instant::now();
    std::fs::write(folder.path().join("next"), set(&[other_rsa().jwk()])).expect("a file can be written");
    std::fs::rename(folder.path().join("next"), &path).expect("a file in its place");
    while get(&sidecar, &new).status != 200 {
        assert!(begin.elapsed() < PATIENCE, "the new keys are never used");
    }
    assert!(begin.elapsed() < std::time::Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(get(&sidecar, &old).status, 401);
}

/// What could only let too many in is refused before it runs.
#[test]
fn a_config_that_proves_nothing_is_refused() {
    let (vendor, issuer) = (Vendor::start(), Issuer::start());
    let good = crate::support::config::Files::new(&vendor, &settings(&issuer));
    assert_eq!(run(&["check", "--config", &good.config()], []).code, Some(0));
    for (from, to, says) in [
        ("RS256", "HS256", "viewers.jwt.algorithms"),
        ("source: jwt", "source: request", "viewers.jwt"),
        (&format!("audience: {AUDIENCE}"), "audience: []", "viewers.jwt.audience"),
    ] {
        good.write("config.yaml", &good.text(&vendor, &settings(&issuer)).replacen(from, to, 1));
        for command in ["check", "run"] {
            let ended = run(&[command, "--config", &good.config()], []);
            assert_eq!(ended.code, Some(2), "{command} {to}: {ended:?}");
            assert!(ended.err.contains(says) || ended.out.contains(says), "{command} {to}: {ended:?}");
        }
    }
}
