//! Discovery, the token endpoint, tokeninfo.

use super::*;

#[tokio::test]
async fn discovery_names_endpoints_that_are_there() {
    let emulator = emulator().await;
    let config = get(&emulator, "/.well-known/databricks-config", &[]).await;
    assert_eq!(config.text("oidc_endpoint"), format!("{}/oidc", emulator.url()));
    for document in ["oauth-authorization-server", "openid-configuration"] {
        let found = get(&emulator, &format!("/oidc/.well-known/{document}"), &[]).await;
        assert_eq!(found.text("token_endpoint"), format!("{}/oidc/v1/token", emulator.url()));
        assert_eq!(found.text("jwks_uri"), format!("{}/oidc/jwks.json", emulator.url()));
    }
    assert_eq!(get(&emulator, "/api/2.0/nothing", &[]).await.status, 404);
    let posted = ask(&emulator, "POST /oidc/jwks.json", &[], "").await.expect("an answer");
    assert_eq!(posted.status, 404);
}

#[tokio::test]
async fn a_service_token_is_an_at_jwt_that_the_published_key_verifies() {
    let emulator = emulator().await;
    let form = [("grant_type", "client_credentials"), ("scope", "all-apis")];
    let answer = token(&emulator, Some(&own_basic(&emulator)), &form).await;
    assert_eq!(answer.json()["expires_in"], 3600);
    assert_eq!(answer.text("token_type"), "Bearer");
    let jwt = answer.text("access_token");
    let (header, claims) = (part(&jwt, 0), part(&jwt, 1));
    assert_eq!((&header["alg"], &header["typ"]), (&"RS256".into(), &"at+jwt".into()));
    assert_eq!(claims["aud"], emulator.databricks().workspace_id.as_str());
    assert_eq!(claims["sub"], emulator.databricks().client_id.as_str());
    assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + 3600));
    let jwks = get(&emulator, "/oidc/jwks.json", &[]).await.json();
    assert_eq!(jwks["keys"][0]["kid"], header["kid"]);
    let jwk = serde_json::from_value(jwks["keys"][0].clone()).expect("a JWK");
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).expect("a public key");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_audience(&[&emulator.databricks().workspace_id]);
    jsonwebtoken::decode::<Value>(&jwt, &key, &rules).expect("signed by the published key");
}

/// databricks.md section 10, row 59, and credentials in the body.
#[tokio::test]
async fn credentials_are_taken_raw_percent_encoded_or_from_the_body() {
    let mut settings = Settings::default();
    settings.databricks.client_secret = "dose+a/b%c d".to_owned();
    let emulator = Emulator::start(settings).await.expect("a free port and a key");
    let id = emulator.databricks().client_id.clone();
    let form = [("grant_type", "client_credentials"), ("scope", "all-apis")];
    let raw = basic(&id, "dose+a/b%c d");
    let encoded = basic(&id, "dose%2Ba%2Fb%25c+d");
    assert_eq!(token(&emulator, Some(&raw), &form).await.status, 200);
    assert_eq!(token(&emulator, Some(&encoded), &form).await.status, 200);
    let mut body = form.to_vec();
    body.extend([("client_id", id.as_str()), ("client_secret", "dose+a/b%c d")]);
    assert_eq!(token(&emulator, None, &body).await.status, 200);
    let shown = emulator.journal().pop().expect("the last request").form["client_secret"].clone();
    assert!(shown.starts_with("sha256:") && !shown.contains("dose"), "{shown}");
}

#[tokio::test]
async fn wrong_credentials_and_malformed_requests_get_the_errors_of_the_vendor() {
    let emulator = emulator().await;
    let form = [("grant_type", "client_credentials"), ("scope", "all-apis")];
    let wrong = basic(&emulator.databricks().client_id, "dosewrong");
    for authorization in [Some(wrong.as_str()), None] {
        let refused = token(&emulator, authorization, &form).await;
        assert_eq!((refused.status, refused.text("error").as_str()), (401, "invalid_client"));
        assert_eq!(refused.header("content-type"), Some("application/json"));
    }
    let own = own_basic(&emulator);
    let malformed = token(&emulator, Some(&own), &[("scope", "all-apis")]).await;
    assert_eq!((malformed.status, malformed.body.as_str()), (400, ""));
    let twice = [("grant_type", "client_credentials"), ("scope", "all-apis"), ("scope", "all-apis")];
    assert_eq!(token(&emulator, Some(&own), &twice).await.text("error"), "invalid_request");
    let unknown = [("grant_type", "client_credentials"), ("scope", "everything")];
    assert_eq!(token(&emulator, Some(&own), &unknown).await.text("error"), "invalid_scope");
    let password = [("grant_type", "password")];
    assert_eq!(token(&emulator, Some(&own), &password).await.text("error"), "unsupported_grant_type");
}

#[tokio::test]
async fn a_rotated_secret_replaces_the_old_one() {
    let emulator = emulator().await;
    let form = [("grant_type", "client_credentials"), ("scope", "all-apis")];
    let old = own_basic(&emulator);
    emulator.set_secrets(&["dosenew"]);
    assert_eq!(token(&emulator, Some(&old), &form).await.status, 401);
    let new = basic(&emulator.databricks().client_id, "dosenew");
    assert_eq!(token(&emulator, Some(&new), &form).await.status, 200);
}

/// databricks.md section 10, row 15.
#[tokio::test]
async fn token_info_decodes_both_spaces_and_carries_unknown_fields() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    for query in [
        "external_viewer_id=v%2F1&external_value=a%20b%26c%3D%C3%A9",
        "external_viewer_id=v/1&external_value=a+b%26c%3D%C3%A9",
    ] {
        let info = token_info(&emulator, &service, DASHBOARD, query).await;
        let claim = format!("urn:aibi:external_data:a b&c=é:v/1:{DASHBOARD}");
        assert_eq!((info.status, info.text("custom_claim")), (200, claim));
        assert_eq!(info.json()["authorization_details"].as_array().map(Vec::len), Some(3));
        assert_eq!((&info.json()["x_future"], &info.json()["n"]), (&"keep-me".into(), &5.into()));
    }
    assert_eq!(emulator.journal()[1].query["external_value"], "a b&c=é");
}

#[tokio::test]
async fn token_info_refuses_strangers_unknown_dashboards_and_long_viewers() {
    let emulator = emulator().await;
    let foreign = service_token(&super::emulator().await).await;
    let viewer = viewer_token(&emulator, "emea").await;
    for (bearer, status, code) in [
        ("dapi0123", 401, "UNAUTHENTICATED"),
        (foreign.as_str(), 401, "UNAUTHENTICATED"),
        (viewer.as_str(), 403, "PERMISSION_DENIED"),
    ] {
        let refused = token_info(&emulator, bearer, DASHBOARD, "").await;
        assert_eq!((refused.status, refused.text("error_code").as_str()), (status, code));
    }
    let service = service_token(&emulator).await;
    let unknown = token_info(&emulator, &service, "01f100000000", "").await;
    assert_eq!((unknown.status, unknown.text("error_code").as_str()), (404, "RESOURCE_DOES_NOT_EXIST"));
    for (length, status) in [(1021, 200), (1022, 400)] {
        let query = format!("external_viewer_id=v-1&external_value={}", "x".repeat(length));
        assert_eq!(token_info(&emulator, &service, DASHBOARD, &query).await.status, status);
    }
}

#[tokio::test]
async fn revoked_and_expired_service_tokens_are_refused() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let me = |token: String| {
        let emulator = &emulator;
        async move {
            let bearer = format!("Bearer {token}");
            get(emulator, "/api/2.0/preview/scim/v2/Me", &[("Authorization", &bearer)]).await.status
        }
    };
    assert_eq!(me(service.clone()).await, 200);
    emulator.revoke_tokens();
    assert_eq!(me(service).await, 401);
    assert_eq!(me(service_token(&emulator).await).await, 200);
    emulator.set_token_life(std::time::Duration::ZERO);
    let expired = super::super::Fault { jwt_exp_life: Some(-10), ..Default::default() };
    emulator.inject(expired);
    assert_eq!(me(service_token(&emulator).await).await, 401);
}

#[tokio::test]
async fn the_scoped_token_carries_rules_scope_and_claim() {
    let emulator = emulator().await;
    let claims = part(&viewer_token(&emulator, "emea").await, 1);
    assert_eq!(claims["custom"]["claim"], format!("urn:aibi:external_data:emea:v-1:{DASHBOARD}"));
    assert_eq!(claims["authorization_details"].as_array().map(Vec::len), Some(3));
    let names: Vec<_> = emulator.journal().iter().map(|entry| entry.operation.name()).collect();
    assert_eq!(names, ["service_token", "token_info", "mint"]);
    assert!(emulator.journal().iter().all(|entry| entry.status == Some(200) && entry.notes.is_empty()));
    assert_eq!(emulator.journal()[1].auth_scheme.as_deref(), Some("bearer"));
}
