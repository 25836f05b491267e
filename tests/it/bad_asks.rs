//! Asks that never reach the vendor.

use serde_json::{Value, json};

use crate::support::{Reply, Setup, Stage};

/// Nothing of the ask is in the answer, which is a problem with all its fields.
fn is_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let body = reply.json();
    assert_eq!(body["type"], format!("urn:sidemint:error:{code}"));
    assert_eq!(body["status"], status);
    let class = match status {
        401 | 403 => "refused",
        429 | 503 | 504 => "retry",
        502 => "configuration",
        _ => "request",
    };
    assert_eq!(body["class"], class);
    for field in ["title", "detail", "request_id"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {body}");
    }
}

async fn refused(stage: &Stage, viewer: Value) -> Reply {
    let reply = stage.post("sales", &json!({"viewer": viewer, "purpose": "renew"})).await;
    is_problem(&reply, 422, "invalid_viewer");
    reply
}

#[tokio::test]
async fn row_16_what_the_claim_is_joined_with_is_refused() {
    let stage = Stage::warm().await;
    for viewer in [
        json!({"id": "canary:1", "value": "emea"}),
        json!({"id": "canary|1", "value": "emea"}),
        json!({"id": "v-1", "value": "canary:1"}),
        json!({"id": "v-1", "value": "canary|1"}),
    ] {
        let reply = refused(&stage, viewer).await;
        assert!(!reply.text().contains("canary"), "{}", reply.text());
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
    assert_eq!(stage.outcomes("refused").await, 4.0);
}

#[tokio::test]
async fn row_17_the_limit_is_1024_bytes() {
    let stage = Stage::warm().await;
    refused(&stage, json!({"id": "a".repeat(1000), "value": "b".repeat(25)})).await;
    refused(&stage, json!({"id": "é".repeat(500), "value": "é".repeat(13)})).await;
    assert_eq!(stage.operations(), Vec::<&str>::new());
    stage.renew(&"a".repeat(1000), &"é".repeat(12)).await.token();
    assert_eq!(stage.operations(), ["token_info", "mint"]);
}

#[tokio::test]
async fn bad_viewers_never_reach_the_vendor() {
    let stage = Stage::warm().await;
    for viewer in [
        json!({"id": ""}),
        json!({"id": "a\nb"}),
        json!({"id": "a", "value": "\u{0}"}),
        json!({"id": "a\u{202e}b"}),
        json!({"id": "someone@example.com"}),
        json!({"id": "v", "roles": ["a\tb"]}),
    ] {
        refused(&stage, viewer).await;
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
    // The value filters rows and may be an address.
    stage.renew("v-1", "someone@example.com").await.token();
}

#[tokio::test]
async fn an_address_as_id_is_a_matter_of_the_config() {
    let plain = Setup::default().more("viewers: {id_privacy: plain}").start().await;
    let token = plain.renew("someone@example.com", "emea").await.token();
    assert!(crate::support::claim(&token).contains(":someone@example.com:"));
    let hmac = Setup::default()
        .more("viewers: {id_privacy: hmac, hmac_key_env: KEY}")
        .variable("KEY", "0123456789abcdef0123456789abcdef")
        .start()
        .await;
    let token = hmac.renew("someone@example.com", "emea").await.token();
    assert!(!crate::support::claim(&token).contains("someone"), "{}", crate::support::claim(&token));
    assert_eq!(hmac.renew("someone@example.com", "emea").await.token(), token);
}

#[tokio::test]
async fn unknown_fields_and_wrong_types_are_refused() {
    let stage = Stage::warm().await;
    for body in [
        json!({"viewer": {"id": "v", "vlaue": "emea"}}),
        json!({"viewer": {"id": "v"}, "extra": 1}),
        json!({"viewer": {"id": 5}}),
        json!({"viewer": {"id": "v"}, "purpose": "LOAD"}),
        json!({"viewer": {"id": "v"}, "min_ttl": 600}),
        json!({"viewer": {"id": "v"}, "min_ttl": "25h"}),
        json!({}),
    ] {
        is_problem(&stage.post("sales", &body).await, 422, "invalid_parameters");
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

/// What stands in the URL of a POST is not passed over: it may be meant.
#[tokio::test]
async fn t10_a_post_has_nothing_in_its_url() {
    let stage = Stage::warm().await;
    let headers = [("sidemint-request", "true"), ("content-type", "application/json")];
    let body = json!({"viewer": {"id": "v"}}).to_string();
    for query in ["viewer_id=bob", "purpose=renew", "junk=1", "viewer_id=a&viewer_id=b", "%"] {
        let path = format!("/v1/embeds/sales/token?{query}");
        is_problem(&stage.send("POST", &path, &headers, body.clone()).await, 422, "invalid_parameters");
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

/// A dashboard is named by the config alone; what is no name of an embed is not looked for anywhere.
#[tokio::test]
async fn row_18_paths_that_name_no_embed_are_not_found() {
    let stage = Stage::warm().await;
    let headers = [("sidemint-request", "true"), ("content-type", "application/json")];
    let body = json!({"viewer": {"id": "v"}}).to_string();
    for (path, code) in [
        ("/v1/embeds/nowhere/token", "unknown_embed"),
        ("/v1/embeds/SALES/token", "unknown_embed"),
        ("/v1/embeds/..%2fsales/token", "unknown_embed"),
        ("/v1/embeds/../x/token", "not_found"),
        ("/v1/embeds//token", "unknown_embed"),
        ("/v1/embeds/sales/x/token", "not_found"),
        ("/v1/embeds/sales/token/", "not_found"),
        ("//v1/embeds/sales/token", "not_found"),
        ("/", "not_found"),
    ] {
        is_problem(&stage.send("POST", path, &headers, body.clone()).await, 404, code);
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn row_18_a_dashboard_id_that_is_a_path_is_refused_with_the_config() {
    let stage = Stage::new().await;
    let good = stage.setup.yaml(&stage.vendor);
    for bad in ["../x", "a/b", "''", "a%2fb", "'a b'"] {
        let text = good.replace(crate::support::ORDERS, bad);
        let problems = sidemint::config::from_text(&text, &stage.setup.variables(&stage.vendor)).expect_err(bad);
        assert!(problems.iter().any(|problem| problem.key == "embeds.orders.dashboard_id"), "{bad}: {problems:?}");
    }
}

#[tokio::test]
async fn malformed_requests_have_their_statuses() {
    let stage = Setup::default().server("max_body: 1KiB").start().await.warmed().await;
    let path = "/v1/embeds/sales/token";
    let json_type = [("sidemint-request", "true"), ("content-type", "application/json")];
    is_problem(&stage.send("POST", path, &json_type, "{").await, 400, "malformed_request");
    is_problem(&stage.send("POST", path, &json_type, "x".repeat(1025)).await, 413, "body_too_large");
    let text_type = [("sidemint-request", "true"), ("content-type", "text/plain")];
    is_problem(&stage.send("POST", path, &text_type, "{}").await, 415, "unsupported_media_type");
    is_problem(&stage.send("POST", path, &json_type[..1], "{}").await, 415, "unsupported_media_type");
    let wrong = stage.send("DELETE", path, &json_type[..1], "").await;
    is_problem(&wrong, 405, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("GET, POST"));
    is_problem(
        &stage.send("GET", "/v1/embeds/sales/token?viewer_id=%ff", &json_type[..1], "").await,
        400,
        "malformed_request",
    );
    is_problem(
        &stage.send("GET", "/v1/embeds/sales/token?viewer_id=a&viewer_value=b", &json_type[..1], "").await,
        422,
        "invalid_parameters",
    );
    is_problem(&stage.send("POST", path, &json_type[1..], "{}").await, 403, "missing_request_header");
    assert_eq!(stage.operations(), Vec::<&str>::new());
    for (code, times) in [("body_too_large", 1.0), ("unsupported_media_type", 2.0), ("missing_request_header", 1.0)] {
        let series = format!(r#"sidemint_refused_requests_total{{code="{code}"}}"#);
        assert_eq!(stage.metric(&series).await, Some(times), "{code}");
    }
}
