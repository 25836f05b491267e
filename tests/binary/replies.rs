//! Threat 36: no reply of either port may be kept on the way, and none sends anybody elsewhere with a token. The headers are
//! looked for in every reply of this suite where it is read (`support::http`); here each endpoint is asked once in every
//! way, so that none is left out.

use crate::support::http::send;
use crate::support::process::LOUDEST;
use crate::support::sidecar::{JSON, PROOF, TOKEN, VALUE};
use crate::support::{Settings, Sidecar, Vendor};

type Ask<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);

fn sidecar(vendor: &Vendor) -> Sidecar {
    let more = format!("routes:\n  app: {{upstream: acme, target: '{}', allow: ['GET /api/**']}}\n", vendor.app_url());
    let upstream = "metadata_service: true\nservice_token_endpoint: true".to_owned();
    let server = "allowed_origins: ['https://app.example']";
    let variables = vec![("SIDEMINT_LOG", LOUDEST.to_owned())];
    Sidecar::with(vendor, &Settings { more, upstream, server, variables, ..Settings::default() }).ready()
}

#[test]
fn t36_every_reply_of_the_token_port_is_kept_by_nobody() {
    let vendor = Vendor::start();
    let sidecar = sidecar(&vendor);
    let host = vendor.url();
    let viewer = format!(r#"{{"viewer": {{"id": "u-4745-viewer", "value": "{VALUE}"}}, "purpose": "renew"}}"#);
    let get = format!("{TOKEN}?viewer_id=u-4745-viewer&purpose=renew");
    let metadata = [("X-Databricks-Metadata-Version", "1"), ("X-Databricks-Host", &host)];
    let origin = ("Origin", "https://app.example");
    let service = "/v1/upstreams/acme/token";
    let asks: &[Ask<'_>] = &[
        ("POST", TOKEN, &[PROOF, JSON], &viewer, 200),
        ("POST", TOKEN, &[PROOF, JSON, ("Accept", "text/plain")], &viewer, 200),
        ("POST", TOKEN, &[PROOF, JSON, origin], &viewer, 200),
        ("GET", &get, &[PROOF, ("Sidemint-Viewer-Value", VALUE)], "", 200),
        ("POST", service, &[PROOF, JSON], "{}", 200),
        ("GET", "/v1/upstreams/acme/databricks-metadata", &metadata, "", 200),
        ("GET", "/openapi.json", &[PROOF], "", 200),
        ("POST", TOKEN, &[PROOF, JSON], "{", 400),
        ("POST", TOKEN, &[JSON], &viewer, 403),
        ("POST", TOKEN, &[PROOF, JSON, ("Host", "evil.example")], &viewer, 403),
        ("POST", TOKEN, &[PROOF, JSON, ("Origin", "https://evil.example")], &viewer, 403),
        ("POST", TOKEN, &[PROOF, JSON, ("Forwarded", "for=x")], &viewer, 403),
        ("POST", "/v1/embeds/nothing/token", &[PROOF, JSON], &viewer, 404),
        ("POST", "/v1/upstreams/nothing/token", &[PROOF, JSON], "{}", 404),
        ("GET", "/nowhere", &[PROOF], "", 404),
        ("DELETE", TOKEN, &[PROOF], "", 405),
        ("POST", TOKEN, &[PROOF, JSON], &viewer.replace("viewer\": {", &format!("{}\": {{", "x".repeat(70_000))), 413),
        ("POST", TOKEN, &[PROOF, ("Content-Type", "text/html")], &viewer, 415),
        ("POST", TOKEN, &[PROOF, JSON], &viewer.replace("u-4745", "u:4745"), 422),
        ("GET", &get.replace("renew", "other"), &[PROOF], "", 422),
        ("GET", "/proxy/app/nowhere", &[PROOF], "", 403),
        ("GET", "/proxy/nothing/api/x", &[PROOF], "", 404),
        ("GET", "/proxy/app/api/../x", &[PROOF], "", 400),
    ];
    for (method, target, headers, body, status) in asks {
        let reply = send(sidecar.listen, method, target, headers, body);
        assert_eq!(reply.status, *status, "{method} {target} {headers:?}: {}", reply.text());
        assert_eq!(reply.header("location"), None, "{method} {target}");
    }
}

#[test]
fn t36_so_is_every_reply_of_a_vendors_fault() {
    let vendor = Vendor::start();
    let settings = Settings { upstream: "retry: {attempts: 1}".to_owned(), ..Settings::default() };
    let sidecar = Sidecar::with(&vendor, &settings).ready();
    for (number, status) in [302, 400, 401, 403, 404, 429, 500, 503].into_iter().enumerate() {
        let location = (status == 302).then(|| "https://login.example/eyJhbGciOiJSUzI1NiJ9.e30.c2ln".to_owned());
        vendor.inject(sidemint::emulator::Fault { location, ..sidemint::emulator::Fault::status("mint", status) });
        let reply = sidecar.renew(&format!("u-4746-{number}"));
        assert!((500..=504).contains(&reply.status), "{status}: {}", reply.text());
        assert_eq!(reply.header("location"), None, "{status}");
        vendor.clear_faults();
    }
}

#[test]
fn t36_every_reply_of_the_admin_port_is_kept_by_nobody() {
    let vendor = Vendor::start();
    let sidecar = sidecar(&vendor);
    let asks: &[Ask<'_>] = &[
        ("GET", "/livez", &[], "", 200),
        ("GET", "/readyz", &[], "", 200),
        ("GET", "/startupz", &[], "", 200),
        ("GET", "/metrics", &[], "", 200),
        ("GET", "/status", &[("Accept", "text/html")], "", 200),
        ("GET", "/status", &[("Accept", "application/json")], "", 200),
        ("POST", "/quitquitquit", &[], "", 404),
        ("POST", "/status", &[], "", 405),
        ("GET", "/nowhere", &[], "", 404),
        ("GET", "/status", &[("Origin", "https://evil.example")], "", 403),
    ];
    for (method, target, headers, body, status) in asks {
        let reply = send(sidecar.admin, method, target, headers, body);
        assert_eq!(reply.status, *status, "{method} {target} {headers:?}: {}", reply.text());
        assert_eq!(reply.header("location"), None, "{method} {target}");
    }
}
