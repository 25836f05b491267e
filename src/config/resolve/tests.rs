//! What is accepted, and how everything else is refused.

use std::time::Duration;

use super::super::{Proof, System};
use super::*;

const GOOD: &str = r#"
upstreams:
  acme:
    kind: databricks
    host: https://acme.cloud.databricks.com
    workspace_id: "1234567890"
    auth: {client_id: 6a1f, client_secret_file: /run/secrets/databricks}
embeds:
  sales: {upstream: acme, dashboard_id: 01f12716aabb}
"#;

fn problems(text: &str) -> Vec<String> {
    let env = Environment::default();
    from_text(text, &env).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = from_text(GOOD, &Environment::default()).unwrap();
    assert_eq!(config.server.listen, ["127.0.0.1:8190".parse().unwrap()]);
    assert!(config.server.require_header && !config.server.allow_forwarded);
    assert_eq!((config.server.max_body, config.server.workers), (65_536, 1));
    assert_eq!(config.server.header_timeout, Duration::from_secs(5));
    assert_eq!(config.server.drain_timeout, Duration::from_secs(10));
    assert_eq!((config.cache.max_size, config.cache.idle), (64 << 20, Duration::from_secs(1800)));
    let upstream = &config.upstreams["acme"];
    let limit = upstream.load_limit.as_ref().unwrap();
    assert_eq!((limit.per_second, limit.max_waiting, limit.per_viewer_per_second), (20, 200, 5));
    assert_eq!((limit.window, limit.max_wait), (Duration::from_secs(1), Duration::from_secs(2)));
    assert_eq!((upstream.retry.attempts, upstream.retry.max_backoff), (4, Duration::from_secs(8)));
    let embed = &config.embeds["sales"];
    assert_eq!((embed.min_ttl, embed.stale_until), (Duration::from_secs(600), Duration::from_secs(310)));
}

#[test]
fn the_environment_of_the_vendors_example_is_enough() {
    let env = Environment::from([
        ("INSTANCE_URL", "https://acme.cloud.databricks.com/"),
        ("SERVICE_PRINCIPAL_ID", "6a1f"),
        ("SERVICE_PRINCIPAL_SECRET", "dose1"),
        ("DASHBOARD_ID", "01f1"),
        ("WORKSPACE_ID", "123"),
        ("SIDEMINT_LISTEN", "127.0.0.1:9000"),
    ]);
    let config = from_environment(&env).unwrap();
    assert_eq!(config.upstreams["default"].system.host().to_string(), "https://acme.cloud.databricks.com");
    let System::Databricks(system) = &config.upstreams["default"].system else { panic!("another kind") };
    assert_eq!(system.proof, Proof::Secret(SecretRef::Env("SERVICE_PRINCIPAL_SECRET".into())));
    assert_eq!(config.server.listen, ["127.0.0.1:9000".parse().unwrap()]);
    assert!(!format!("{config:?}").contains("dose1"));
    let missing = from_environment(&Environment::default()).unwrap_err();
    assert!(missing[0].message.contains("DATABRICKS_HOST (or INSTANCE_URL) and DASHBOARD_ID"), "{missing:?}");
}

#[test]
fn all_problems_are_reported_at_once_each_with_its_place() {
    let text = GOOD
        .replace("https://acme", "http://acme")
        .replace("client_secret_file: /run/secrets/databricks", "client_secret_file: /a, federated_token_file: /b")
        .replace("01f12716aabb", "../x");
    insta::assert_snapshot!(problems(&text).join("\n"), @r"
    line 5 column 11: upstreams.acme.host: sends the secret over the network in the clear: use https://, or set allow_insecure_http: true
    line 7 column 11: upstreams.acme.auth: has a client secret and a federated token: keep one of them
    line 9 column 41: embeds.sales.dashboard_id: must be the id from the dashboard's URL: letters, digits, '-' and '_'
    ");
}

#[test]
fn impossible_combinations_are_refused() {
    let cases = [
        ("server: {listen: \"0.0.0.0:8190\"}", "not loopback"),
        ("server: {listen: nonsense}", "is not an address"),
        ("server: {listen: \"127.0.0.1:8191\"}", "same address as server.listen"),
        ("server: {allowed_origins: [\"https://*.example.com\"]}", "is not an origin"),
        ("server: {caller_token_file: /a, caller_token_env: B}", "keep one of them"),
        ("log: {level: \"sidemint=loud\"}", "neither a level"),
        ("embeds: {\"a/b\": {upstream: x, dashboard_id: y}}", "a name is"),
        ("embeds: {a: {upstream: x, dashboard_id: y}}", "there is no upstream `x`"),
        (
            "upstreams: {x: {kind: databricks}}\nembeds: {a: {upstream: x, dashboard_id: y, min_ttl: 5m}}",
            "must be over 5 minutes",
        ),
        (
            "upstreams: {x: {kind: databricks}}\nembeds: {a: {upstream: x, dashboard_id: y, stale_until: 11m}}",
            "is above min_ttl",
        ),
        ("upstreams: {x: {kind: databricks}}", "host: is missing"),
        ("upstreams: {x: {kind: databricks, tenant_id: t}}", "tenant_id: is no key of kind databricks"),
        ("upstreams: {x: {kind: powerbi, host: h}}", "host: is no key of kind powerbi"),
        ("upstreams: {a: {kind: databricks, host: \"https://h\"}}", "DATABRICKS_CLIENT_ID"),
        (
            "upstreams: {a: {kind: databricks, host: \"https://u@h\", auth: {client_id: i, client_secret_env: S}}}",
            "just https://",
        ),
        (
            "upstreams: {a: {kind: databricks, host: \"https://h/path\", auth: {client_id: i, client_secret_env: S}}}",
            "not a URL",
        ),
        (
            "upstreams: {a: {kind: databricks, host: \"https://h\", auth: {client_id: i, client_secret_env: S}, load_limit: {per_second: 0}}}",
            "between 1 and",
        ),
    ];
    for (text, says) in cases {
        let problems = problems(text);
        assert!(problems.iter().any(|problem| problem.contains(says)), "{text}: {problems:?}");
    }
}

#[test]
fn row_18_dashboard_ids_that_could_leave_the_path_are_refused() {
    for id in ["../x", "", "a/b", "a%2fb", "a b", "é"] {
        let problems = problems(&GOOD.replace("01f12716aabb", &format!("\"{id}\"")));
        assert!(problems.iter().any(|problem| problem.contains("dashboard_id")), "{id}");
    }
}

#[test]
fn upstreams_of_one_host_share_one_limit() {
    let two = |a: &str, b: &str| {
        let upstream = |limit: &str| {
            format!("{{kind: databricks, host: \"https://h\", auth: {{client_id: i, client_secret_env: S}}{limit}}}")
        };
        from_text(&format!("upstreams:\n  a: {}\n  b: {}\n", upstream(a), upstream(b)), &Environment::default())
    };
    let config = two("", ", load_limit: {per_second: 7}").unwrap();
    assert_eq!(config.upstreams["a"].load_limit.as_ref().unwrap().per_second, 7);
    let conflict = two(", load_limit: {per_second: 8}", ", load_limit: {per_second: 7}").unwrap_err();
    assert!(conflict[0].message.contains("differs from that of upstream `a`"), "{conflict:?}");
}

#[test]
fn loopback_may_be_plain_and_others_only_when_told() {
    for (url, insecure, good) in [
        ("http://127.0.0.1:8080", false, true),
        ("http://localhost:1", false, true),
        ("http://[::1]:1", false, true),
        ("http://localhost.evil.example", false, false),
        ("http://10.0.0.1", false, false),
        ("http://10.0.0.1", true, true),
        ("ftp://h", true, false),
        ("https://", false, false),
        ("https://h:", false, false),
    ] {
        assert_eq!(url::base_url(url, insecure).is_ok(), good, "{url}");
    }
}
