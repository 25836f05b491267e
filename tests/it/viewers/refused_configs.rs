//! Ways of naming viewers that could only fail, or let too many in: refused at the start, with their place.

use sidemint::config::{self, Environment};

const SOUND: &str = "issuer: 'https://login.example.com/realms/x', audience: my-app";

/// What is said about a section `viewers`, which begins in line 1.
fn said_of(viewers: &str) -> Vec<String> {
    let text = format!(
        "viewers: {viewers}\n\
         upstreams:\n  acme: {{kind: databricks, host: 'https://acme.example', workspace_id: '1', auth: {{client_id: c, client_secret_env: S}}}}\n\
         embeds:\n  sales: {{upstream: acme, dashboard_id: d}}\n"
    );
    match config::from_text(&text, &Environment::from([("S", "dose0")])) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// What is said about these keys of `viewers.jwt`.
fn said(keys: &str) -> Vec<String> {
    said_of(&format!("{{source: jwt, jwt: {{{keys}}}}}"))
}

fn with(keys: &str) -> String {
    format!("{SOUND}, {keys}")
}

#[track_caller]
fn refuses(keys: &str, key: &str, says: &str) {
    let said = said(keys);
    let is_said = said.iter().any(|line| line.contains(key) && line.contains(says) && line.contains("line 1 column"));
    assert!(is_said, "{key} … {says} is missing for {keys}: {said:?}");
}

#[track_caller]
fn takes(keys: &str) {
    assert_eq!(said(keys), Vec::<String>::new(), "{keys}");
}

#[test]
fn a_sound_one_is_taken() {
    takes(SOUND);
    takes(&with("jwks_url: 'https://keys.example.com/x?y=z'"));
    takes(&with("jwks_file: /etc/keys.json"));
    takes("issuer: 'https://login.example.com', audience: [one, two]");
    takes("issuer: 'https://login.example.com/', audience: one");
    takes("issuer: 'http://127.0.0.1:8080/realms/x', audience: one");
    takes("issuer: 'http://localhost:8080', audience: one");
    takes("issuer: 'http://login.internal', audience: one, allow_insecure_http: true");
    let all = "algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA], id_claim: /user/id, \
               value_claim: 'https://example.com/region', roles_claim: /realm_access/roles, \
               attribute_claims: {area: a, site: /b/0}, clock_skew: 5m, allow_insecure_http: false";
    takes(&with(all));
    takes(&with("roles_claim: null, value_claim: null, jwks_url: null, jwks_file: null, ca_file: null"));
    takes(&with("clock_skew: 0s"));
    assert_eq!(said_of("{source: request}"), Vec::<String>::new());
    assert_eq!(said_of(&format!("{{source: jwt, id_privacy: plain, jwt: {{{SOUND}}}}}")), Vec::<String>::new());
}

/// Where one of the two is missing, the config does not say what its author thinks it does.
#[test]
fn the_source_and_its_settings_go_together() {
    for viewers in
        [format!("{{source: request, jwt: {{{SOUND}}}}}"), format!("{{jwt: {{{SOUND}}}}}"), "{source: jwt}".to_owned()]
    {
        let said = said_of(&viewers);
        assert!(
            said.iter().any(|line| line.contains("viewers") && line.contains("line 1 column")),
            "{viewers}: {said:?}"
        );
    }
    for viewers in ["{source: JWT}", "{source: header}", "{source: true}", "{source: jwt, jwt: []}"] {
        assert!(!said_of(viewers).is_empty(), "{viewers}");
    }
    assert!(!said_of("{source: jwt, jwt: {}}").is_empty());
    assert!(!said_of("{source: jwt, jwt: null}").is_empty());
}

#[test]
fn what_has_to_be_said_is_missed() {
    assert!(said("audience: my-app").concat().contains("issuer"), "{:?}", said("audience: my-app"));
    let said = said("issuer: 'https://login.example.com'");
    assert!(said.concat().contains("audience"), "{said:?}");
}

/// T16: with one of these, whoever can check a token can make one, or anybody can.
#[test]
fn t16_algorithms_that_prove_nothing() {
    for name in
        ["HS256", "HS384", "HS512", "none", "None", "NONE", "rs256", "es256", "ES512", "ES256K", "RSA-OAEP", "", "'*'"]
    {
        refuses(
            &with(&format!("algorithms: [{}]", if name.is_empty() { "''" } else { name })),
            "viewers.jwt.algorithms",
            "",
        );
        refuses(
            &with(&format!("algorithms: [RS256, {}]", if name.is_empty() { "''" } else { name })),
            "viewers.jwt.algorithms",
            "",
        );
    }
    refuses(&with("algorithms: []"), "viewers.jwt.algorithms", "empty");
    for algorithms in ["RS256", "null", "{RS256: true}", "[[RS256]]"] {
        let said = said(&with(&format!("algorithms: {algorithms}")));
        assert!(algorithms == "null" || !said.is_empty(), "{algorithms}");
    }
}

#[test]
fn an_audience_that_is_everybodys() {
    let of = |audience: &str| format!("issuer: 'https://login.example.com', audience: {audience}");
    for audience in ["''", "[]", "['']", "[my-app, '']"] {
        refuses(&of(audience), "viewers.jwt.audience", "empty");
    }
    for audience in ["null", "5", "true", "{a: b}", "[[a]]", "[null]"] {
        assert!(!said(&of(audience)).is_empty(), "{audience}");
    }
}

#[test]
fn an_issuer_that_cannot_be_asked() {
    let of = |issuer: &str| format!("issuer: '{issuer}', audience: my-app");
    refuses(&of("http://login.example.com"), "viewers.jwt.issuer", "https://");
    refuses(&of(""), "viewers.jwt.issuer", "");
    for issuer in [
        "login.example.com",
        "ftp://login.example.com",
        "https://",
        "https://user:secret@login.example.com",
        "https://a b",
    ] {
        let said = said(&of(issuer));
        assert!(said.iter().any(|line| line.contains("viewers.jwt.issuer")), "{issuer}: {said:?}");
        assert!(!said.concat().contains("secret"), "{said:?}");
    }
    for issuer in ["https://login.example.com/?a=b", "https://login.example.com/#a"] {
        assert!(!said(&of(issuer)).is_empty(), "{issuer}: OpenID Connect Discovery 1.0 section 3 has neither");
    }
    // A name that is no URL is one all the same, where nothing has to be discovered.
    takes(&format!("{}, jwks_url: 'https://keys.example.com/'", of("urn:example:issuer")));
    takes(&format!("{}, jwks_file: /etc/keys.json", of("accounts.example.com")));
    refuses(&format!("{}, jwks_file: /etc/keys.json", of("")), "viewers.jwt.issuer", "");
}

#[test]
fn keys_that_cannot_be_had() {
    refuses(&with("jwks_url: 'http://keys.example.com/'"), "viewers.jwt.jwks_url", "https://");
    takes(&with("jwks_url: 'http://keys.example.com/', allow_insecure_http: true"));
    takes(&with("jwks_url: 'http://[::1]:8080/keys'"));
    for url in ["keys.json", "/keys", "file:///etc/keys.json", "https://user:secret@keys.example.com/", "https://"] {
        let said = said(&with(&format!("jwks_url: '{url}'")));
        assert!(said.iter().any(|line| line.contains("viewers.jwt.jwks_url")), "{url}: {said:?}");
        assert!(!said.concat().contains("secret"), "{said:?}");
    }
    refuses(&with("jwks_url: 'https://keys.example.com/', jwks_file: /etc/keys.json"), "viewers.jwt.jwks", "both");
    refuses(&with("ca_file: /nowhere/ca.pem"), "viewers.jwt.ca_file", "/nowhere/ca.pem");
}

#[test]
fn claims_that_are_none() {
    for key in ["id_claim", "value_claim", "roles_claim"] {
        for claim in ["''", "'/'", "'/a/'", "'/a~2b'", "'/a~'"] {
            refuses(&with(&format!("{key}: {claim}")), &format!("viewers.jwt.{key}"), "");
        }
        for claim in ["[sub]", "{a: b}"] {
            assert!(!said(&with(&format!("{key}: {claim}"))).is_empty(), "{key}: {claim}");
        }
    }
    refuses(&with("attribute_claims: {area: ''}"), "viewers.jwt.attribute_claims", "");
    refuses(&with("attribute_claims: {area: /a~2}"), "viewers.jwt.attribute_claims", "");
    for claims in ["[area]", "area", "{area: [a]}", "{area: a, area: b}"] {
        assert!(!said(&with(&format!("attribute_claims: {claims}"))).is_empty(), "{claims}");
    }
}

#[test]
fn a_skew_that_is_no_skew() {
    for skew in ["5m1s", "6m", "1h", "24h"] {
        refuses(&with(&format!("clock_skew: {skew}")), "viewers.jwt.clock_skew", "5m");
    }
    for skew in ["-1s", "60", "soon", "1.5s", "null x"] {
        assert!(!said(&with(&format!("clock_skew: {skew}"))).is_empty(), "{skew}");
    }
}

#[test]
fn keys_of_the_config_that_are_none() {
    for key in [
        "jwks_uri: 'https://keys.example.com/'",
        "jwk: {}",
        "secret: dose0",
        "key: dose0",
        "leeway: 60s",
        "audiences: [a]",
    ] {
        let said = said(&with(key));
        assert!(!said.is_empty() && !said.concat().contains("dose0"), "{key}: {said:?}");
    }
    assert!(!said(&with("issuer: 'https://other.example.com'")).is_empty(), "twice");
}

/// An embed that takes from the viewer what no claim brings could be shown to nobody.
#[test]
fn what_an_embed_takes_from_the_viewer_has_a_claim() {
    let said = |jwt: &str, embed: &str| {
        let text = format!(
            "viewers: {{source: jwt, jwt: {{{}}}}}\n\
             upstreams:\n  pbi: {{kind: powerbi, tenant_id: 72f988bf-86f1-41af-91ab-2d7cd011db47, auth: {{client_id: c, client_secret_env: S}}}}\n  \
             bold: {{kind: boldbi, url: 'https://bi.example.com/bi', site: site1, auth: {{embed_secret_env: S}}}}\n\
             embeds:\n  it: {{{embed}}}\n",
            with(jwt)
        );
        match config::from_text(&text, &Environment::from([("S", "dose0")])) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    };
    let report = "upstream: pbi, workspace_id: f6d5c4b3-a291-4807-b6e5-d4c3b2a19087, \
                  report_id: b0a19283-7465-4f5e-8d4c-3b2a19087f6e";
    let board = "upstream: bold, dashboard_id: c5bab292-0ee6-4ee7-9dfa-d6b3cffed7ff";
    for (embed, jwt, claim) in [
        (format!("{report}, rls: {{username: viewer.value, roles: [A]}}"), "value_claim: region", "value_claim"),
        (
            format!("{report}, rls: {{username: viewer.id, roles: viewer.roles, allowed_roles: [A]}}"),
            "roles_claim: groups",
            "roles_claim",
        ),
        (format!("{board}, email: viewer.value"), "value_claim: email", "value_claim"),
        (format!("{board}, custom_attributes: {{a: viewer.roles}}"), "roles_claim: groups", "roles_claim"),
        (
            format!("{board}, custom_attributes: {{a: viewer.attributes.area}}"),
            "attribute_claims: {area: region}",
            "attribute_claims.area",
        ),
    ] {
        let lines = said("clock_skew: 1s", &embed);
        assert!(lines.iter().any(|line| line.contains("embeds.it") && line.contains(claim)), "{embed}: {lines:?}");
        assert_eq!(said(jwt, &embed), Vec::<String>::new(), "{embed}");
    }
}
