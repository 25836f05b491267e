//! What is accepted, and how everything else is refused.

use std::time::Duration;

use super::super::{EntraIdentity, IdentityEndpoint, PowerBi, Proof, System, UnixSocket};
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
        ("server: {listen: [\"unix:/run/a.sock\", \"unix:/run/a.sock\"]}", "is there twice"),
        ("server: {unix_socket: {mode: \"0600\"}}", "server.unix_socket: is about unix sockets, of which"),
        ("server: {listen: \"unix:/s\", unix_socket: {mode: \"0440\"}}", "lets nobody in"),
        ("server: {listen: \"unix:/s\", unix_socket: {mode: \"2660\"}}", "is not a file mode"),
        ("server: {listen: \"unix:/s\", tls: {cert_file: /a, key_file: /b}}", "server.tls: is about TCP addresses"),
        ("server: {tls: {cert_file: /a}}", "missing field `key_file`"),
        ("admin: {listen: \"unix:/s\"}", "admin.listen: `unix:/s` is not an address"),
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
            "just https://",
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
fn t6_a_unix_socket_needs_nothing_beside_it_and_has_a_mode_of_its_own() {
    let server = |text: &str| from_text(text, &Environment::default()).unwrap().server;
    let alone = server("server: {listen: \"unix:/run/sidemint/api.sock\"}");
    assert_eq!(alone.listen, ["unix:/run/sidemint/api.sock".parse().unwrap()]);
    let defaults = UnixSocket { mode: 0o660, owner: None, group: None, peer_uids: Vec::new() };
    assert_eq!((alone.unix_socket.clone(), alone.caution()), (defaults, None));
    let both = server(
        "server: {listen: [\"127.0.0.1:1\", \"unix:/s\"], unix_socket: {mode: \"0600\", owner: 0, group: 7, peer_uids: [1000]}}",
    );
    assert_eq!(both.listen.len(), 2);
    let asked = UnixSocket { mode: 0o600, owner: Some(0), group: Some(7), peer_uids: vec![1000] };
    assert_eq!(both.unix_socket, asked);
    let env = Environment::from([("SIDEMINT_LISTEN", "127.0.0.1:1, unix:/run/x.sock")]);
    let listen = from_text("", &env).unwrap().server.listen;
    assert_eq!(listen, ["127.0.0.1:1".parse().unwrap(), "unix:/run/x.sock".parse().unwrap()]);
}

#[test]
fn t6_a_path_that_is_none_is_refused_with_its_place() {
    let long = format!("unix:/{}", "x".repeat(107));
    for (path, says) in [("unix:a.sock", "not absolute"), ("unix:@a", "abstract"), (&long, "over 107 bytes")] {
        let problems = problems(&format!("server:\n  listen: [\"{path}\"]\n"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("line 2 column 3: server.listen: "), "{problems:?}");
        assert!(problems[0].contains(says), "{problems:?}");
    }
}

/// T3: beyond loopback somebody has to prove something, and without client certificates it may be the server alone.
#[test]
fn t3_beyond_loopback_tls_or_a_caller_secret_is_needed() {
    let server = |keys: &str| from_text(&format!("server: {{listen: \"0.0.0.0:1\"{keys}}}"), &Environment::default());
    assert!(server("").is_err());
    let cautions = [
        (", caller_token_file: /c", false),
        (", tls: {cert_file: /a, key_file: /b}", true),
        (", tls: {cert_file: /a, key_file: /b, client_ca_file: /c}", false),
        (", tls: {cert_file: /a, key_file: /b}, caller_token_file: /c", false),
    ];
    for (keys, is_open) in cautions {
        assert_eq!(server(keys).unwrap().server.caution().is_some(), is_open, "{keys}");
    }
    assert!(problems("server: {listen: [\"unix:/s\", \"0.0.0.0:1\"]}")[0].contains("server.tls or"));
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

/// A config with one Power BI upstream and embed, with more keys of each.
fn power_bi(upstream: &str, embed: &str) -> String {
    format!(
        "upstreams:
  contoso: {{kind: powerbi{upstream}}}
embeds:
  finance: {{upstream: contoso, workspace_id: w{embed}}}
"
    )
}

const AUTH: &str = ", tenant_id: 72f9, auth: {client_id: c, client_secret_file: /s}";

fn system_of(text: &str, env: &Environment) -> PowerBi {
    let config = from_text(text, env).unwrap();
    let System::PowerBi(system) = &config.upstreams["contoso"].system else { panic!("another kind") };
    system.clone()
}

#[test]
fn power_bi_defaults_are_those_of_the_contract() {
    let config = from_text(&power_bi(AUTH, ", report_id: r"), &Environment::default()).unwrap();
    let embed = &config.embeds["finance"];
    assert_eq!((embed.min_ttl, embed.stale_until), (Duration::from_secs(900), Duration::from_secs(60)));
    assert_eq!(config.upstreams["contoso"].load_limit, None);
    let system = system_of(&power_bi(AUTH, ", report_id: r"), &Environment::default());
    assert_eq!(system.service_token_min_life, Duration::from_secs(1800));
    let limited = format!("{AUTH}, load_limit: {{per_second: 3}}");
    let config = from_text(&power_bi(&limited, ", report_id: r"), &Environment::default()).unwrap();
    assert_eq!(config.upstreams["contoso"].load_limit.as_ref().unwrap().per_second, 3);
    let short = from_text(&power_bi(AUTH, ", report_id: r, lifetime: 10m"), &Environment::default()).unwrap();
    assert_eq!(short.embeds["finance"].min_ttl, Duration::from_secs(300));
}

#[test]
fn row_h54_clouds_are_presets_that_any_url_overrides() {
    let of = |keys: &str| {
        let system = system_of(&power_bi(&format!("{AUTH}{keys}"), ", report_id: r"), &Environment::default());
        let urls = [system.entra.identity.host(), &system.api, &system.app].map(ToString::to_string);
        (urls.join(" "), system.entra.scope)
    };
    let scope = |host: &str| format!("https://{host}/powerbi/api/.default");
    for (keys, urls, resource) in [
        (
            "",
            "https://login.microsoftonline.com https://api.powerbi.com https://app.powerbi.com",
            "analysis.windows.net",
        ),
        (
            ", cloud: usgov_gcc",
            "https://login.microsoftonline.com https://api.powerbigov.us https://app.powerbigov.us",
            "analysis.usgovcloudapi.net",
        ),
        (
            ", cloud: usgov_high",
            "https://login.microsoftonline.us https://api.high.powerbigov.us https://app.high.powerbigov.us",
            "high.analysis.usgovcloudapi.net",
        ),
        (
            ", cloud: usgov_dod",
            "https://login.microsoftonline.us https://api.mil.powerbigov.us https://app.mil.powerbigov.us",
            "mil.analysis.usgovcloudapi.net",
        ),
        (
            ", cloud: china",
            "https://login.chinacloudapi.cn https://api.powerbi.cn https://app.powerbi.cn",
            "analysis.chinacloudapi.cn",
        ),
        (
            ", cloud: china, authority: \"https://login.partner.microsoftonline.cn\"",
            "https://login.partner.microsoftonline.cn https://api.powerbi.cn https://app.powerbi.cn",
            "analysis.chinacloudapi.cn",
        ),
    ] {
        assert_eq!(of(keys), (urls.to_owned(), scope(resource)), "{keys}");
    }
    let (_, scope) = of(", scope: \"https://r.example/.default\"");
    assert_eq!(scope, "https://r.example/.default");
}

#[test]
fn the_vendors_own_environment_is_enough_for_power_bi() {
    let identity = |env: &Environment| system_of(&power_bi("", ", report_id: r"), env).entra.identity;
    let base = [("AZURE_TENANT_ID", "t-1"), ("AZURE_CLIENT_ID", "c-1")];
    let with = |name, value| Environment::from([base[0], base[1], (name, value)]);
    for (env, expected) in [
        (with("AZURE_CLIENT_SECRET", "s"), Proof::Secret(SecretRef::Env("AZURE_CLIENT_SECRET".into()))),
        (
            with("AZURE_CLIENT_CERTIFICATE_PATH", "/c.pem"),
            Proof::Certificate { certificate: "/c.pem".into(), private_key: None },
        ),
        (with("AZURE_FEDERATED_TOKEN_FILE", "/t"), Proof::Federated("/t".into())),
    ] {
        let EntraIdentity::Application { tenant_id, client_id, proof, .. } = identity(&env) else {
            panic!("another identity")
        };
        assert_eq!((tenant_id.as_str(), client_id.as_str(), proof), ("t-1", "c-1", expected));
    }
    let env = Environment::from([
        base[0],
        base[1],
        ("AZURE_CLIENT_SECRET", "s"),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
    ]);
    assert_eq!(identity(&env).host().to_string(), "https://login.microsoftonline.us");
}

#[test]
fn managed_identities_are_found_where_the_platform_says() {
    let text = power_bi(", auth: {managed_identity: true, client_id: u-1}", ", report_id: r");
    let endpoint = |env: &Environment| match system_of(&text, env).entra.identity {
        EntraIdentity::Managed { client_id, endpoint } => (client_id, endpoint),
        EntraIdentity::Application { .. } => panic!("another identity"),
    };
    let imds = |host: &str| IdentityEndpoint::Imds(url::base_url(host, true).unwrap());
    let mine = Some("u-1".to_owned());
    assert_eq!(endpoint(&Environment::default()), (mine.clone(), imds("http://169.254.169.254")));
    let env = Environment::from([("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:99")]);
    assert_eq!(endpoint(&env), (mine.clone(), imds("http://127.0.0.1:99")));
    let env = Environment::from([("IDENTITY_ENDPOINT", "http://127.0.0.1:41/MSI/token"), ("IDENTITY_HEADER", "h")]);
    let expected = IdentityEndpoint::AppService {
        host: url::base_url("http://127.0.0.1:41", true).unwrap(),
        path: "/MSI/token".into(),
        header: SecretRef::Env("IDENTITY_HEADER".into()),
    };
    assert_eq!(endpoint(&env), (mine, expected));
}

#[test]
fn rows_h27_h33_and_h34_impossible_power_bi_embeds_are_refused_with_their_place() {
    let many = vec!["x"; 51].join(", ");
    let long = "x".repeat(51);
    for (embed, says) in [
        ("", "must have exactly one of"),
        (", report_id: r, dashboard_id: d", "must have exactly one of"),
        (", tile_id: t", "must have exactly one of"),
        (", dataset_id: s, create: true, access_level: edit", "must have exactly one of"),
        (", dashboard_id: d, access_level: edit", "only reports know"),
        (", dashboard_id: d, xmla_read_only: true", "is for reports only"),
        (", dataset_id: s, create: false, access_level: create", "is false, and access_level is create"),
        (", report_id: r, rls: {username: viewer.id, roles: viewer.roles, allowed_roles: []}", "no viewer could"),
        (", report_id: r, dataset_ids: [s], rls: {username: viewer.id, datasets: [t]}", "not among dataset_ids"),
        (", dashboard_id: d, allow_save_as: true", "is for reports only"),
        (", dataset_id: s, dataset_ids: [t]", "names another dataset than dataset_id"),
        (", dashboard_id: d, rls: {username: viewer.id}", "is missing, and so is dataset_ids"),
        (", report_id: r, rls: {username: viewer.id, roles: 5}", "a list of names, or viewer.roles"),
        (", report_id: ../x", "must be an id"),
        (", report_id: r, profile_id: \"a b\"", "must be an id"),
        (", report_id: r, lifetime: -5m", "not a duration"),
        (", report_id: r, lifetime: 90s", "whole minutes"),
        (&format!(", report_ids: [{many}]"), "at most 50 ids"),
        (&format!(", report_id: r, dataset_ids: [{many}]"), "at most 50 ids"),
        (", report_id: r, rls: {username: viewer.email}", "viewer.email"),
        (", report_id: r, rls: {username: viewer.id, roles: viewer.roles}", "needs allowed_roles"),
        (
            ", report_id: r, rls: {username: viewer.id, roles: [A], allowed_roles: [A]}",
            "only for `roles: viewer.roles`",
        ),
        (", report_id: r, rls: {username: viewer.id, roles: [\"a,b\"]}", "without a comma"),
        (&format!(", report_id: r, rls: {{username: viewer.id, roles: [{long}]}}"), "50 characters"),
        (&format!(", report_id: r, rls: {{username: viewer.id, roles: [{many}]}}"), "at most 50 names"),
        (", report_id: r, rls: {roles: [A]}", "username"),
    ] {
        let found = problems(&power_bi(AUTH, embed));
        assert!(
            found.iter().any(|problem| problem.contains(says) && problem.starts_with("line ")),
            "{embed}: {found:?}"
        );
    }
}

#[test]
fn power_bi_credentials_are_exactly_one() {
    for (keys, says) in [
        ("", "AZURE_CLIENT_ID is not set"),
        (", tenant_id: t, auth: {client_id: c}", "needs one of"),
        (", tenant_id: t, auth: {client_secret_file: /s}", "client_id is missing"),
        (", auth: {client_id: c, client_secret_file: /s}", "tenant_id: is missing"),
        (", tenant_id: \"..\", auth: {client_id: c, client_secret_file: /s}", "UUID or a domain"),
        (", tenant_id: \"a/b\", auth: {client_id: c, client_secret_file: /s}", "UUID or a domain"),
        (", tenant_id: t, auth: {client_id: c, client_secret_file: /s, federated_token_file: /t}", "keep one of them"),
        (", tenant_id: t, auth: {client_secret_file: /s, managed_identity: true}", "keep one of them"),
        (", tenant_id: t, auth: {client_id: c, private_key_file: /k}", "without certificate_file"),
        (", tenant_id: t, auth: {client_id: c, client_secret: dose}", "does not belong"),
        (
            ", tenant_id: t, authority: \"http://login.example\", auth: {client_id: c, client_secret_file: /s}",
            "in the clear",
        ),
        (", tenant_id: t, scope: x, auth: {client_id: c, client_secret_file: /s}", "/.default"),
    ] {
        let found = problems(&power_bi(keys, ", report_id: r"));
        assert!(found.iter().any(|problem| problem.contains(says)), "{keys}: {found:?}");
    }
}

#[test]
fn a_fleet_is_what_the_contract_says() {
    let fleet = |keys: &str| from_text(&format!("{GOOD}fleet: {keys}"), &Environment::default()).map(|it| it.fleet);
    for keys in ["", "{}", "null", "# nothing"] {
        assert_eq!(fleet(keys).unwrap(), None, "{keys}");
    }
    let ca = tempfile::NamedTempFile::new().unwrap();
    let ca = ca.path().display();
    let full = fleet(&format!(
        "{{redis_url: \"rediss://sidemint@redis.infra/3\", password_file: /p, ca_file: {ca}, replicas: 4}}"
    ));
    let full = full.unwrap().unwrap();
    assert_eq!(full.address.to_string(), "rediss://redis.infra:6379/3");
    assert_eq!((full.address.user.as_deref(), full.replicas), (Some("sidemint"), 4));
    assert_eq!(full.password, Some(SecretRef::File("/p".into())));
    assert_eq!((full.ca_file.as_ref().unwrap().display().to_string(), full.caution()), (ca.to_string(), None));
    for (keys, says) in [
        ("{replicas: 1}", "fleet.redis_url: is missing"),
        ("{redis_url: \"redis://r\"}", "fleet.replicas: is missing"),
        ("{redis_url: \"redis://r\", replicas: 0}", "fleet.replicas: must be between 1 and 10000"),
        ("{redis_url: \"redis://r\", replicas: 10001}", "fleet.replicas: must be between 1 and 10000"),
        ("{redis_url: \"redis://r\", replicas: -1}", "invalid"),
        ("{redis_url: \"redis://u:dose1@r\", replicas: 1}", "fleet.redis_url: holds a password"),
        ("{redis_url: \"rediss://u@r\", replicas: 1}", "whose password is missing"),
        ("{redis_url: \"redis://r?dose1=1\", replicas: 1}", "has a query"),
        ("{redis_url: \"redis://r\", replicas: 1, password_file: /a, password_env: B}", "fleet.password: is given as"),
        ("{redis_url: \"redis://r\", replicas: 1, password: dose1}", "unknown field `password`"),
        ("{redis_url: \"redis://r\", replicas: 1, ca_file: /dev/null}", "fleet.ca_file: is about rediss://"),
        ("{redis_url: \"rediss://r\", replicas: 1, ca_file: /nowhere}", "fleet.ca_file: /nowhere is not a file"),
    ] {
        let problems = problems(&format!("{GOOD}fleet: {keys}"));
        assert!(problems.iter().any(|problem| problem.contains(says)), "{keys}: {problems:?}");
        assert!(!problems.concat().contains("dose1"), "{problems:?}");
    }
}

#[test]
fn a_fleet_that_may_not_be_meant_is_warned_of() {
    let cautions = |text: &str| from_text(text, &Environment::default()).unwrap().cautions().join("; ");
    for (host, is_open) in [("redis.infra", true), ("10.0.0.1", true), ("localhost", false), ("[::1]", false)] {
        let text = format!("{GOOD}fleet: {{redis_url: \"redis://{host}\", password_env: P, replicas: 2}}");
        assert_eq!(cautions(&text).contains("in the clear"), is_open, "{host}");
        let safe = text.replace("redis://", "rediss://");
        assert_eq!(cautions(&safe), "", "{host}");
    }
    let fleet = "fleet: {redis_url: \"redis://localhost\", replicas: 2}";
    assert_eq!(cautions(&format!("{GOOD}{fleet}")), "");
    let idle = "upstreams:\n  bold: {kind: boldbi, url: \"https://b/bi\", site: s, auth: {embed_secret_file: /s}}\n";
    assert!(cautions(&format!("{idle}{fleet}")).contains("nothing to share"));
}

#[test]
fn a_fleet_asks_something_of_limits() {
    const FLEET: &str = "fleet: {redis_url: \"redis://r\", replicas: 2}\n";
    let config = |limit: &str| {
        let text = GOOD.replacen("kind: databricks", &format!("kind: databricks\n    load_limit: {limit}"), 1);
        assert_ne!(text, GOOD);
        from_text(&format!("{text}{FLEET}"), &Environment::default())
    };
    let problems = config("{per_second: 1001}").unwrap_err();
    assert!(problems.iter().any(|problem| problem.message.contains("at most 1000")), "{problems:?}");
    assert!(config("{per_second: 1000}").unwrap().cautions().is_empty());
    let cautions = config("{max_wait: 1900ms}").unwrap().cautions();
    assert!(cautions.iter().any(|caution| caution.contains("below 2s")), "{cautions:?}");
}
