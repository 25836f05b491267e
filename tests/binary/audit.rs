//! The audit trail: who was shown what, when, without a name in it.

use serde_json::{Value, json};

use crate::support::http::send;
use crate::support::sidecar::{JSON, PROOF, TOKEN, VALUE};
use crate::support::{Settings, Sidecar, Vendor};

/// The lines so far, once there are so many.
fn lines(sidecar: &Sidecar, count: usize) -> Vec<Value> {
    sidecar.process.err.find("so many audit lines", |text| {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let all = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"));
        let audit: Vec<Value> = all.filter(|line| line["target"] == "audit").collect();
        (audit.len() >= count).then_some(audit)
    })
}

fn keys(line: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn load(viewer: &str) -> Value {
    json!({"viewer": {"id": viewer, "value": VALUE}})
}

#[test]
fn t15_each_hand_out_and_each_refusal_is_one_line() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    sidecar.ask(&load("u-1"));
    sidecar.renew("u-1");
    sidecar.renew("u-2");
    sidecar.ask(&load("a@b.example"));
    send(sidecar.listen, "POST", TOKEN, &[JSON], "{}");
    send(sidecar.listen, "POST", "/v1/embeds/nothing/token", &[PROOF, JSON], "{}");
    let lines = lines(&sidecar, 6);
    let of = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(of("decision"), ["granted", "granted", "granted", "refused", "refused", "refused"]);
    assert_eq!(of("code"), ["miss", "hit", "miss", "invalid_viewer", "missing_request_header", "unknown_embed"]);
    assert_eq!(of("purpose"), ["load", "renew", "renew", "load", "-", "-"]);
    assert_eq!(of("embed"), ["sales", "sales", "sales", "sales", "-", "-"]);
    assert_eq!(of("upstream"), ["acme", "acme", "acme", "acme", "-", "-"]);
    assert_eq!(of("caller"), ["127.0.0.1"; 6]);
    let granted = [
        "caller",
        "code",
        "decision",
        "embed",
        "level",
        "purpose",
        "target",
        "timestamp",
        "token",
        "upstream",
        "viewer",
    ];
    assert!(lines.iter().take(3).all(|line| keys(line) == granted), "{lines:?}");
    let (viewers, tokens) = (of("viewer"), of("token"));
    assert!(viewers.first() == viewers.get(1) && viewers.first() != viewers.get(2), "{viewers:?}");
    assert!(tokens.first() == tokens.get(1) && tokens.first() != tokens.get(2), "{tokens:?}");
    assert!(of("timestamp").iter().all(|at| at.parse::<jiff::Timestamp>().is_ok()));
}

/// The broadest token of all is no exception.
#[test]
fn a_service_token_that_is_given_to_an_sdk_is_one_line() {
    let vendor = Vendor::start();
    let settings = Settings { upstream: "metadata_service: true".to_owned(), ..Settings::default() };
    let sidecar = Sidecar::with(&vendor, &settings).ready();
    let path = "/v1/upstreams/acme/databricks-metadata";
    let version = ("X-Databricks-Metadata-Version", "1");
    let token = send(sidecar.listen, "GET", path, &[version, ("X-Databricks-Host", &vendor.url())], "").token();
    send(sidecar.listen, "GET", path, &[version], "");
    send(sidecar.listen, "GET", path, &[], "");
    let lines = lines(&sidecar, 3);
    assert_eq!(keys(&lines[0]), ["caller", "code", "decision", "level", "target", "timestamp", "token", "upstream"]);
    assert_eq!(keys(&lines[1]), ["caller", "code", "decision", "level", "target", "timestamp", "upstream"]);
    let of = |name: &str| lines.iter().map(|line| line[name].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>();
    assert_eq!(of("decision"), ["granted", "refused", "refused"]);
    assert_eq!(of("code"), ["service_token", "invalid_parameters", "missing_request_header"]);
    assert_eq!(of("upstream"), ["acme", "acme", "-"]);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let hex: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(of("token")[0], hex);
}

/// With a key, a viewer has the same hash after a restart, and at every replica; without one, nobody can compare.
#[test]
fn hashes_are_as_stable_as_their_key() {
    let vendor = Vendor::start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let key = folder.path().join("key");
    let hash = |content: Option<&str>| {
        let more = content.map(|content| {
            std::fs::write(&key, content).expect("a file can be written");
            format!("viewers: {{hmac_key_file: {}}}", key.display())
        });
        let sidecar = Sidecar::with(&vendor, &Settings { more: more.unwrap_or_default(), ..Settings::default() });
        sidecar.renew("u-1");
        lines(&sidecar, 1)[0]["viewer"].as_str().expect("a hash").to_owned()
    };
    let [one, again, other] = [Some("a key"), Some("a key"), Some("another")].map(hash);
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_ne!(hash(None), hash(None));
}

#[test]
fn the_trail_can_be_turned_off() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::with(&vendor, &Settings { log: "audit: false", ..Settings::default() }).ready();
    sidecar.renew("u-1");
    sidecar.process.signal(rustix::process::Signal::TERM);
    let ended = sidecar.process.end(crate::support::PATIENCE);
    assert!(!ended.err.contains("\"audit\""), "{}", ended.err);
}
