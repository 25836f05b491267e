//! What a page may not ask for: everything that the config or the app has to say.

use serde_json::{Value, json};
use sidemint::emulator::DatabricksSettings;

use super::page_client::{JSON, PATH, PROOF, ask, ask_for, honest, percent, posted, query};
use super::scene::{BoldBi, VIEWER, calls, dashboard, told};
use crate::support::{DASHBOARD, Stage};

const SERVER: &str = "http://bi.example.com/bi/api/site/site1";

async fn refused(stage: &Stage, body: &Value) {
    let reply = ask(stage, &body.to_string()).await;
    told(&reply, 422, "invalid_parameters", "");
    assert!(!reply.text().contains("evil"), "{}", reply.text());
}

#[tokio::test]
async fn row_b13_members_that_are_the_sidecars_to_set_are_refused() {
    for scene in [BoldBi::default(), BoldBi::signed()] {
        let stage = scene.start().await;
        for member in [
            "embed_user_email=evil@example.com",
            "embed_custom_attribute=[{\"region\":\"evil\"}]",
            "embed_datasource_filter=[{&&region=evil}]",
            "embed_signature=evil",
            "embed_server_timestamp=1",
            "embed_group_access=true",
            "embed_auth_provider=evil",
            "embed_user_id=evil",
            "embed_user_import=true",
            "embed_anonymous_token=true",
            "embed_authorize_group=evil",
            "embed_dashboard_id=evil",
            "embed_dashboard_ids=evil",
            "embed_dashboard_path=/evil/evil",
            "embed_dashboard_paths=/evil/evil",
            "embed_dashboardview_id=evil",
            "embed_dashboardview_name=evil",
            "embed_widget_id=evil",
            "embed_datasource_id=evil",
            "embed_anything_new=evil",
            "pinboard_name=evil",
            "isMultiTab=true",
            "homepageid=1",
            // In other spellings, as the browser's encoding or a server's mildness may have them.
            "EMBED_USER_EMAIL=evil",
            "%65mbed_user_email=evil",
            "embed%5Fuser%5Femail=evil",
            " embed_user_email=evil",
            "%20embed_user_email%20=evil",
            "Pinboard_Name=evil",
        ] {
            for more in [format!("&{member}"), format!("&&{member}&")] {
                refused(&stage, &posted(&query(&dashboard(), &more), SERVER)).await;
            }
            // Alone, and in either of the two members.
            refused(&stage, &json!({"embedQuerString": member, "embedQueryString": ""})).await;
            refused(&stage, &json!({"embedQuerString": "", "embedQueryString": member})).await;
        }
        refused(&stage, &posted(&query("01f12716-0000-0000-0000-000000000000", ""), SERVER)).await;
        refused(&stage, &posted(&query(&format!("{},evil", dashboard()), ""), SERVER)).await;
        assert_eq!(calls(&stage), 0);
        assert_eq!(stage.outcomes("error").await, 0.0);
    }
}

#[tokio::test]
async fn row_b13_a_body_that_no_page_client_writes_is_refused() {
    let stage = BoldBi::default().start().await;
    let text = query(&dashboard(), "");
    for body in [
        json!({}),
        json!([]),
        json!("embed_nonce=1"),
        json!({"embedQuerString": 5}),
        json!({"embedQuerString": null}),
        json!({"embedquerstring": text}),
        json!({"dashboardServerApiUrl": SERVER}),
        json!({"embedQuerString": text, "embedQueryString": {}}),
        json!({"embedQuerString": text, "viewer": {"id": "evil@example.com"}}),
        json!({"embedQuerString": text, "viewer": "evil@example.com"}),
    ] {
        refused(&stage, &body).await;
    }
    told(&ask(&stage, r#"{"embedQuerString": "", "embedQuerString": ""}"#).await, 422, "invalid_parameters", "");
    for no_json in ["", "embedQuerString=x", "{\"embedQuerString\": ", "{\"embedQuerString\": \"\"} x"] {
        let (status, code) = ask(&stage, no_json).await.refusal();
        assert!([400, 415].contains(&status), "{no_json}: {status} {code}");
    }
    let long = posted(&query(&dashboard(), &format!("&x={}", "y".repeat(70_000))), SERVER).to_string();
    assert_eq!(ask(&stage, &long).await.refusal(), (413, "body_too_large".to_owned()));
    assert_eq!(calls(&stage), 0);
}

/// By whom the page is looked at is the app's to say, once.
#[tokio::test]
async fn row_b13_the_viewer_is_named_beside_the_body_exactly_once() {
    let stage = BoldBi::default().start().await;
    let whole = percent(&json!({"id": VIEWER, "value": "emea"}).to_string());
    let by_id = format!("{PATH}?viewer_id={}", percent(VIEWER));
    let in_url = format!("{by_id}&viewer_value=emea");
    let value = ("sidemint-viewer-value", "emea");
    let viewer = ("sidemint-viewer", whole.as_str());
    for (target, headers) in [
        (PATH, &[][..]),
        (PATH, &[value]),
        (by_id.as_str(), &[viewer]),
        (by_id.as_str(), &[viewer, value]),
        (PATH, &[viewer, value]),
        (PATH, &[viewer, viewer]),
        (PATH, &[("sidemint_viewer", whole.as_str())]),
        (PATH, &[("sidemint-viewer-id", VIEWER), value]),
        (PATH, &[("sidemint-viewer", "")]),
        (PATH, &[("sidemint-viewer", "null")]),
        (PATH, &[("sidemint-viewer", r#"{"id": "u", "extra": 1}"#)]),
        (PATH, &[("sidemint-viewer", r#"{"id": "u"} {"id": "v"}"#)]),
        (PATH, &[("sidemint-viewer", r#"{"id": "u", "id": "v"}"#)]),
        (in_url.as_str(), &[]),
        ("/v1/embeds/sales/boldbi-authorize?viewer_id=a&viewer_id=b", &[value]),
        ("/v1/embeds/sales/boldbi-authorize?viewer_id=a&embed=b", &[value]),
    ] {
        let all: Vec<_> = [PROOF, JSON].into_iter().chain(headers.iter().copied()).collect();
        let reply = stage.send("POST", target, &all, honest()).await;
        told(&reply, 422, "invalid_parameters", "");
    }
    for viewer in [json!({"id": ""}), json!({"id": VIEWER}), json!({"id": "a\u{202e}b", "value": "emea"})] {
        assert_eq!(ask_for(&stage, &viewer).await.refusal(), (422, "invalid_viewer".to_owned()), "{viewer}");
    }
    let broken = stage.send("POST", PATH, &[PROOF, JSON, ("sidemint-viewer", "%zz")], honest()).await;
    assert_eq!(broken.refusal(), (400, "malformed_request".to_owned()));
    assert_eq!(calls(&stage), 0);
}

/// The header that this endpoint has is out of place at the other one.
#[tokio::test]
async fn row_b13_the_other_endpoint_takes_no_viewer_from_a_header() {
    let stage = BoldBi::default().start().await;
    let whole = percent(&json!({"id": VIEWER, "value": "emea"}).to_string());
    let token = "/v1/embeds/sales/token";
    let headers = [PROOF, JSON, ("sidemint-viewer", whole.as_str())];
    let body = json!({"viewer": {"id": VIEWER, "value": "emea"}}).to_string();
    assert_eq!(stage.send("POST", token, &headers, body).await.refusal(), (422, "invalid_parameters".to_owned()));
    let get = [PROOF, ("sidemint-viewer", whole.as_str())];
    assert_eq!(stage.send("GET", token, &get, "").await.refusal(), (422, "invalid_parameters".to_owned()));
    assert_eq!(calls(&stage), 0);
}

async fn refusal(stage: &Stage, method: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let target = format!("{PATH}?viewer_id={}", percent(VIEWER));
    let value = ("sidemint-viewer-value", "emea");
    let all: Vec<_> = headers.iter().copied().chain([value]).collect();
    let body = if method == "GET" { String::new() } else { honest() };
    stage.send(method, &target, &all, body).await.refusal()
}

#[tokio::test]
async fn row_b12_the_local_defence_is_that_of_every_endpoint() {
    let stage = BoldBi::default().start().await;
    for (method, headers, status, code) in [
        ("POST", &[JSON][..], 403, "missing_request_header"),
        ("POST", &[("sidemint-request", "1"), JSON], 403, "missing_request_header"),
        ("POST", &[PROOF, JSON, ("origin", "https://evil.example")], 403, "forbidden_origin"),
        ("POST", &[PROOF, JSON, ("origin", "null")], 403, "forbidden_origin"),
        ("POST", &[PROOF, JSON, ("sec-fetch-site", "cross-site")], 403, "forbidden_origin"),
        ("POST", &[PROOF, JSON, ("host", "evil.example")], 403, "forbidden_host"),
        ("POST", &[PROOF, JSON, ("x-forwarded-for", "1.2.3.4")], 403, "forwarded_request"),
        ("POST", &[PROOF, ("content-type", "text/plain")], 415, "unsupported_media_type"),
        ("POST", &[PROOF, ("content-type", "application/x-www-form-urlencoded")], 415, "unsupported_media_type"),
        ("POST", &[PROOF], 415, "unsupported_media_type"),
        ("GET", &[PROOF], 405, "method_not_allowed"),
        ("PUT", &[PROOF, JSON], 405, "method_not_allowed"),
        ("DELETE", &[PROOF, JSON], 405, "method_not_allowed"),
    ] {
        assert_eq!(refusal(&stage, method, headers).await, (status, code.to_owned()), "{method} {headers:?}");
    }
    assert_eq!(calls(&stage), 0);
}

#[tokio::test]
async fn row_b12_embeds_of_other_vendors_have_no_such_endpoint() {
    let scene = BoldBi::default();
    let vendor = scene.vendor().await;
    let DatabricksSettings { workspace_id, client_id, .. } = vendor.databricks().clone();
    let lake = format!(
        "upstreams:\n  lake: {{kind: databricks, host: '{}', workspace_id: '{workspace_id}', \
         auth: {{client_id: {client_id}, client_secret_env: SECRET}}}}\n",
        vendor.url()
    );
    let text = scene.yaml(&vendor).replace("upstreams:\n", &lake);
    let text = format!("{text}  orders: {{upstream: lake, dashboard_id: {DASHBOARD}}}\n");
    let stage = scene.with_text(vendor, &text).await;
    for (embed, code) in [("orders", "not_found"), ("nothing", "unknown_embed")] {
        let target = format!("/v1/embeds/{embed}/boldbi-authorize?viewer_id=u-1");
        let reply = stage.send("POST", &target, &[PROOF, JSON], honest()).await;
        assert_eq!(reply.refusal(), (404, code.to_owned()), "{}", reply.text());
    }
    assert!(!stage.operations().contains(&"mint") && !stage.operations().contains(&"boldbi_authorize"));
}

const APP: (&str, &str) = ("origin", "https://app.example.com");

/// A page of an allowed origin may post by itself, and name the viewer whom its app has told it.
#[tokio::test]
async fn row_b12_a_preflight_of_an_allowed_origin_names_the_headers() {
    let stage = BoldBi::default().server("allowed_origins: ['https://app.example.com']").start().await;
    let asks = [
        APP,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,sidemint-request,sidemint-viewer"),
    ];
    let reply = stage.send("OPTIONS", PATH, &asks, "").await;
    assert_eq!((reply.status.as_u16(), reply.header("access-control-allow-origin")), (204, Some(APP.1)));
    let allowed = reply.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    let allowed: Vec<&str> = allowed.split(',').map(str::trim).collect();
    for header in ["content-type", "sidemint-request", "sidemint-viewer", "sidemint-viewer-value"] {
        assert!(allowed.contains(&header), "{header} in {allowed:?}");
    }
    assert!(reply.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    let whole = percent(&json!({"id": VIEWER, "value": "emea"}).to_string());
    let post = stage.send("POST", PATH, &[APP, PROOF, JSON, ("sidemint-viewer", &whole)], honest()).await;
    assert_eq!(
        (post.status.as_u16(), post.header("access-control-allow-origin")),
        (200, Some(APP.1)),
        "{}",
        post.text()
    );
    let evil = [("origin", "https://evil.example"), asks[1], asks[2]];
    assert_eq!(stage.send("OPTIONS", PATH, &evil, "").await.refusal(), (403, "forbidden_origin".to_owned()));
    assert_eq!(calls(&stage), 1);
}
