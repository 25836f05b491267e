//! The metadata service: what the vendor's SDKs are given, and who is given nothing.

use sidemint::emulator::Fault;

use crate::support::{Reply, Setup, Stage, claims, emulator, file_with, joined, ms, until};

const PATH: &str = "/v1/upstreams/acme/databricks-metadata";
const VERSION: (&str, &str) = ("x-databricks-metadata-version", "1");
const HOST: &str = "x-databricks-host";

fn opened() -> Setup {
    Setup::default().upstream("metadata_service: true")
}

async fn warm() -> Stage {
    opened().start().await.warmed().await
}

/// What an SDK asks, with these headers besides.
async fn ask(stage: &Stage, more: &[(&str, &str)]) -> Reply {
    let host = stage.vendor.url();
    let headers: Vec<_> = [VERSION, (HOST, &host)].into_iter().chain(more.iter().copied()).collect();
    stage.send("GET", PATH, &headers, "").await
}

/// No token in it, and nothing that an SDK would take for one.
#[track_caller]
fn refused(what: &str, reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{what}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{what}");
    assert!(!reply.text().contains("eyJ") && reply.json().get("access_token").is_none(), "{what}: {}", reply.text());
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[tokio::test]
async fn row_57_an_sdk_is_given_the_service_token_in_hand() {
    let stage = warm().await;
    let reply = ask(&stage, &[]).await;
    let token = reply.token();
    let body = reply.json();
    let mut fields: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["access_token", "expires_on", "token_type"]);
    assert_eq!(body["token_type"], "Bearer");
    let expires_on = body["expires_on"].as_i64().expect("a number, which Python insists on");
    let life = expires_on - now();
    assert!(life > 120 && life <= 3600, "{life}");
    let claims = claims(&token);
    assert!(claims["exp"].as_i64().is_some_and(|exp| expires_on <= exp), "no more is promised than the token has");
    assert_eq!(claims["sub"], stage.vendor.databricks().client_id.as_str());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(ask(&stage, &[]).await.token(), token, "one identity for each path");
    assert_eq!(stage.operations(), Vec::<&str>::new());
    let bearer = format!("Bearer {token}");
    let me = stage.client.get(stage.vendor.addr(), "/api/2.0/preview/scim/v2/Me", &[("authorization", &bearer)]).await;
    assert_eq!(me.status, 200, "{}", me.text());
}

/// Each SDK sends DATABRICKS_HOST in a form of its own; the emulator's is `http://127.0.0.1:<port>`.
#[tokio::test]
async fn row_57_the_host_is_taken_in_the_forms_that_sdks_send() {
    let stage = warm().await;
    let url = stage.vendor.url();
    for host in [url.clone(), format!("{url}/"), url.to_uppercase()] {
        let reply = stage.send("GET", PATH, &[VERSION, (HOST, &host)], "").await;
        assert_eq!(reply.status, 200, "{host}: {}", reply.text());
    }
    let shouted = [("X-DATABRICKS-METADATA-VERSION", "1"), ("X-Databricks-Host", &url)];
    stage.send("GET", PATH, &shouted, "").await.token();
    // As with the local defence, an underscore counts as a hyphen.
    let underscores = [("x_databricks_metadata_version", "1"), ("x_databricks_host", &url)];
    stage.send("GET", PATH, &underscores, "").await.token();
}

#[tokio::test]
async fn row_55_without_the_version_there_is_nothing() {
    let stage = warm().await;
    let host = stage.vendor.url();
    let name = VERSION.0;
    for versions in [
        &[][..],
        &[(name, "")],
        &[(name, "0")],
        &[(name, "2")],
        &[(name, "1.0")],
        &[(name, "01")],
        &[(name, "1, 1")],
        &[(name, "true")],
        &[(name, "1"), (name, "1")],
        &[(name, "1"), (name, "2")],
        &[(name, "1"), ("x_databricks_metadata_version", "1")],
        &[(name, "1"), ("x-databricks_metadata-version", "2")],
        &[("databricks-metadata-version", "1")],
        &[("x-databricks-metadata-versions", "1")],
        &[("metadata", "true")],
        &[("cookie", "X-Databricks-Metadata-Version=1")],
        // Ours does not stand in for theirs.
        &[("sidemint-request", "true")],
    ] {
        let headers: Vec<_> = [(HOST, host.as_str())].into_iter().chain(versions.iter().copied()).collect();
        let what = format!("{versions:?}");
        refused(&what, &stage.send("GET", PATH, &headers, "").await, 403, "missing_request_header");
    }
    let in_the_url = format!("{PATH}?X-Databricks-Metadata-Version=1");
    let reply = stage.send("GET", &in_the_url, &[(HOST, &host)], "").await;
    refused("in the URL", &reply, 403, "missing_request_header");
    // Nor does such a caller learn which upstreams there are.
    for upstream in ["acme", "nowhere"] {
        let path = format!("/v1/upstreams/{upstream}/databricks-metadata");
        refused(upstream, &stage.send("GET", &path, &[(HOST, &host)], "").await, 403, "missing_request_header");
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn row_56_another_host_is_given_nothing() {
    let stage = warm().await;
    let url = stage.vendor.url();
    let authority = url.trim_start_matches("http://").to_owned();
    let port = stage.vendor.addr().port();
    for host in [
        String::new(),
        authority.clone(),
        format!("https://{authority}"),
        format!("//{authority}"),
        "http://127.0.0.1".to_owned(),
        format!("http://localhost:{port}"),
        format!("http://127.0.0.2:{port}"),
        format!("{url}0"),
        format!("{url}//"),
        format!("{url}/api"),
        format!("{url}?o=1"),
        format!("{url}.evil.example"),
        format!("{url}@evil.example"),
        format!("http://user@{authority}"),
        format!("{url},{url}"),
        format!("https://evil.example/{url}"),
    ] {
        refused(&host, &stage.send("GET", PATH, &[VERSION, (HOST, &host)], "").await, 422, "invalid_parameters");
    }
    let evil = "https://evil.example";
    for hosts in [
        &[][..],
        &[(HOST, url.as_str()), (HOST, url.as_str())],
        &[(HOST, url.as_str()), (HOST, evil)],
        &[(HOST, evil), (HOST, url.as_str())],
        &[(HOST, url.as_str()), ("x_databricks_host", evil)],
        &[("x_databricks_host", evil), (HOST, url.as_str())],
        &[("x-databricks_host", url.as_str()), ("x_databricks-host", url.as_str())],
        &[("databricks-host", url.as_str())],
    ] {
        let headers: Vec<_> = [VERSION].into_iter().chain(hosts.iter().copied()).collect();
        let reply = stage.send("GET", PATH, &headers, "").await;
        refused(&format!("{hosts:?}"), &reply, 422, "invalid_parameters");
        assert!(!reply.text().contains("evil") && !reply.text().contains(&authority), "{}", reply.text());
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
    let series = r#"sidemint_refused_requests_total{code="invalid_parameters"}"#;
    assert_eq!(stage.metric(series).await, Some(24.0));
}

#[tokio::test]
async fn it_is_closed_unless_the_config_opens_it() {
    for setup in [Setup::default(), Setup::default().upstream("metadata_service: false")] {
        let stage = setup.start().await.warmed().await;
        refused("closed", &ask(&stage, &[]).await, 404, "not_found");
        refused("closed", &ask(&stage, &[("sidemint-request", "true")]).await, 404, "not_found");
        assert_eq!(stage.operations(), Vec::<&str>::new());
    }
}

#[tokio::test]
async fn only_an_upstream_of_databricks_that_was_opened_by_name_is_open() {
    let vendor = emulator().await;
    let (url, setup) = (vendor.url(), opened());
    let others = format!(
        "  shut: {{kind: databricks, host: '{url}', auth: {{client_id: x, client_secret_env: SECRET}}}}\n  \
         bold: {{kind: boldbi, url: '{url}/bi', site: site1, auth: {{embed_secret_env: SECRET}}}}\n  \
         contoso: {{kind: powerbi, tenant_id: t.example, authority: '{url}', api_url: '{url}', app_url: '{url}', \
         auth: {{client_id: x, client_secret_env: SECRET}}}}\n\
         embeds:\n"
    );
    let text = setup.yaml(&vendor).replace("embeds:\n", &others);
    let stage = setup.with_text(vendor, &text).await;
    let of = async |name: &str| {
        let path = format!("/v1/upstreams/{name}/databricks-metadata");
        stage.send("GET", &path, &[VERSION, (HOST, &url)], "").await
    };
    of("acme").await.token();
    for closed in ["shut", "bold", "contoso"] {
        refused(closed, &of(closed).await, 404, "not_found");
    }
    for unknown in ["nowhere", "ACME", "acm%65", "acme%00", "*", "..", ""] {
        refused(unknown, &of(unknown).await, 404, "unknown_upstream");
    }
    for path in ["/v1/upstreams/acme/databricks-metadata/", "/v1/upstreams/a/acme/databricks-metadata", "/v1/upstreams"]
    {
        refused(path, &stage.send("GET", path, &[VERSION, (HOST, &url)], "").await, 403, "missing_request_header");
    }
    for kind in ["bold: {", "contoso: {"] {
        let text = text.replace(kind, &format!("{kind}metadata_service: true, "));
        let problems = sidemint::config::from_text(&text, &stage.setup.variables(&stage.vendor)).expect_err(kind);
        assert!(problems.iter().any(|problem| problem.key.ends_with("metadata_service")), "{kind}: {problems:?}");
    }
}

#[tokio::test]
async fn a_reload_closes_it() {
    let stage = warm().await;
    ask(&stage, &[]).await.token();
    let text = Setup::default().yaml(&stage.vendor);
    let config = stage.parsed(&text);
    stage.app.reload(config).await.expect("the new config is taken");
    refused("closed", &ask(&stage, &[]).await, 404, "not_found");
}

#[tokio::test]
async fn the_local_defence_holds_here_too() {
    let stage = opened().server("allowed_origins: ['https://app.example.com']").start().await.warmed().await;
    for (name, value, code) in [
        ("host", "evil.example", "forbidden_host"),
        ("origin", "https://evil.example", "forbidden_origin"),
        ("origin", "null", "forbidden_origin"),
        // Its pages may have viewer tokens, not this one.
        ("origin", "https://app.example.com", "forbidden_origin"),
        ("sec-fetch-site", "cross-site", "forbidden_origin"),
        ("sec-fetch-site", "same-site", "forbidden_origin"),
        ("sec_fetch_site", "cross-site", "forbidden_origin"),
        ("x-forwarded-for", "10.0.0.1", "forwarded_request"),
        ("x_forwarded_host", "evil.example", "forwarded_request"),
        ("forwarded", "for=10.0.0.1", "forwarded_request"),
        ("via", "1.1 proxy", "forwarded_request"),
        ("x-real-ip", "10.0.0.1", "forwarded_request"),
    ] {
        refused(&format!("{name}: {value}"), &ask(&stage, &[(name, value)]).await, 403, code);
    }
    // What a browser asks first names no header of the SDKs, so that it goes no further.
    let origin = ("origin", "https://app.example.com");
    let preflight = [origin, ("access-control-request-headers", VERSION.0)];
    let allowed = stage.send("OPTIONS", PATH, &preflight, "").await;
    assert!(!allowed.header("access-control-allow-headers").unwrap_or_default().to_lowercase().contains("databricks"));
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

#[tokio::test]
async fn it_takes_get_alone_and_no_body() {
    let stage = warm().await;
    let host = stage.vendor.url();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "get"] {
        let reply = stage.send(method, PATH, &[VERSION, (HOST, &host)], "").await;
        assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, Some("GET")), "{method}: {}", reply.text());
    }
    for more in [&[][..], &[("content-type", "application/json")]] {
        let headers: Vec<_> = [VERSION, (HOST, host.as_str())].into_iter().chain(more.iter().copied()).collect();
        refused("a body", &stage.send("GET", PATH, &headers, "{}").await, 400, "malformed_request");
    }
    assert_eq!(stage.operations(), Vec::<&str>::new());
}

/// An SDK cannot send our header; its own is asked for whatever the config says of ours.
#[tokio::test]
async fn the_caller_secret_is_no_matter_of_an_sdk_on_this_machine() {
    let (path, _folder) = file_with("correct-horse-battery");
    for server in [format!("caller_token_file: {}", path.display()), "require_header: false".to_owned()] {
        let stage = opened().server(&server).start().await.warmed().await;
        ask(&stage, &[]).await.token();
        let host = stage.vendor.url();
        for headers in [&[(HOST, host.as_str())][..], &[(HOST, &host), ("sidemint-request", "correct-horse-battery")]] {
            refused(&server, &stage.send("GET", PATH, headers, "").await, 403, "missing_request_header");
        }
    }
}

#[tokio::test]
async fn many_asks_at_the_start_are_one_token() {
    let vendor = emulator().await;
    vendor.inject(Fault { operation: "service_token".into(), delay_ms: Some(300), ..Fault::default() });
    let stage = opened().beside(vendor).await;
    let replies = joined((0..20).map(|_| ask(&stage, &[]))).await;
    assert!(replies.iter().all(|reply| reply.token() == replies[0].token()));
    assert_eq!(stage.operations(), ["service_token"]);
}

#[tokio::test]
async fn an_outage_is_bridged_and_a_refusal_is_told() {
    let stage = warm().await;
    let token = ask(&stage, &[]).await.token();
    stage.vendor.inject(Fault::status("*", 503));
    assert_eq!(ask(&stage, &[]).await.token(), token);
    let vendor = emulator().await;
    vendor.set_secrets(&["another"]);
    let stage = opened().beside(vendor).await;
    let reply = ask(&stage, &[]).await;
    refused("a wrong secret", &reply, 502, "upstream_credentials_rejected");
    assert!(!reply.text().contains(&stage.vendor.databricks().client_secret));
    let vendor = emulator().await;
    vendor.inject(Fault::status("*", 503));
    let stage = opened().upstream("metadata_service: true, retry: {attempts: 1}").beside(vendor).await;
    let reply = ask(&stage, &[]).await;
    refused("an outage from the start", &reply, 503, "upstream_unavailable");
    assert!(reply.retry_after().is_some_and(|seconds| seconds >= 1));
}

/// What is left of the token is told, not what it had; SDKs come back 40 s before its end, and are given a new one.
#[tokio::test]
async fn row_57_a_token_near_its_end_is_renewed_before_it_is_given() {
    let vendor = emulator().await;
    vendor.set_token_life(ms(122_500));
    let stage = opened().beside(vendor).await.warmed().await;
    let first = ask(&stage, &[]).await;
    stage.vendor.set_token_life(ms(3_600_000));
    until("another token is given", async || ask(&stage, &[]).await.token() != first.token()).await;
    let second = ask(&stage, &[]).await.json();
    assert!(second["expires_on"].as_i64().is_some_and(|at| at - now() > 3000), "{second}");
}
