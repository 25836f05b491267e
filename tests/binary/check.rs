//! `sidemint check`: what is wrong with a config, all of it, and where.

use crate::support::process::Ended;
use crate::support::run;

fn check(text: &str) -> Ended {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("sidemint.yaml");
    std::fs::write(&path, text).expect("a file can be written");
    let ended = run(&["check", "--config", &path.display().to_string()], []);
    Ended { err: ended.err.replace(&path.display().to_string(), "FILE"), ..ended }
}

#[test]
fn a_typo_is_named_with_line_and_column() {
    for (text, says) in [
        ("server:\n  lissten: x\n", "FILE: line 2 column 3: unknown field `lissten`"),
        ("log: {}\nlog: {}\n", "FILE: line 2 column 1: duplicate"),
        ("server:\n  workers: many\n", "FILE: line 2 column 12: "),
        ("cache: {max_size: 64}\n", "FILE: line 1 column 19: "),
        ("cache: {idle: 30}\n", "FILE: line 1 column 15: "),
        ("server: [\n", "FILE: line "),
    ] {
        let ended = check(text);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{text}: {ended:?}");
        assert!(ended.err.starts_with(&format!("sidemint: {says}")), "{text}: {}", ended.err);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let ended = check(
        "server: {listen: 0.0.0.0:8190, workers: 0}
upstreams:
  acme:
    kind: databricks
    host: http://acme.example.com
    auth: {client_id: a, client_secret_file: /s, client_secret_env: S}
embeds:
  sales: {upstream: acme, dashboard_id: ../x, min_ttl: 5m}
  lost: {upstream: nowhere, dashboard_id: a}
",
    );
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let wanted = [
        "FILE: line 1 column 9: server.listen: 0.0.0.0:8190 is not loopback",
        "FILE: line 1 column 9: server.workers: ",
        "FILE: line 5 column 11: upstreams.acme.host: sends the secret over the network in the clear",
        "FILE: line 6 column 11: upstreams.acme.auth: client_secret is given as a file and as a variable",
        "FILE: line 8 column 41: embeds.sales.dashboard_id: ",
        "FILE: line 8 column 56: embeds.sales.min_ttl: must be over 5 minutes",
        "FILE: line 9 column 20: embeds.lost.upstream: there is no upstream `nowhere`",
    ];
    for says in wanted {
        assert!(ended.err.contains(&format!("sidemint: {says}")), "{says} is missing in\n{}", ended.err);
    }
    assert_eq!(ended.err.lines().count(), wanted.len(), "one line for each:\n{}", ended.err);
}

#[test]
fn a_literal_secret_is_refused_and_not_repeated() {
    let ended = check(
        "upstreams:\n  a:\n    kind: databricks\n    host: https://h\n    auth: {client_id: c, client_secret: dosecanary}\n",
    );
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("FILE: line 5 column") && ended.err.contains("client_secret_file"), "{}", ended.err);
    assert!(!ended.err.contains("dosecanary"));
}

#[test]
fn a_config_that_is_not_there_is_named() {
    let ended = run(&["check", "--config", "/nowhere/sidemint.yaml"], []);
    assert_eq!(ended.code, Some(2));
    assert!(ended.err.contains("/nowhere/sidemint.yaml"), "{}", ended.err);
    let ended = run(&["check"], []);
    assert_eq!(ended.code, Some(2));
    for name in ["--config", "SIDEMINT_CONFIG", "DATABRICKS_HOST", "DASHBOARD_ID"] {
        assert!(ended.err.contains(name), "{}", ended.err);
    }
}
