//! Commands, their help and their exit codes.

use std::process::Command;

use crate::support::config::Files;
use crate::support::{Settings, Vendor, outcome, python, run, words};

const COMMANDS: [&str; 8] = ["run", "demo", "emulator", "check", "token", "wait", "healthcheck", "schema"];

#[test]
fn every_command_says_what_it_does() {
    let mut all = run(&["--help"], []).out;
    for command in COMMANDS {
        let ended = run(&[command, "--help"], []);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{command}");
        all += &format!("\n==== {command} ====\n{}", ended.out);
    }
    insta::assert_snapshot!("help", all);
}

#[test]
fn wrong_usage_is_exit_code_2_with_a_sentence_on_stderr() {
    for line in ["", "nonsense", "run --nonsense", "token", "token sales", "wait --timeout soon", "emulator --listen x"]
    {
        let ended = run(&words(line), []);
        assert_eq!(ended.code, Some(2), "`{line}`: {ended:?}");
        assert!(ended.out.is_empty() && !ended.err.is_empty(), "`{line}`: {ended:?}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let ended = run(&["--version"], []);
    assert_eq!(ended.out.trim(), format!("sidemint {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(ended.code, Some(0));
}

/// Each documented key once; the schema, `check` and the parser must agree about all of them.
const FULL: &str = include_str!("full.yaml");

#[test]
fn the_schema_accepts_what_check_accepts_and_refuses_unknown_keys() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let schema = run(&["schema"], []);
    assert_eq!((schema.code, schema.err.as_str()), (Some(0), ""));
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{name}: {error}"));
        path
    };
    let schema = write("schema.json", &schema.out);
    let full = FULL.replace("/etc/sidemint", &folder.path().display().to_string());
    write("ca.pem", "");
    let config = write("full.yaml", &full);
    // What is shipped as an example is read by more people than any test.
    let example = write("example.yaml", include_str!("../../deploy/config.example.yaml"));
    for config in [&config, &example] {
        let checked = run(&["check", "--config", &config.display().to_string()], []);
        assert_eq!(checked.code, Some(0), "{checked:?}");
    }
    let with = |key: &str| full.replacen("max_body:", key, 1);
    let unknown = write("unknown.yaml", &with("max_bodies:"));
    let wrong = write("wrong.yaml", &full.replace("require_header: true", "require_header: sometimes"));
    let mut accepts = Command::new(python());
    accepts.arg("tests/python/schema_accepts.py").args([&schema, &config, &example, &unknown, &wrong]);
    let verdict = outcome(accepts);
    let lines: Vec<&str> = verdict.out.lines().collect();
    assert_eq!((verdict.code, lines.len()), (Some(0), 4), "{verdict:?}");
    assert_eq!(lines.get(..2), Some(&["accepted", "accepted"][..]), "{lines:?}");
    assert!(lines.get(2).is_some_and(|line| line.contains("max_bodies")), "{lines:?}");
    assert!(lines.get(3).is_some_and(|line| line.contains("sometimes")), "{lines:?}");
}

#[test]
fn the_config_may_be_named_by_a_variable() {
    let vendor = Vendor::start();
    let files = Files::new(&vendor, &Settings::default());
    let ended = run(&["check"], [("SIDEMINT_CONFIG", files.config())]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out, "ok    config: 1 upstream(s), 1 embed(s)\n");
    assert_eq!(vendor.asked(), 0, "only --live asks the vendor");
}
