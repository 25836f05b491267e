//! The forms in which a token is asked for and answered.

use serde_json::json;

use crate::support::{DASHBOARD, Setup, Stage, claim};

const OWN: (&str, &str) = ("sidemint-request", "true");

#[tokio::test]
async fn a_reply_has_all_that_a_page_needs() {
    let stage = Stage::warm().await;
    let reply = stage.load("v-1", "emea").await;
    reply.token();
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let timing = reply.header("server-timing").expect("Server-Timing").to_owned();
    assert!(timing.starts_with("cache;desc=miss, limiter;dur=") && timing.contains(", mint;dur="), "{timing}");
    let body = reply.json();
    assert_eq!(body["token_type"], "Bearer");
    let (left, refresh) = (reply.expires_in(), body["refresh_in"].as_i64().expect("refresh_in"));
    assert!((3590..=3600).contains(&left) && (left - 601..=left - 599).contains(&refresh), "{body}");
    let expires_at: jiff::Timestamp = body["expires_at"].as_str().expect("expires_at").parse().expect("RFC 3339");
    let distance = expires_at.as_second() - jiff::Timestamp::now().as_second() - left;
    assert!((-2..=2).contains(&distance), "{body}");
    let embed = json!({
        "kind": "databricks",
        "instance_url": stage.vendor.url(),
        "workspace_id": stage.vendor.databricks().workspace_id,
        "dashboard_id": DASHBOARD,
    });
    assert_eq!(body["embed"], embed);
}

#[tokio::test]
async fn the_cheap_form_is_the_same_answer() {
    let stage = Stage::warm().await;
    let posted = stage.renew("u/1 ü", "a b&c=é+%").await;
    stage.vendor.clear_journal();
    let path = "/v1/embeds/sales/token?viewer_id=u%2F1+%C3%BC&purpose=renew";
    let got = stage.send("GET", path, &[OWN, ("sidemint-viewer-value", "a%20b%26c%3D%C3%A9%2B%25")], "").await;
    assert_eq!((got.token(), got.cache().as_str()), (posted.token(), "hit"));
    let (mut one, mut other) = (posted.json(), got.json());
    for life in ["expires_in", "refresh_in"] {
        one[life] = json!(0);
        other[life] = json!(0);
    }
    assert_eq!(one, other);
    assert_eq!(stage.operations(), Vec::<&str>::new());
    // Without the header it is the viewer without a value, which is another one than with an empty value.
    let bare = stage.send("GET", "/v1/embeds/sales/token?viewer_id=u-2&purpose=renew", &[OWN], "").await;
    let empty = stage.send(
        "GET",
        "/v1/embeds/sales/token?viewer_id=u-2&purpose=renew",
        &[OWN, ("sidemint-viewer-value", "")],
        "",
    );
    assert_ne!(bare.token(), empty.await.token());
    let posted = stage.post("sales", &json!({"viewer": {"id": "u-2"}, "purpose": "renew"})).await;
    assert_eq!(posted.token(), bare.token());
}

#[tokio::test]
async fn text_plain_is_the_bare_token() {
    let stage = Stage::warm().await;
    let path = "/v1/embeds/sales/token?viewer_id=v-1&purpose=renew";
    let plain = stage.send("GET", path, &[OWN, ("accept", "text/plain")], "").await;
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(plain.header("cache-control"), Some("no-store"));
    assert_eq!(claim(&plain.text()), format!("urn:aibi:external_data::v-1:{DASHBOARD}"));
    // What an HTTP library sends by itself does not mean the bare token.
    let json = stage.send("GET", path, &[OWN, ("accept", "application/json, text/plain, */*")], "").await;
    assert_eq!(json.token(), plain.text());
    // A refusal is a problem for everybody.
    let refused = stage.send("GET", "/v1/embeds/nowhere/token?viewer_id=v", &[OWN, ("accept", "text/plain")], "").await;
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn browsers_of_allowed_origins_may_call() {
    let stage = Setup::default().server("allowed_origins: ['https://app.example.com']").start().await.warmed().await;
    let path = "/v1/embeds/sales/token?viewer_id=v-1&purpose=renew";
    let ours = ("origin", "https://app.example.com");
    let asked =
        [ours, ("access-control-request-method", "POST"), ("access-control-request-headers", "sidemint-request")];
    let preflight = stage.send("OPTIONS", "/v1/embeds/sales/token", &asked, "").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example.com"));
    let allowed = preflight.header("access-control-allow-headers").expect("headers are allowed").to_lowercase();
    assert!(allowed.contains("sidemint-request") && allowed.contains("content-type"), "{allowed}");
    assert!(preflight.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    let reply = stage.send("GET", path, &[OWN, ours, ("sec-fetch-site", "cross-site")], "").await;
    reply.token();
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(reply.header("vary"), Some("Origin"));
    // A refusal can be read by the page too.
    let refused = stage.send("GET", "/v1/embeds/nowhere/token", &[OWN, ours], "").await;
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example.com"));
    stage.vendor.clear_journal();
    for origin in ["https://evil.example.com", "null", "https://app.example.com.evil.org", "http://app.example.com"] {
        for method in ["OPTIONS", "GET"] {
            let reply = stage.send(method, "/v1/embeds/sales/token?viewer_id=x", &[OWN, ("origin", origin)], "").await;
            assert_eq!(reply.refusal(), (403, "forbidden_origin".to_owned()), "{origin}");
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn ranks_22_and_23_whoever_comes_from_elsewhere_is_refused() {
    let stage = Stage::warm().await;
    for (name, value, code) in [
        ("host", "evil.example.com", "forbidden_host"),
        ("sec-fetch-site", "cross-site", "forbidden_origin"),
        ("sec-fetch-site", "same-site", "forbidden_origin"),
        ("origin", "null", "forbidden_origin"),
        ("forwarded", "for=1.2.3.4", "forwarded_request"),
        ("x-forwarded-for", "1.2.3.4", "forwarded_request"),
        ("x_forwarded_for", "1.2.3.4", "forwarded_request"),
        ("sidemint_request", "true", "missing_request_header"),
    ] {
        let reply = stage.send("GET", "/v1/embeds/sales/token?viewer_id=v-1", &[OWN, (name, value)], "").await;
        assert_eq!(reply.refusal(), (403, code.to_owned()), "{name}: {value}");
    }
    for value in ["false", "True", "true "] {
        let reply = stage.send("GET", "/v1/embeds/sales/token?viewer_id=v-1", &[("sidemint-request", value)], "").await;
        if value != "true " {
            assert_eq!(reply.refusal(), (403, "missing_request_header".to_owned()), "{value}");
        }
    }
    // The one with white space around it is the same value (RFC 9110 section 5.5), so it alone got through.
    assert_eq!(stage.counts(), (0, 1, 1));
}

#[tokio::test]
async fn rank_24_a_caller_secret_must_be_the_very_one() {
    let (path, _folder) = crate::support::file_with("caller-canary\n");
    let server = format!("caller_token_file: {}", path.display());
    let stage = Setup::default().server(&server).start().await.warmed().await;
    let ask =
        async |headers: &[(&str, &str)]| stage.send("GET", "/v1/embeds/sales/token?viewer_id=v", headers, "").await;
    let mut bodies = std::collections::BTreeSet::new();
    for wrong in ["", "true", "caller-canar", "caller-canaryy", "CALLER-CANARY"] {
        let reply = ask(&[("sidemint-request", wrong)]).await;
        assert_eq!(reply.refusal(), (401, "caller_unauthenticated".to_owned()), "{wrong}");
        let mut body = reply.json();
        body["request_id"] = json!("");
        bodies.insert(body.to_string());
    }
    let twice = ask(&[("sidemint-request", "caller-canary"), ("sidemint-request", "caller-canary")]).await;
    assert_eq!(twice.status, 401);
    assert_eq!(ask(&[]).await.status, 401);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(!bodies.iter().any(|body| body.contains("canary")));
    assert_eq!(stage.operations(), Vec::<&str>::new());
    ask(&[("sidemint-request", "caller-canary")]).await.token();
}

#[tokio::test]
async fn the_description_is_served() {
    let stage = Stage::new().await;
    let reply = stage.send("GET", "/openapi.json", &[OWN], "").await;
    assert_eq!(reply.status, 200);
    assert!(reply.json()["paths"]["/v1/embeds/{embed}/token"].is_object());
}
