//! Routes that could only fail or let too much through: refused at the start, with their place.

use sidemint::config::{self, Environment};

/// What is said about a route of these keys; the route is in line 4.
fn said(keys: &str) -> Vec<String> {
    said_of(&format!("  app: {{{keys}}}\n"))
}

fn said_of(routes: &str) -> Vec<String> {
    let text = format!(
        "upstreams:\n  acme: {{kind: databricks, host: 'https://acme.example', workspace_id: '1', auth: {{client_id: c, client_secret_env: S}}}}\n\
         routes:\n{routes}\
         \nembeds: {{}}\n"
    );
    let text = format!("{text}\n").replace("upstreams:\n", &format!("upstreams:\n  bold: {BOLD}\n"));
    match config::from_text(&text, &Environment::from([("S", "dose0")])) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

const BOLD: &str = "{kind: boldbi, url: 'https://bi.example.com/bi', site: site1, auth: {embed_secret_env: S}}";

const SOUND: &str = "upstream: acme, target: 'https://app.example', allow: ['GET /api/**']";

#[track_caller]
fn refuses(keys: &str, key: &str, says: &str) {
    let said = said(keys);
    let is_said = said.iter().any(|line| line.contains(key) && line.contains(says) && line.contains("line 5 column"));
    assert!(is_said, "{key} … {says} is missing for {keys}: {said:?}");
}

fn with(keys: &str) -> String {
    format!("{SOUND}, {keys}")
}

#[test]
fn a_sound_one_is_taken() {
    assert_eq!(said(SOUND), Vec::<String>::new());
    assert_eq!(said("upstream: acme, target: 'https://app.example:8443'"), Vec::<String>::new());
    let all = "audience: 0a1b2c3d-0000-4000-8000-000000000000, require_header: false, websocket: false, \
        timeouts: {connect: 1s, response_headers: 2m, idle: 1h30m}";
    assert_eq!(said(&with(all)), Vec::<String>::new());
}

#[test]
fn an_upstream_that_cannot_give_a_service_token() {
    refuses(&SOUND.replace("acme", "nobody"), "routes.app.upstream", "nobody");
    refuses(&SOUND.replace("acme", "bold"), "routes.app.upstream", "no service token");
}

#[test]
fn a_target_that_is_none() {
    let target = |url: &str| SOUND.replace("https://app.example", url);
    refuses(&target("http://app.example"), "routes.app.target", "https://");
    assert_eq!(said(&target("http://127.0.0.1:1")), Vec::<String>::new(), "this machine needs no TLS");
    for url in ["app.example", "ftp://app.example", "https://", "https://user:secret@app.example", "https://a b"] {
        let said = said(&target(url));
        assert!(said.iter().any(|line| line.contains("routes.app.target")), "{url}: {said:?}");
        assert!(!said.concat().contains("secret"), "{said:?}");
    }
    for url in ["https://app.example/api", "https://app.example/?a=b", "https://app.example/#a"] {
        assert!(!said(&target(url)).is_empty(), "{url}: what is behind the host could not be kept to");
    }
}

#[test]
fn rules_that_could_match_nothing_or_too_much() {
    for rule in [
        "GET",
        "/api/**",
        "get /api",
        "* /api",
        "CONNECT /api",
        "TRACE /api",
        "GET api",
        "GET /a/../b",
        "GET /a//b",
        "GET /**/b",
        "GET /a*",
        "GET /a?b",
        "GET /%2e%2e",
        "GET https://evil.example/",
    ] {
        refuses(&SOUND.replace("GET /api/**", rule), "routes.app.allow", "");
    }
    refuses(&SOUND.replace("['GET /api/**']", "'GET /api/**'"), "", "");
}

#[test]
fn times_that_are_none() {
    for timeouts in ["connect: 0s", "response_headers: 0s", "idle: 0s"] {
        refuses(&with(&format!("timeouts: {{{timeouts}}}")), "routes.app.timeouts", "above zero");
    }
    for timeouts in ["connect: -1s", "idle: 5", "idle: soon", "read: 5s"] {
        refuses(&with(&format!("timeouts: {{{timeouts}}}")), "", "");
    }
}

#[test]
fn keys_that_are_none() {
    for keys in ["cookies: true", "require_header: maybe", "websocket: 1", "upstream: acme", "audience: 'a b'"] {
        refuses(&with(keys), "", "");
    }
    for missing in ["target: 'https://app.example'", "upstream: acme"] {
        refuses(missing, "", "");
    }
}

/// A name is part of a path and of labels.
#[test]
fn names_that_no_path_could_hold() {
    for name in ["a b", "a/b", "..", "a%2fb", "\u{e9}", "\"\""] {
        let said = said_of(&format!("  {name}: {{{SOUND}}}\n"));
        assert!(!said.is_empty(), "{name}");
    }
}
