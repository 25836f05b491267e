//! The token endpoint, its errors, discovery, managed identities.

use std::time::Duration;

use super::*;
use crate::emulator::{EntraSettings, Fault};

#[tokio::test]
async fn a_secret_gets_a_jwt_that_the_published_key_verifies() {
    let emulator = emulator().await;
    let answer = by_secret(&emulator).await;
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &3600.into()));
    assert_eq!(body["ext_expires_in"], 3600);
    let tenant = &emulator.entra().tenant_id;
    let config = get(&emulator, &format!("/{tenant}/v2.0/.well-known/openid-configuration"), &[]).await;
    assert_eq!(config.text("token_endpoint"), format!("{}/{tenant}/oauth2/v2.0/token", emulator.url()));
    let keys = get(&emulator, config.text("jwks_uri").trim_start_matches(&emulator.url()), &[]).await.json();
    let jwk = serde_json::from_value(keys["keys"][0].clone()).expect("a JWK");
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).expect("a public key");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_audience(&[POWER_BI]);
    let token = jsonwebtoken::decode::<Value>(answer.text("access_token"), &key, &rules).expect("ours");
    let claims = token.claims;
    assert_eq!(claims["tid"], tenant.as_str());
    assert_eq!(claims["appid"], emulator.entra().client_id.as_str());
    assert_eq!(claims["oid"], emulator.entra().object_id.as_str());
    let entry = emulator.journal().remove(0);
    assert_eq!((entry.operation.name(), entry.notes), ("entra_token", vec!["authenticated by secret".to_owned()]));
    assert!(entry.form["client_secret"].starts_with("sha256:"));
}

#[tokio::test]
async fn basic_and_unknown_fields_headers_and_queries_are_taken() {
    let emulator = emulator().await;
    let settings = emulator.entra();
    let path = format!("/{}/oauth2/v2.0/token?client-request-id=1", settings.tenant_id.to_uppercase());
    let basic = basic(&settings.client_id, &settings.client_secret);
    let scope = format!("{} openid profile offline_access", scope());
    let fields = [("grant_type", "client_credentials"), ("scope", &scope), ("client_info", "1")];
    assert_eq!(entra_at(&emulator, &path, Some(&basic), &fields).await.status, 200);
}

#[tokio::test]
async fn discovery_names_the_host_and_refuses_unknown_tenants() {
    let emulator = emulator().await;
    let instance = get(&emulator, "/common/discovery/instance?api-version=1.1", &[]).await.json();
    assert_eq!(instance["metadata"][0]["aliases"], json!([emulator.addr().to_string(), "127.0.0.1"]));
    let unknown = get(&emulator, "/nobody/.well-known/openid-configuration", &[]).await;
    assert_entra_error(&unknown, 400, "invalid_tenant", 90_002);
    // Databricks' document of the same name stays what it is.
    let oidc = get(&emulator, "/oidc/.well-known/openid-configuration", &[]).await;
    assert_eq!(oidc.text("issuer"), format!("{}/oidc", emulator.url()));
}

#[tokio::test]
async fn what_is_wrong_is_told_by_number() {
    let emulator = emulator().await;
    let settings = emulator.entra().clone();
    let (id, secret, scope) = (settings.client_id.as_str(), settings.client_secret.as_str(), scope());
    let good = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret), ("scope", &scope)];
    let with = |name: &'static str, value: Option<&'static str>| {
        let kept = good.into_iter().filter(move |(field, _)| *field != name);
        kept.chain(value.map(|value| (name, value))).collect::<Vec<_>>()
    };
    let two = Some("https://graph.microsoft.com/.default https://analysis.windows.net/powerbi/api/.default");
    for (fields, status, error, number) in [
        (with("client_secret", Some("wrong")), 401, "invalid_client", 7_000_215),
        (with("client_secret", None), 401, "invalid_client", 7_000_218),
        (with("client_id", Some("00000000-0000-0000-0000-000000000000")), 400, "unauthorized_client", 700_016),
        (with("client_id", None), 400, "invalid_request", 900_144),
        (with("grant_type", None), 400, "invalid_request", 900_144),
        (with("grant_type", Some("password")), 400, "unsupported_grant_type", 70_003),
        (with("scope", None), 400, "invalid_request", 900_144),
        (with("scope", Some("https://analysis.windows.net/powerbi/api")), 400, "invalid_scope", 70_011),
        (with("scope", two), 400, "invalid_scope", 28_000),
        (with("scope", Some("https://nowhere.example/.default")), 400, "invalid_resource", 500_011),
    ] {
        assert_entra_error(&entra(&emulator, &fields).await, status, error, number);
    }
    let elsewhere = entra_at(&emulator, "/common/oauth2/v2.0/token", None, &good).await;
    assert_entra_error(&elsewhere, 400, "invalid_request", 90_002);
    emulator.set_entra_app_enabled(false);
    assert_entra_error(&entra(&emulator, &good).await, 400, "unauthorized_client", 7_000_112);
}

#[tokio::test]
async fn secrets_are_rotated_and_expire() {
    let settings = EntraSettings { other_secrets: vec!["second".to_owned()], ..EntraSettings::default() };
    let settings = Settings { entra: settings, ..Settings::default() };
    let emulator = Emulator::start(settings).await.expect("a free port and a key");
    let own = emulator.entra().client_secret.clone();
    assert_eq!(by_secret(&emulator).await.status, 200);
    emulator.expire_entra_secret(&own);
    assert_entra_error(&by_secret(&emulator).await, 401, "invalid_client", 7_000_222);
    emulator.set_entra_secrets(&["third"]);
    let of = |secret: &'static str| {
        let id = emulator.entra().client_id.clone();
        let emulator = &emulator;
        async move {
            let scope = scope();
            let fields = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", secret)];
            entra(emulator, &[&fields[..], &[("scope", &scope)]].concat()).await
        }
    };
    assert_entra_error(&of("second").await, 401, "invalid_client", 7_000_215);
    assert_eq!(of("third").await.status, 200);
}

#[tokio::test]
async fn lives_and_injected_errors_are_of_choice() {
    let emulator = emulator().await;
    emulator.set_entra_token_life(Duration::from_secs(5399));
    assert_eq!(by_secret(&emulator).await.json()["expires_in"], 5399);
    let tuned = Fault {
        operation: "entra_token".to_owned(),
        times: Some(1),
        token_life: Some(7200),
        expires_in: Some("3599".into()),
        extra_fields: json!({"refresh_in": 1800}).as_object().expect("an object").clone(),
        ..Fault::default()
    };
    emulator.inject(tuned);
    let body = by_secret(&emulator).await.json();
    assert_eq!((&body["expires_in"], &body["refresh_in"]), (&"3599".into(), &1800.into()));
    let claims = part(body["access_token"].as_str().expect("a token"), 1);
    assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + 7200));
    for (number, status, error) in
        [(53_003, 400, "access_denied"), (7_000_222, 401, "invalid_client"), (90_033, 503, "temporarily_unavailable")]
    {
        let fault = json!({"operation": "entra_token", "times": 1, "body": "entra", "error_code": number});
        emulator.inject(serde_json::from_value(fault).expect("a fault"));
        assert_entra_error(&by_secret(&emulator).await, status, error, number);
    }
    let fault = json!({"operation": "entra_token", "status": 429, "retry_after": "60", "body": "Too Many Requests"});
    emulator.inject(serde_json::from_value(fault).expect("a fault"));
    let throttled = by_secret(&emulator).await;
    assert_eq!((throttled.status, throttled.body.as_str()), (429, "Too Many Requests"));
    assert_eq!((throttled.header("content-type"), throttled.header("retry-after")), (Some("text/plain"), Some("60")));
}

#[tokio::test]
async fn the_metadata_service_wants_its_header_and_answers_in_strings() {
    let emulator = emulator().await;
    let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={POWER_BI}");
    let answer = get(&emulator, &path, &[("Metadata", "true")]).await;
    assert_eq!((answer.text("expires_in").as_str(), answer.text("resource").as_str()), ("86399", POWER_BI));
    let claims = part(&answer.text("access_token"), 1);
    assert_eq!(answer.text("expires_on"), claims["exp"].to_string());
    assert_eq!(claims["appid"], emulator.entra().managed_identity_id.as_str());
    let user = format!("{path}&client_id={}", emulator.entra().user_assigned[0]);
    assert_eq!(
        get(&emulator, &user, &[("Metadata", "true")]).await.text("client_id"),
        emulator.entra().user_assigned[0]
    );
    let headers = [("Metadata", "true")];
    let forwarded = [("Metadata", "true"), ("X-Forwarded-For", "192.0.2.1")];
    let no_version = format!("/metadata/identity/oauth2/token?resource={POWER_BI}");
    let elsewhere = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://nowhere.example";
    for (path, headers) in [
        (path.as_str(), &[][..]),
        (&path, &forwarded),
        (&no_version, &headers),
        ("/metadata/identity/oauth2/token?api-version=2018-02-01", &headers),
        (elsewhere, &headers),
        (&format!("{path}&client_id=someone"), &headers),
        (&format!("{path}&object_id={}", emulator.entra().managed_identity_id), &headers),
    ] {
        let refused = get(&emulator, path, headers).await;
        assert_eq!((refused.status, refused.text("error").as_str()), (400, "invalid_request"), "{path}");
    }
}

/// Row H22.
#[tokio::test]
async fn app_service_wants_its_own_header_and_tells_only_when_the_token_ends() {
    let emulator = emulator().await;
    let path = format!("/msi/token?api-version=2019-08-01&resource={POWER_BI}");
    let header = emulator.entra().identity_header.clone();
    let answer = get(&emulator, &path, &[("X-IDENTITY-HEADER", &header)]).await;
    assert!(answer.json()["expires_in"].is_null());
    assert_eq!(answer.text("expires_on"), part(&answer.text("access_token"), 1)["exp"].to_string());
    let shown = emulator.journal().remove(0).headers["x-identity-header"].clone();
    assert!(shown.starts_with("sha256:"), "{shown}");
    assert_eq!(get(&emulator, &path, &[("X-IDENTITY-HEADER", "wrong")]).await.status, 401);
    assert_eq!(get(&emulator, &path, &[]).await.status, 401);
}
