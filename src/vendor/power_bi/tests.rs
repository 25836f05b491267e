//! The rows of `reference/powerbi-boldbi.md` section H that are about single messages of Power BI.

use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::config::{BaseUrl, Environment, Item};
use crate::model::Viewer;
use crate::telemetry::Metrics;
use crate::upstream::{Reply, Target};
use crate::vendor::entra::{Endpoint, Entra, Identity, Managed};
use crate::vendor::{Credential, Proof};

const SENT: Moment = Moment { wall: 1_795_284_000_000_000_000, boot: 0 };

fn reply_of(status: u16, body: impl Into<bytes::Bytes>) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert("RequestId", "3c-9".parse().unwrap());
    Reply { sent: SENT, status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() }
}

fn embed_token(reply: &Reply) -> Result<reply::EmbedToken, Fault> {
    reply::embed_token(reply, Duration::from_secs(24 * 3600))
}

fn report_of(reply: &Reply) -> Result<Report, Fault> {
    reply::report(reply, &BaseUrl { https: true, authority: "api.powerbi.com".into() })
}

fn item(keys: &str) -> Item {
    let text = format!(
        "upstreams: {{c: {{kind: powerbi, tenant_id: t, auth: {{client_id: c, client_secret_env: S}}}}}}
embeds: {{e: {{upstream: c, workspace_id: w, {keys}}}}}
"
    );
    config::from_text(&text, &Environment::default()).unwrap().embeds["e"].item.clone()
}

fn report(id: &str, dataset: Option<&str>) -> Report {
    Report {
        id: id.into(),
        embed_url: format!("https://app.powerbi.com/reportEmbed?reportId={id}"),
        dataset_id: dataset.map(Into::into),
        is_paginated: dataset.is_none(),
    }
}

/// Path, body and headers of the call for a viewer `u-1` with value `emea`.
fn call(item: &Item, reports: &[Report], roles: &[&str]) -> (String, Value, crate::upstream::Call) {
    let roles = roles.iter().map(ToString::to_string).collect();
    let Item::PowerBi(inner) = item else { panic!("another kind") };
    let viewer = &Viewer { id: "u-1".into(), value: Some("emea".into()), roles, ..Viewer::default() };
    let mint = Mint { embed: "e", item, details: None, viewer };
    let call = wire::generate_call(&Token::new("service"), inner, reports, &mint).unwrap();
    let body = serde_json::from_slice(&call.body).unwrap();
    (call.path.clone(), body, call)
}

#[test]
fn row_h53_each_kind_of_item_has_its_form() {
    let one = |path: &str, body: Value| (format!("/v1.0/myorg{path}"), body);
    for (keys, expected) in [
        ("dashboard_id: d", one("/groups/w/dashboards/d/GenerateToken", json!({"accessLevel": "View"}))),
        (
            "dashboard_id: d, tile_id: t",
            one("/groups/w/dashboards/d/tiles/t/GenerateToken", json!({"accessLevel": "View"})),
        ),
        ("dataset_id: s", one("/groups/w/datasets/s/GenerateToken", json!({"accessLevel": "View"}))),
        (
            "dataset_id: s, create: true",
            one("/groups/w/reports/GenerateToken", json!({"accessLevel": "Create", "datasetId": "s"})),
        ),
        (
            "report_id: r, allow_save_as: true, access_level: edit",
            one("/groups/w/reports/r/GenerateToken", json!({"accessLevel": "Edit", "allowSaveAs": true})),
        ),
        (
            "report_id: r, lifetime: 10m",
            one(
                "/GenerateToken",
                json!({"datasets": [{"id": "s"}], "reports": [{"id": "r"}], "lifetimeInMinutes": 10}),
            ),
        ),
    ] {
        let item = item(keys);
        let (path, body, call) = call(&item, &[report("r", Some("s"))], &[]);
        assert_eq!((path, body), expected, "{keys}");
        assert!(call.headers.iter().any(|(name, value)| name == "authorization" && value.is_sensitive()));
    }
}

#[test]
fn many_reports_and_datasets_go_into_one_token() {
    let item = item(
        "report_id: a, report_ids: [b, a], dataset_ids: [s, t], access_level: edit, allow_save_as: true, xmla_read_only: true",
    );
    let (path, body, _) = call(&item, &[], &[]);
    assert_eq!(path, "/v1.0/myorg/GenerateToken");
    let expected = json!({
        "datasets": [{"id": "s", "xmlaPermissions": "ReadOnly"}, {"id": "t", "xmlaPermissions": "ReadOnly"}],
        "reports": [{"id": "a", "allowEdit": true}, {"id": "b", "allowEdit": true}],
        "targetWorkspaces": [{"id": "w"}],
    });
    assert_eq!(body, expected);
}

#[test]
fn row_h26_a_lifetime_of_none_is_left_out_and_h30_the_profile_is_a_header() {
    let item = item("report_id: r, lifetime: 0s, profile_id: p-1");
    let (_, body, call) = call(&item, &[], &[]);
    assert!(body.get("lifetimeInMinutes").is_none());
    assert!(call.headers.iter().any(|(name, value)| name == "x-powerbi-profile-id" && value == "p-1"));
}

#[test]
fn identities_come_from_the_viewer_and_roles_are_a_set() {
    let item = item(
        "report_id: r, rls: {username: viewer.value, custom_data: viewer.id, roles: viewer.roles, allowed_roles: [B, A]}",
    );
    let reports = [report("r", Some("s"))];
    let (_, body, _) = call(&item, &reports, &["B", "A", "B"]);
    let identity = json!([{"username": "emea", "customData": "u-1", "roles": ["A", "B"], "datasets": ["s"]}]);
    assert_eq!(body["identities"], identity);
}

#[test]
fn a_paginated_report_has_an_identity_of_its_own() {
    let alone = item("report_id: r, rls: {username: viewer.id}");
    let (_, body, _) = call(&alone, &[report("r", None)], &[]);
    assert_eq!(body["identities"], json!([{"username": "u-1", "reports": ["r"]}]));
    assert_eq!(body["datasets"], json!([]));
    let on_dataset = item("report_id: r, dataset_ids: [s], rls: {username: viewer.id, roles: [C]}");
    let (_, body, _) = call(&on_dataset, &[report("r", None)], &[]);
    assert_eq!(body["datasets"], json!([{"id": "s", "xmlaPermissions": "ReadOnly"}]));
    let both = json!([{"username": "u-1", "roles": ["C"], "datasets": ["s"]}, {"username": "u-1", "reports": ["r"]}]);
    assert_eq!(body["identities"], both);
}

#[test]
fn an_identity_is_never_left_out() {
    let item = item("report_id: r, rls: {username: viewer.value}");
    let Item::PowerBi(inner) = &item else { panic!("another kind") };
    let viewer = Viewer { id: "u".into(), ..Viewer::default() };
    let mint = Mint { embed: "e", item: &item, details: None, viewer: &viewer };
    let refused = wire::generate_call(&Token::new("service"), inner, &[], &mint).err().unwrap();
    assert_eq!(refused.code(), Code::InvalidViewer);
}

#[test]
fn row_h34_what_the_vendor_cannot_take_is_refused_here() {
    let of_viewer = item("report_id: r, rls: {username: viewer.value, roles: viewer.roles, allowed_roles: [A, B]}");
    let Item::PowerBi(inner) = &of_viewer else { panic!("another kind") };
    let viewer = |value: &str, roles: &[&str]| Viewer {
        id: "u".into(),
        value: Some(value.into()).filter(|value: &String| !value.is_empty()),
        roles: roles.iter().map(ToString::to_string).collect(),
        ..Viewer::default()
    };
    assert!(check_identity(inner, &viewer("emea", &["B", "A"])).is_ok());
    assert!(check_identity(inner, &viewer(&"x".repeat(256), &["A"])).is_ok());
    for (value, roles) in
        [("", &["A"][..]), ("emea", &[]), ("emea", &["C"]), (&"x".repeat(257), &["A"]), ("emea", &["A"; 51])]
    {
        assert_eq!(check_identity(inner, &viewer(value, roles)).unwrap_err().code(), Code::InvalidViewer);
    }
}

fn minted(expiration: &str) -> Result<u64, Code> {
    let body = json!({"@odata.context": "x", "token": "H4sI", "tokenId": "id-1", "expiration": expiration});
    embed_token(&reply_of(200, body.to_string())).map(|minted| minted.lifetime.ttl().as_secs()).map_err(|f| f.code())
}

#[test]
fn rows_h47_and_h48_expiration_is_read_in_all_its_forms() {
    for good in [
        "2026-11-21T19:00:00Z",
        "2026-11-21T19:00:00.1234567+00:00",
        "2026-11-21T19:00:00.5Z",
        "2026-11-21T20:00:00+01:00",
    ] {
        assert_eq!(minted(good), Ok(3600), "{good}");
    }
    for bad in ["2026-11-21T17:59:59Z", "2018-07-29T17:58:19Z", "soon", "", "2026-11-21", "1795287600"] {
        assert_eq!(minted(bad), Err(Code::Malformed), "{bad}");
    }
}

#[test]
fn a_slow_clock_makes_no_token_outlive_its_parent() {
    let body = json!({"token": "H4sI", "tokenId": "id-1", "expiration": "2026-11-21T19:00:00Z"}).to_string();
    let ttl = |minutes: u64| {
        let minted = reply::embed_token(&reply_of(200, body.clone()), Duration::from_secs(60 * minutes));
        minted.ok().unwrap().lifetime.ttl().as_secs() / 60
    };
    assert_eq!((ttl(90), ttl(60), ttl(59), ttl(40)), (60, 60, 60, 40));
}

#[test]
fn what_only_the_form_for_many_can_say_is_not_dropped_for_save_as() {
    let item = item("report_id: r, allow_save_as: true, dataset_ids: [other], xmla_read_only: true");
    let (path, body, _) = call(&item, &[report("r", Some("s"))], &[]);
    assert_eq!(path, "/v1.0/myorg/GenerateToken");
    assert_eq!(body["datasets"], json!([{"id": "other", "xmlaPermissions": "ReadOnly"}]));
    assert_eq!(body["targetWorkspaces"], json!([{"id": "w"}]));
}

#[test]
fn roles_that_a_paginated_report_cannot_have_are_not_dropped() {
    let item = item("report_id: r, rls: {username: viewer.id, roles: [C]}");
    let Item::PowerBi(inner) = &item else { panic!("another kind") };
    let viewer = Viewer { id: "u".into(), ..Viewer::default() };
    let mint = Mint { embed: "e", item: &item, details: None, viewer: &viewer };
    let refused = wire::generate_call(&Token::new("service"), inner, &[report("r", None)], &mint).err().unwrap();
    assert!(refused.code() == Code::Rejected && refused.detail().contains("dataset_ids"));
}

#[test]
fn row_h46_half_an_answer_is_none() {
    for body in [
        "",
        "{\"token\":\"H4",
        "{}",
        r#"{"token":"H4sI"}"#,
        r#"{"token":"a\"b","expiration":"2026-11-21T19:00:00Z"}"#,
        "<html>",
    ] {
        assert_eq!(embed_token(&reply_of(200, body)).err().unwrap().code(), Code::Malformed, "{body}");
    }
}

fn fault(status: u16, body: &Value) -> Fault {
    embed_token(&reply_of(status, body.to_string())).err().unwrap()
}

fn said(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

/// Status and body, and what becomes of it: the code, and what its sentence says.
fn told_apart(cases: &[(u16, Value, Code, &str)]) {
    for (status, body, code, says) in cases {
        let fault = fault(*status, body);
        assert_eq!(fault.code(), *code, "{body}");
        let detail = fault.detail();
        assert!(detail.contains(says), "{detail}");
        assert!(detail.contains("request id 3c-9") && detail.contains(&status.to_string()), "{detail}");
        assert!(!detail.contains("secret words") && !detail.contains("dataset x"), "{detail}");
    }
}

#[test]
fn rows_h36_and_h37_the_content_is_refused_with_words_for_the_config() {
    let invalid = |message: &str| said("InvalidRequest", message);
    told_apart(&[
        (400, invalid("for dataset x requires effective identity to be provided"), Code::Rejected, "identity_required"),
        (
            400,
            invalid("requires roles to be included in provided effective identity"),
            Code::Rejected,
            "roles_required",
        ),
        (400, invalid("dataset x shouldn't have effective identity"), Code::Rejected, "identity_not_allowed"),
        (400, invalid("embed token with multiple identities is not supported"), Code::Rejected, "rls.datasets"),
        (403, invalid("username to be identical to the caller's principal name"), Code::Rejected, "custom_data"),
        (403, invalid("effective identity is not supported for this datasource"), Code::Rejected, "data source"),
        (400, said("Strange", "something with secret words"), Code::Rejected, "refused the request"),
    ]);
}

#[test]
fn rows_h38_to_h43_access_and_outages_are_told_apart() {
    let pbi = json!({"error": {"code": "PowerBINotAuthorizedException", "pbi.error": {"code": "X", "details": []}}});
    let exhausted =
        said("Forbidden", "You've exceeded the amount of embed token that can be generated on a shared capacity");
    told_apart(&[
        (401, pbi, Code::CredentialsRejected, "Service principals can call"),
        (403, said("TokenExpired", "expired"), Code::CredentialsRejected, "clock"),
        (403, exhausted, Code::Denied, "capacity"),
        (403, json!(null), Code::Denied, "Manage access"),
        (404, said("PowerBIEntityNotFound", "x"), Code::UpstreamNotFound, "ids of the embed"),
        (404, said("PowerBIFolderNotFound", "x"), Code::UpstreamNotFound, "workspace_id"),
        (429, said("x", "exceeded the amount of requests allowed in the time frame"), Code::Throttled, "throttles"),
        (500, json!(null), Code::Unavailable, "trouble"),
    ]);
}

#[test]
fn row_h40_an_exhausted_capacity_names_its_end_and_spares_what_is_held() {
    let exhausted = fault(403, &said("Forbidden", "exceeded the amount of embed tokens that can be generated"));
    assert!(reply::is_exhaustion(&exhausted) && exhausted.spares_held_tokens());
    let inside = json!({"error": {"code": "X", "pbi.error": {"details": [{"code": "m", "detail": {"type": 1,
        "value": "You have exceeded the amount of embed token"}}]}}});
    assert!(reply::is_exhaustion(&fault(403, &inside)));
    let denied = fault(403, &json!(null));
    assert!(!reply::is_exhaustion(&denied) && !denied.spares_held_tokens());
}

/// A tenant that nobody calls, by a clock that the test moves.
fn tenant(clock: &Clock) -> PowerBi {
    let text = "upstreams: {c: {kind: powerbi, api_url: \"http://127.0.0.1:1\", auth: {managed_identity: true}}}";
    let config = config::from_text(text, &Environment::default()).unwrap();
    let upstream = &config.upstreams["c"];
    let config::System::PowerBi(system) = &upstream.system else { panic!("another kind") };
    let client = || {
        let metrics = Metrics::new().unwrap().upstream("c").calls;
        Client::new(Target::new(upstream, &system.api), clock.clone(), metrics).unwrap()
    };
    let credential = Credential::new(String::new(), Proof::Presence, clock.clone());
    let identity = Identity::Managed(Managed::new(None, Endpoint::Imds, credential));
    PowerBi::new(system.clone(), client(), Entra::new(client(), system.entra.scope.clone(), identity), clock.clone())
}

#[test]
fn row_h40_after_a_minute_one_finds_out_and_the_others_wait() {
    let elapsed = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&elapsed);
    let clock = Clock::driven_by(move || Duration::from_secs(seen.load(Ordering::Relaxed)));
    let tenant = tenant(&clock);
    let at = |seconds| {
        elapsed.store(seconds, Ordering::Relaxed);
        tenant.refuse_if_exhausted().is_ok()
    };
    let exhausted = fault(403, &said("Forbidden", "exceeded the amount of embed tokens that can be generated"));
    assert!(at(0));
    tenant.note_capacity(Some(&exhausted));
    assert!(!at(0) && !at(59));
    assert!(at(60) && !at(60) && !at(64), "one at a time");
    // What the first one was refused for says nothing of the capacity.
    tenant.note_capacity(Some(&fault(404, &json!(null))));
    assert!(at(65) && !at(65));
    tenant.note_capacity(Some(&exhausted));
    assert!(!at(124) && at(125));
    tenant.note_capacity(None);
    assert!(at(125) && at(125));
}

#[test]
fn rows_h49_and_h50_a_redirect_is_named_and_not_followed() {
    let mut moved = reply_of(307, "");
    moved.headers.insert("location", "https://wabi-x-redirect.analysis.windows.net/v1.0?token=1".parse().unwrap());
    let fault = embed_token(&moved).err().unwrap();
    assert_eq!(fault.code(), Code::Malformed);
    let detail = fault.detail();
    assert!(detail.contains("wabi-x-redirect.analysis.windows.net") && detail.contains("api_url"), "{detail}");
    assert!(!detail.contains("token=1"), "{detail}");
}

#[test]
fn look_ups_are_read_whatever_the_case_of_their_names() {
    let body = r#"{"id":"r","name":"n","datasetId":"s","reportType":"PowerBIReport","embedUrl":"https://app.powerbi.com/reportEmbed?reportId=r"}"#;
    let found = report_of(&reply_of(200, body)).unwrap();
    assert_eq!((found.dataset_id.as_deref(), found.is_paginated), (Some("s"), false));
    let body = r#"{"id":"r","reportType":"PaginatedReport","embedUrl":"https://app.powerbi.com/rdlEmbed"}"#;
    let found = report_of(&reply_of(200, body)).unwrap();
    assert_eq!((found.dataset_id, found.is_paginated), (None, true));
    for bad in ["javascript:alert(1)", "https://a b", "", "http://app.powerbi.com/"] {
        let body = json!({"id": "r", "embedUrl": bad}).to_string();
        assert_eq!(report_of(&reply_of(200, body)).err().unwrap().code(), Code::Malformed, "{bad}");
    }
    for body in [
        r#"{"isEffectiveIdentityRequired":true,"isEffectiveIdentityRolesRequired":false}"#,
        r#"{"IsEffectiveIdentityRequired":true}"#,
    ] {
        let expected = Dataset { needs_identity: true, needs_roles: false };
        assert_eq!(reply::dataset(&reply_of(200, body)).unwrap(), expected);
    }
}

#[test]
fn the_page_block_has_what_powerbi_client_needs() {
    let app = BaseUrl { https: true, authority: "app.powerbi.com".into() };
    let block = |keys: &str, reports: &[Report]| -> Value {
        let Item::PowerBi(item) = item(keys) else { panic!("another kind") };
        serde_json::from_str(&format!("{}}}", page::opening(&app, &item, reports))).unwrap()
    };
    let one = block("report_id: r", &[report("r", Some("s"))]);
    let expected = json!({"kind": "powerbi", "type": "report", "id": "r", "token_type": 1, "workspace_id": "w",
        "embed_url": "https://app.powerbi.com/reportEmbed?reportId=r"});
    assert_eq!(one, expected);
    let two = block("report_id: a, report_ids: [b]", &[report("a", Some("s")), report("b", Some("t"))]);
    assert_eq!(two["reports"][1], json!({"id": "b", "embed_url": "https://app.powerbi.com/reportEmbed?reportId=b"}));
    let tile = block("dashboard_id: d, tile_id: t", &[]);
    assert_eq!((&tile["type"], &tile["id"], &tile["dashboard_id"]), (&json!("tile"), &json!("t"), &json!("d")));
    assert_eq!(tile["embed_url"], json!("https://app.powerbi.com/embed?dashboardId=d&tileId=t&groupId=w"));
    let new = block("dataset_id: s, create: true", &[]);
    assert_eq!((&new["type"], &new["dataset_id"]), (&json!("create"), &json!("s")));
}
