//! What else is there where viewers come with tokens: browsers, metrics, pages for people, silence.

use serde_json::json;

use super::scene::{Gate, JSON, PROOF, RENEW, Scene, TOKEN, counted_series, seen, unauthenticated};
use crate::issuer::{Issuer, Token, base64, ed25519, now, other_rsa, p256, p384, rsa};
use crate::support::{DASHBOARD, Setup, until};

/// Vectors by the fake itself: what it signs and publishes is what another library takes.
#[test]
fn the_fake_issuer_signs_what_others_verify() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::Jwk};
    let of = |name: &str| name.parse::<Algorithm>().expect("an algorithm");
    let rsa_names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let mut cases: Vec<_> = rsa_names.into_iter().map(|alg| (rsa(), alg)).collect();
    cases.extend([(p256(), "ES256"), (p384(), "ES384"), (ed25519(), "EdDSA"), (other_rsa(), "RS256")]);
    for (key, alg) in cases {
        let jwk: Jwk = serde_json::from_value(key.jwk_with("alg", alg)).expect("a key");
        let mut rules = Validation::new(of(alg));
        rules.set_audience(&[crate::issuer::AUDIENCE]);
        rules.set_issuer(&["https://issuer.example"]);
        let token = Token::of(key, "https://issuer.example").alg(alg).text();
        let public = DecodingKey::from_jwk(&jwk).expect("a public key");
        let claims = jsonwebtoken::decode::<serde_json::Value>(&token, &public, &rules);
        assert_eq!(claims.expect(alg).claims["sub"], "alice");
        let forged = Token::of(rsa(), "https://issuer.example").really_by(key).alg(alg).text();
        let other: Jwk = serde_json::from_value(rsa().jwk()).expect("a key");
        let other = DecodingKey::from_jwk(&other).expect("a public key");
        assert_eq!(jsonwebtoken::decode::<serde_json::Value>(&forged, &other, &rules).is_ok(), key.kid == rsa().kid);
    }
}

#[tokio::test]
async fn a_reply_is_the_one_that_a_named_viewer_gets() {
    let scene = Scene::new().await;
    let got = scene.get(&scene.token().text()).await;
    assert_eq!(got.header("cache-control"), Some("no-store"));
    assert_eq!(got.header("www-authenticate"), None);
    assert_eq!(crate::support::claim(&got.token()), format!("urn:aibi:external_data:emea:alice:{DASHBOARD}"));
    assert_eq!(got.json()["embed"]["dashboard_id"], DASHBOARD);
    let plain = [PROOF, ("authorization", &scene.token().bearer()), ("accept", "text/plain")];
    let plain = scene.send("GET", RENEW, &plain, "").await;
    assert_eq!(plain.text(), got.token());
    // Another token of the same viewer finds what the first one brought.
    let again = scene.get(&Token::by(p256(), &scene.issuer).claim("jti", "2").text()).await;
    assert_eq!((again.token(), again.cache().as_str()), (got.token(), "hit"));
    let load = scene.ask(&scene.token().text(), &json!({"purpose": "load", "min_ttl": "20m"})).await;
    assert_eq!(load.token(), got.token());
    assert_eq!(scene.counts().2, 1);
}

/// Who asks at all is a question of its own.
#[tokio::test]
async fn a_token_is_no_proof_of_the_caller() {
    let scene = Scene::new().await;
    let bearer = scene.token().bearer();
    let reply = scene.send("GET", RENEW, &[("authorization", &bearer)], "").await;
    assert_eq!(reply.refusal(), (403, "missing_request_header".to_owned()));
    let elsewhere = [PROOF, ("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    let reply = scene.send("GET", RENEW, &elsewhere, "").await;
    assert_eq!(reply.refusal(), (403, "forbidden_origin".to_owned()));
    let (path, _folder) = crate::support::file_with("caller-canary\n");
    let server = format!("caller_token_file: {}", path.display());
    let scene = Gate::default().setup(|setup| setup.server(&server)).start().await;
    let bearer = scene.token().bearer();
    let refused = scene.send("GET", RENEW, &[PROOF, ("authorization", &bearer)], "").await;
    assert_eq!(refused.refusal(), (401, "caller_unauthenticated".to_owned()));
    let proof = ("sidemint-request", "caller-canary");
    assert_eq!(scene.send("GET", RENEW, &[proof, ("authorization", &bearer)], "").await.status, 200);
    unauthenticated(&scene.send("GET", RENEW, &[proof], "").await, "the caller without his viewer");
    let swapped = [("sidemint-request", bearer.as_str()), ("authorization", "Bearer caller-canary")];
    assert_eq!(scene.send("GET", RENEW, &swapped, "").await.status, 401);
}

#[tokio::test]
async fn browsers_may_send_the_header_where_it_is_wanted() {
    let origin = ("origin", "https://app.example.com");
    let asked = [
        origin,
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,sidemint-request"),
    ];
    let server = "allowed_origins: ['https://app.example.com']";
    let scene = Gate::default().setup(|setup| setup.server(server)).start().await;
    let preflight = scene.send("OPTIONS", TOKEN, &asked, "").await;
    assert_eq!(preflight.status, 204);
    let allowed = preflight.header("access-control-allow-headers").expect("headers are allowed").to_lowercase();
    let names: Vec<&str> = allowed.split(',').map(str::trim).collect();
    assert!(names.contains(&"authorization") && names.contains(&"sidemint-request"), "{allowed}");
    let bearer = scene.token().bearer();
    let reply = scene.send("GET", RENEW, &[PROOF, origin, ("authorization", &bearer)], "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // A refusal can be read by the page too.
    let refused = scene.send("GET", RENEW, &[PROOF, origin], "").await;
    unauthenticated(&refused, "no token");
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example.com"));
    let without = Setup::default().server(server).start().await;
    let preflight = without.send("OPTIONS", TOKEN, &asked, "").await;
    let allowed = preflight.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    assert!(!allowed.contains("authorization"), "{allowed}");
}

/// Where callers name the viewer, a token is one of the many headers that nobody reads.
#[tokio::test]
async fn without_the_mode_a_token_says_nothing() {
    let stage = Setup::default().start().await.warmed().await;
    let issuer = Issuer::start();
    let bob = Token::by(rsa(), &issuer).viewer("bob", "apac").bearer();
    for authorization in [bob.as_str(), "Bearer nonsense", ""] {
        let path = format!("{TOKEN}?viewer_id=alice&purpose=renew");
        let headers = [PROOF, ("authorization", authorization), ("sidemint-viewer-value", "emea")];
        assert_eq!(seen(&stage.send("GET", &path, &headers, "").await.token()), "emea:alice");
    }
    let nobody = stage.send("GET", RENEW, &[PROOF, ("authorization", &bob)], "").await;
    assert_eq!(nobody.refusal(), (422, "invalid_parameters".to_owned()));
    let nobody = stage.send("POST", TOKEN, &[PROOF, JSON, ("authorization", &bob)], "{}").await;
    assert_eq!(nobody.refusal(), (422, "invalid_parameters".to_owned()));
    assert_eq!(issuer.heads().len(), 0);
}

#[tokio::test]
async fn refusals_and_looks_are_counted() {
    let scene = Scene::new().await;
    let token = scene.token();
    scene.get(&token.text()).await.token();
    for wrong in ["", "x", &token.clone().claim("exp", 0).text(), &token.clone().really_by(other_rsa()).text()] {
        unauthenticated(&scene.get(wrong).await, "wrong");
    }
    assert_eq!(scene.ask_for(&token.text(), json!({"id": "bob"})).await.status, 403);
    let counted =
        async |code: &str| scene.metric(&format!(r#"sidemint_refused_requests_total{{code="{code}"}}"#)).await;
    assert_eq!(counted("viewer_unauthenticated").await, Some(4.0));
    assert_eq!(counted("viewer_mismatch").await, Some(1.0));
    assert_eq!((scene.outcomes("refused").await, scene.outcomes("miss").await), (5.0, 1.0));
    assert_eq!(scene.counted("ok").await, 2.0, "discovery, and the keys");
    let text = scene.admin("/metrics").await.text();
    let duration = r#"sidemint_upstream_request_duration_seconds_count{operation="jwks",upstream="viewers.jwt"} 2"#;
    assert!(text.contains(duration), "{text}");
    for word in ["alice", "bob", "emea", "rsa-1", "my-app", "eyJ"] {
        assert!(!text.contains(word), "{word}");
    }
    // Every outcome is a series from the start, so that a rate of failures can be had from the first one.
    for outcome in ["ok", "timeout", "connect", "tls", "malformed", "server_error"] {
        assert!(scene.metric(&counted_series(outcome)).await.is_some(), "{outcome}");
    }
}

#[tokio::test]
async fn a_page_for_people_shows_the_keys_and_no_viewer() {
    let scene = Scene::new().await;
    scene.get(&scene.token().text()).await.token();
    unauthenticated(&scene.get(&scene.token().kid("canary-kid").claim("sub", "canary").text()).await, "unknown");
    let json = scene.client.get(scene.app.admin(), "/status", &[("accept", "application/json")]).await;
    let page = scene.client.get(scene.app.admin(), "/status", &[("accept", "text/html")]).await;
    for reply in [json, page] {
        let text = reply.text();
        let lower = text.to_lowercase();
        assert!(lower.contains("viewers") && lower.contains("keys") && text.contains(&scene.issuer.url()), "{text}");
        for word in ["alice", "canary", "emea", "eyJ", rsa().kid] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
}

/// Nothing of a token is in an answer, whatever is wrong with it.
#[tokio::test]
async fn rank_4_answers_repeat_nothing_of_a_token() {
    let scene = Scene::new().await;
    let canary = "canary-4711";
    let of = |token: Token| token.text();
    let token = || scene.token().claim("x", canary);
    let texts = [
        canary.to_owned(),
        format!("{canary}.{canary}.{canary}"),
        format!("{}.{}.{}", base64(canary), base64(canary), base64(canary)),
        of(token().header("alg", canary)),
        of(token().header("typ", canary)),
        of(token().header("crit", json!([canary]))),
        of(token().kid(canary)),
        of(token().claim("iss", canary)),
        of(token().claim("aud", canary)),
        of(token().claim("sub", json!([canary]))),
        of(token().claim("exp", canary)),
        of(token().claim("region", json!({canary: canary}))),
        of(token().claim("sub", format!("{canary}:x"))),
        of(token().claim("sub", format!("{canary}@example.com"))),
    ];
    for text in &texts {
        let reply = scene.get(text).await;
        assert!(reply.status.is_client_error(), "{text}");
        let headers = format!("{:?}", reply.headers);
        let encoded = base64(canary);
        for word in [canary, &encoded[2..encoded.len() - 2], text.as_str(), "eyJ"] {
            assert!(!reply.text().contains(word) && !headers.contains(word), "{word}: {}", reply.text());
        }
    }
    let mismatch = scene.ask_for(&scene.token().text(), json!({"id": canary, "value": canary})).await;
    assert!(!mismatch.text().contains(canary) && !mismatch.text().contains("alice"), "{}", mismatch.text());
}

/// T13: a token's life is not lengthened by what is in the cache.
#[tokio::test]
async fn t13_an_expired_token_gets_nothing_from_the_cache() {
    let scene = Gate::default().jwt("value_claim: region, clock_skew: 0s").start().await;
    let short = scene.token().claim("exp", now() + 3).text();
    let long = scene.token().text();
    assert_eq!(scene.get(&short).await.cache(), "miss");
    until("it has expired", async || scene.get(&short).await.status == 401).await;
    unauthenticated(&scene.get(&short).await, "expired");
    assert_eq!(scene.get(&long).await.cache(), "hit", "what it had been given is still good");
    assert_eq!(scene.counts().2, 1);
}

/// T13: what a token says now is what counts, not what one of the same viewer said before.
#[tokio::test]
async fn t13_another_right_is_another_token() {
    let jwt = "value_claim: region, roles_claim: roles, attribute_claims: {area: area}";
    let scene = Gate::default().jwt(jwt).start().await;
    let of = |roles: &[&str], area: &str, region: &str| {
        scene.token().claim("roles", json!(roles)).claim("area", area).claim("region", region).text()
    };
    let mut tokens = std::collections::BTreeSet::new();
    for (roles, area, region) in [
        (&["a"][..], "n", "emea"),
        (&["a", "b"], "n", "emea"),
        (&["b"], "n", "emea"),
        (&["a", "b", "c"], "n", "emea"),
        (&["a,b"], "n", "emea"),
        (&[], "n", "emea"),
        (&["a"], "s", "emea"),
        (&["a"], "n", "apac"),
    ] {
        let reply = scene.get(&of(roles, area, region)).await;
        assert_eq!(reply.cache(), "miss", "{roles:?} {area} {region}");
        tokens.insert(reply.token());
    }
    assert_eq!((tokens.len(), scene.counts().2), (8, 8));
    assert_eq!(scene.get(&of(&["b", "a"], "n", "emea")).await.cache(), "hit");
}

/// A changed config changes who is let in, at once.
#[tokio::test]
async fn a_reload_takes_another_issuer() {
    let scene = Scene::new().await;
    let other = Issuer::start();
    other.publish(&[other_rsa().jwk()]);
    let (here, there) = (scene.token().text(), Token::by(other_rsa(), &other).text());
    assert_eq!(scene.get(&here).await.status, 200);
    unauthenticated(&scene.get(&there).await, "of another issuer");
    let text = Gate::default().setup_for(&other).yaml(&scene.stage.vendor);
    let config = sidemint::config::from_text(&text, &scene.stage.setup.variables(&scene.stage.vendor));
    scene.app.reload(config.expect("a valid config")).await.expect("the new config is taken");
    until("the new issuer's keys are here", async || scene.get(&there).await.status == 200).await;
    unauthenticated(&scene.get(&here).await, "of the issuer before");
    let text = Setup::default().yaml(&scene.stage.vendor);
    let config = sidemint::config::from_text(&text, &scene.stage.setup.variables(&scene.stage.vendor));
    scene.app.reload(config.expect("a valid config")).await.expect("the new config is taken");
    let reply = scene.send("GET", &format!("{RENEW}&viewer_id=carol"), &[PROOF], "").await;
    assert_eq!(seen(&reply.token()), ":carol", "callers name the viewer again");
}

/// What has not changed keeps its keys: nobody waits, and the issuer is not asked.
#[tokio::test]
async fn a_reload_keeps_the_keys() {
    let scene = Scene::new().await;
    let before = scene.issuer.fetches();
    scene.issuer.keys(crate::issuer::Answer::status(503));
    scene.issuer.discovery(crate::issuer::Answer::status(503));
    let setup = Gate::default().setup(|setup| setup.server("max_body: 2KiB")).setup_for(&scene.issuer);
    let config = sidemint::config::from_text(
        &setup.yaml(&scene.stage.vendor),
        &scene.stage.setup.variables(&scene.stage.vendor),
    );
    scene.app.reload(config.expect("a valid config")).await.expect("the new config is taken");
    assert_eq!(scene.get(&scene.token().text()).await.status, 200);
    assert_eq!(scene.issuer.fetches(), before);
}
