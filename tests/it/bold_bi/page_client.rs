//! What Bold BI's page client calls its authorization server. The vendor's samples sign whatever it posts and call
//! whatever server it names; here both are only looked at.

use std::net::TcpListener;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sidemint::emulator::Fault;

use super::scene::{BoldBi, VIEWER, asked, calls, dashboard, regions, set, told};
use crate::support::{Reply, Stage, joined};

/// Where it posts to.
pub const PATH: &str = "/v1/embeds/sales/boldbi-authorize";
pub const PROOF: (&str, &str) = ("sidemint-request", "true");
pub const JSON: (&str, &str) = ("content-type", "application/json");

/// The query as SDK 14.2.4 writes it, with these members behind it.
pub fn query(dashboard: &str, more: &str) -> String {
    format!(
        "embed_nonce=browser-nonce-17&embed_dashboard_id={dashboard}&embed_dashboard_ids=&embed_dashboard_path=\
         &embed_dashboard_paths=&pinboard_name=&embed_mode=view&embed_timestamp=1111111111\
         &embed_expirationtime=86400{more}"
    )
}

/// What it posts.
pub fn posted(query: &str, server: &str) -> Value {
    json!({"embedQuerString": query, "embedQueryString": query, "dashboardServerApiUrl": server})
}

/// The body of an honest page.
pub fn honest() -> String {
    posted(&query(&dashboard(), ""), "http://bi.example.com/bi/api/site/site1").to_string()
}

pub fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// An ask for the viewer of these tests.
pub async fn ask(stage: &Stage, body: &str) -> Reply {
    let target = format!("{PATH}?viewer_id={}&purpose=renew", percent(VIEWER));
    stage.send("POST", &target, &[PROOF, JSON, ("sidemint-viewer-value", "emea")], body.to_owned()).await
}

/// An ask for the viewer in this header.
pub async fn ask_for(stage: &Stage, viewer: &Value) -> Reply {
    let viewer = percent(&viewer.to_string());
    stage.send("POST", PATH, &[PROOF, JSON, ("sidemint-viewer", &viewer)], honest()).await
}

/// With members that nobody knows, in an order, with spaces and escapes that no serializer would write.
const RAW: &str = "{ \"Status\" : true,\n \"ApiStatus\":true, \"More\" : [1.0, 1e3, {}],\r\n \"Data\":{\"access_token\":\
                   \"opaque.token\", \"\\u00e9\":null,\"token_type\" : \"bearer\", \"expires_in\":\"3600\"} }\n";

#[tokio::test]
async fn row_b12_the_answer_is_the_vendors_byte_for_byte() {
    for scene in [BoldBi::default(), BoldBi::signed()] {
        let stage = scene.start().await;
        stage.vendor.inject(Fault { body: Some(RAW.to_owned()), ..Fault::status("boldbi_authorize", 200) });
        for how in ["miss", "hit", "hit"] {
            let reply = ask(&stage, &honest()).await;
            assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, RAW));
            assert_eq!(reply.cache(), how);
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.header("cache-control"), Some("no-store"));
        }
        assert_eq!(calls(&stage), 1);
    }
}

#[tokio::test]
async fn row_b12_the_server_that_the_browser_names_is_never_called() {
    let evil = TcpListener::bind("127.0.0.1:0").expect("a free port");
    evil.set_nonblocking(true).expect("it can be asked without waiting");
    let url = format!("http://{}/bi/api/site/site1", evil.local_addr().expect("it listens"));
    for scene in [BoldBi::default(), BoldBi::signed()] {
        let stage = scene.start().await;
        let reply = ask(&stage, &posted(&query(&dashboard(), ""), &url).to_string()).await;
        let token = reply.json()["Data"]["access_token"].as_str().expect("a token").to_owned();
        assert_eq!(regions(&stage, &token).await, set(&["emea"]));
        assert_eq!(asked(&stage).len(), 1);
    }
    let nobody = evil.accept().map_err(|error| error.kind());
    assert!(matches!(nobody, Err(std::io::ErrorKind::WouldBlock)), "{nobody:?}");
}

/// Members that nobody knows are ignored, as are the browser's clock and nonce.
#[tokio::test]
async fn row_b12_nothing_that_the_browser_wrote_reaches_the_vendor() {
    for scene in [BoldBi::default(), BoldBi::signed()] {
        let stage = scene.start().await;
        let mut body = posted(&query(&dashboard(), "&evil_member=evil-value&evil+flag"), "https://evil.example/bi");
        body["evilBody"] = json!({"email": "evil@example.com"});
        assert_eq!(ask(&stage, &body.to_string()).await.status, 200);
        let entry = &asked(&stage)[0];
        let sent = serde_json::to_string(entry).expect("an entry is JSON");
        for word in ["evil", "browser-nonce", "1111111111", "86400", "embed_mode", "pinboard", "embed_timestamp"] {
            assert!(!sent.contains(word), "{word} in {sent}");
        }
        assert_eq!(entry.notes, Vec::<String>::new());
    }
}

#[tokio::test]
async fn row_b12_older_clients_write_one_of_the_two_names() {
    let stage = BoldBi::default().start().await;
    let text = query(&dashboard(), "");
    let upper =
        text.replace("embed_dashboard_id=", "EMBED_Dashboard_Id=").replace(&dashboard(), &dashboard().to_uppercase());
    for body in [
        json!({"embedQuerString": text}),
        json!({"embedQueryString": text}),
        json!({"embedQuerString": format!("?{text}"), "dashboardServerApiUrl": null}),
        json!({"embedQuerString": upper}),
        json!({"embedQuerString": format!("embed_dashboard_ids={0},{0}", dashboard())}),
        json!({"embedQuerString": ""}),
    ] {
        assert_eq!(ask(&stage, &body.to_string()).await.status, 200, "{body}");
    }
    assert_eq!(calls(&stage), 1);
}

/// Both endpoints are for one token.
#[tokio::test]
async fn row_b12_tokens_are_shared_with_the_other_endpoint() {
    let stage = BoldBi::default().start().await;
    let token = stage.renew(VIEWER, "emea").await.token();
    let reply = ask(&stage, &honest()).await;
    assert_eq!(
        (reply.json()["Data"]["access_token"].as_str(), reply.cache()),
        (Some(token.as_str()), "hit".to_owned())
    );
    let whole = ask_for(&stage, &json!({"id": VIEWER, "value": "emea"})).await;
    assert_eq!((whole.text(), whole.cache()), (reply.text(), "hit".to_owned()));
    // The other way round, with all that a viewer can have.
    let viewer = json!({"id": VIEWER, "value": "apac", "roles": ["b", "a"], "attributes": {"x": "\u{eb}"}});
    let answer = ask_for(&stage, &viewer).await.json();
    let mut same = viewer.clone();
    same["roles"] = json!(["a", "b"]);
    let token = stage.post("sales", &json!({"viewer": same})).await.token();
    assert_eq!(answer["Data"]["access_token"], token);
    assert_eq!(calls(&stage), 2);
}

/// The header holds what a POST has in its body, percent-encoded.
#[tokio::test]
async fn row_b12_the_viewer_is_whole_in_one_header() {
    let keys = "email: viewer.value, custom_attributes: {region: viewer.attributes.area}, \
                datasource_filters: [{name: team, value: viewer.roles}]";
    let stage = BoldBi::default().sales(keys).users(&["zo\u{eb}+1@example.com"]).start().await;
    let viewer = json!({
        "id": "u-1", "value": "zo\u{eb}+1@example.com", "roles": ["x"], "attributes": {"area": "latam"},
    });
    let reply = ask_for(&stage, &viewer).await;
    assert_eq!(reply.json()["Data"]["email"], "zo\u{eb}+1@example.com", "{}", reply.text());
    let token = reply.json()["Data"]["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(regions(&stage, &token).await, set(&["latam"]));
}

/// Whichever is asked, one flight brings the token for both.
#[tokio::test]
async fn row_b12_both_endpoints_asked_together_are_one_call() {
    let stage = BoldBi::default().start().await;
    stage.vendor.inject(Fault { operation: "boldbi_authorize".into(), delay_ms: Some(200), ..Fault::default() });
    let body = honest();
    let pages = joined((0..10).map(|_| ask(&stage, &body)));
    let apps = joined((0..10).map(|_| stage.renew(VIEWER, "emea")));
    let (pages, apps) = tokio::join!(pages, apps);
    let token = apps[0].token();
    assert!(apps.iter().all(|reply| reply.token() == token));
    assert!(pages.iter().all(|reply| reply.json()["Data"]["access_token"] == token));
    assert_eq!(calls(&stage), 1);
}

#[tokio::test]
async fn row_b12_a_page_is_served_on_in_an_outage_and_a_new_one_told_to_come_back() {
    let stage = BoldBi::default().upstream("retry: {attempts: 1}").start().await;
    let shown = ask(&stage, &honest()).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    stage.vendor.inject(Fault::status("*", 503));
    assert_eq!(ask(&stage, &honest()).await.text(), shown.text());
    let cold = ask_for(&stage, &json!({"id": VIEWER, "value": "apac"})).await;
    told(&cold, 503, "upstream_unavailable", "Bold BI is in trouble");
    assert!(cold.retry_after().is_some_and(|wait| wait >= 1), "{:?}", cold.headers);
}
