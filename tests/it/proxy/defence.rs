//! The local defence on routes (section 6 of the contract): refused before any work, unless the route opens itself.

use super::scene::{PROOF, Route, ask, head};
use super::target::Target;
use crate::support::{Setup, file_with};

const NONE: &[(&str, &str)] = &[];

fn also_open() -> Route {
    Route::default().also("open", "allow: ['GET /api/**'], require_header: false")
}

#[tokio::test]
async fn rank_23_callers_show_what_the_server_asks_for() {
    let target = Target::ok().await;
    let stage = also_open().to(&target.url).await;
    for headers in [NONE, &[("sidemint-request", "1")], &[("sidemint-request", "true"), ("sidemint_request", "true")]] {
        let reply = stage.send("GET", "/proxy/app/api/x", headers, "").await;
        assert_eq!(reply.refusal(), (403, "missing_request_header".to_owned()), "{headers:?}");
    }
    assert_eq!(target.connections(), 0);
    assert_eq!(stage.send("GET", "/proxy/app/api/x", &[PROOF], "").await.status, 200);
    assert_eq!(stage.send("GET", "/proxy/open/api/x", NONE, "").await.status, 200);
    assert_eq!(stage.send("GET", "/proxy/open/api/x", &[PROOF], "").await.status, 200);
    assert_eq!(target.arrived().len(), 3);
    // What one route opens is open for that one alone.
    for path in ["/proxy/other/api/x", "/proxy/openx/api/x", "/proxy/open", "/openapi.json", "/proxy/open%2f/api/x"] {
        let reply = stage.send("GET", path, NONE, "").await;
        assert_eq!(reply.refusal(), (403, "missing_request_header".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn rank_23_or_the_callers_secret() {
    let target = Target::ok().await;
    let (path, _folder) = file_with("a-secret-of-callers");
    let server = format!("caller_token_file: {}", path.display());
    let stage = also_open().server(&server).to(&target.url).await;
    for headers in [NONE, &[PROOF], &[("sidemint-request", "another")]] {
        let reply = stage.send("GET", "/proxy/app/api/x", headers, "").await;
        assert_eq!(reply.refusal(), (401, "caller_unauthenticated".to_owned()), "{headers:?}");
    }
    assert_eq!(target.connections(), 0);
    let secret = ("sidemint-request", "a-secret-of-callers");
    assert_eq!(stage.send("GET", "/proxy/app/api/x", &[secret], "").await.status, 200);
    assert_eq!(stage.send("GET", "/proxy/open/api/x", NONE, "").await.status, 200);
    let text = format!("{:?}", target.arrived());
    assert!(!text.contains("a-secret-of-callers"), "the secret is for us alone");
}

/// An open route is open to programs, not to pages of other sites, to rebound names or to forwarding proxies.
#[tokio::test]
async fn rank_22_the_rest_holds_for_open_routes_too() {
    let target = Target::ok().await;
    let stage = also_open().to(&target.url).await;
    for route in ["app", "open"] {
        for (header, code) in [
            (("host", "evil.example"), "forbidden_host"),
            (("origin", "https://evil.example"), "forbidden_origin"),
            (("origin", "null"), "forbidden_origin"),
            (("sec-fetch-site", "cross-site"), "forbidden_origin"),
            (("sec_fetch_site", "same-site"), "forbidden_origin"),
            (("x-forwarded-for", "1.2.3.4"), "forwarded_request"),
            (("x_forwarded_user", "admin"), "forwarded_request"),
            (("forwarded", "for=1.2.3.4"), "forwarded_request"),
            (("via", "1.1 front"), "forwarded_request"),
        ] {
            let reply = stage.send("GET", &format!("/proxy/{route}/api/x"), &[PROOF, header], "").await;
            assert_eq!(reply.refusal(), (403, code.to_owned()), "{route} {header:?}");
        }
    }
    assert_eq!(target.connections(), 0);
    let reply = stage.send("GET", "/proxy/app/api/x", &[PROOF, ("sec-fetch-site", "same-origin")], "").await;
    assert_eq!(reply.status, 200);
}

/// A page of an allowed origin may ask, and read the answer; its preflight is answered here.
#[tokio::test]
async fn browsers_that_may_call_may_read_the_answer() {
    let target = Target::ok().await;
    let stage = Route::default().server("allowed_origins: ['https://ok.example']").to(&target.url).await;
    let origin = ("origin", "https://ok.example");
    let ask = ("access-control-request-method", "POST");
    let reply = stage.send("OPTIONS", "/proxy/app/api/x", &[origin, ask], "").await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://ok.example"));
    assert_eq!(target.connections(), 0);
    for (path, status) in [("/proxy/app/api/x", 200), ("/proxy/app/admin", 403)] {
        let reply = stage.send("GET", path, &[PROOF, origin], "").await;
        let allowed = reply.header("access-control-allow-origin");
        assert_eq!((reply.status.as_u16(), allowed), (status, Some("https://ok.example")), "{path}");
    }
    assert_eq!(target.only().head.get("origin"), None);
}

#[tokio::test]
async fn without_routes_there_is_none() {
    let stage = Setup::default().start().await;
    let reply = stage.send("GET", "/proxy/app/api/x", &[PROOF], "").await;
    assert_eq!(reply.refusal(), (404, "unknown_route".to_owned()));
}

#[tokio::test]
async fn without_rules_nothing_passes() {
    let target = Target::ok().await;
    let stage = Route::default().allow("").to(&target.url).await;
    for line in ["GET /", "GET /api/x", "POST /api/x", "OPTIONS /"] {
        let answer = ask(&stage, &head(&stage, line, "")).await.expect("an answer");
        assert_eq!(answer.refusal(), (403, "route_denied".to_owned()), "{line}");
    }
    assert_eq!(target.connections(), 0);
}

/// Row 48: of an app, nothing but what the config names.
#[tokio::test]
async fn row_48_a_path_outside_the_rules_is_refused() {
    let stage = Route::default().before_app().await;
    for path in ["/", "/index.html", "/.auth/callback", "/oidc/oauth2/v2.0/authorize"] {
        let reply = stage.send("GET", &format!("/proxy/app{path}"), &[PROOF], "").await;
        assert_eq!(reply.refusal(), (403, "route_denied".to_owned()), "{path}");
        assert!(reply.detail().contains("routes.app.allow"), "{}", reply.detail());
    }
    assert_eq!(super::scene::at_app(&stage).len(), 0);
}

/// A browser can be led to a route that asks for nothing. What it is shown there would be of one origin with the token API.
#[tokio::test]
async fn what_an_open_route_shows_is_of_no_origin() {
    let target = Target::ok().await;
    let stage = also_open().to(&target.url).await;
    let open = stage.send("GET", "/proxy/open/api/x", NONE, "").await;
    assert_eq!(open.header("content-security-policy"), Some("sandbox"));
    assert_eq!(open.header("x-content-type-options"), Some("nosniff"));
    let other = stage.send("GET", "/proxy/app/api/x", &[PROOF], "").await;
    assert_eq!((other.status.as_u16(), other.header("content-security-policy")), (200, None));
}

#[tokio::test]
async fn a_preflight_is_told_what_the_route_lets_through() {
    let target = Target::ok().await;
    let route = Route::default().allow("GET /api/**, PATCH /api/**").server("allowed_origins: ['https://app.example']");
    let stage = route.to(&target.url).await;
    let wanted = ("access-control-request-headers", "content-type, x-viewer, cookie, x-forwarded-user");
    let reply = stage.send("OPTIONS", "/proxy/app/api/x", &[("origin", "https://app.example"), wanted], "").await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, PATCH"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("sidemint-request, content-type, x-viewer"));
    assert_eq!(target.connections(), 0);
}

/// `reliability-security.md` T26: bytes beyond ASCII are read in several ways. What stays behind may have them.
#[tokio::test]
async fn threat_26_bytes_beyond_ascii_do_not_go_on() {
    let target = Target::ok().await;
    let stage = Route::default().to(&target.url).await;
    let refused = ask(&stage, &head(&stage, "GET /api/x", "X-Viewer: \u{e9}\r\n")).await.expect("an answer");
    assert_eq!(refused.refusal(), (400, "malformed_request".to_owned()));
    assert_eq!(target.connections(), 0);
    let passed = ask(&stage, &head(&stage, "GET /api/x", "Cookie: \u{e9}\r\n")).await.expect("an answer");
    assert_eq!(passed.status(), 200);
}
