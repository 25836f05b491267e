//! The six forms, who may call them, when a token ends, and the look-ups.

use std::time::Duration;

use super::*;
use crate::emulator::Fault;
use jiff::Timestamp;

fn expiration(answer: &Answer) -> i64 {
    answer.text("expiration").parse::<Timestamp>().expect("RFC 3339").as_second()
}

fn for_dataset(id: &str) -> Value {
    json!({"datasets": [{"id": id}]})
}

/// Powers A1.1 to A1.6, and rows H53 and V25.
#[tokio::test]
async fn all_six_forms_give_an_embed_token() {
    let emulator = emulator().await;
    let bearer = bearer(&emulator).await;
    let (dataset, settings) = (plain(&emulator), emulator.powerbi());
    let (report, dashboard) = (report_on(&emulator, &dataset), &settings.dashboards[0]);
    let group = format!("/groups/{}", settings.workspace_id);
    let view = json!({"accessLevel": "View"});
    let many = json!({"reports": [{"id": report}], "datasets": [{"id": dataset}],
        "targetWorkspaces": [{"id": settings.workspace_id}]});
    let tile = &dashboard.tiles[0].id;
    for (path, body) in [
        ("/GenerateToken".to_owned(), many),
        (format!("{group}/reports/{report}/GenerateToken"), view.clone()),
        (format!("{group}/reports/{report}/generateToken"), json!({"accessLevel": "Edit", "allowSaveAs": "true"})),
        (format!("{group}/reports/GenerateToken"), json!({"accessLevel": "Create", "datasetId": dataset})),
        (format!("{group}/datasets/{dataset}/GenerateToken"), view.clone()),
        (format!("{group}/dashboards/{}/GenerateToken", dashboard.id), view.clone()),
        (format!("{group}/dashboards/{}/tiles/{tile}/GenerateToken", dashboard.id), view.clone()),
    ] {
        let answer = post(&emulator, &bearer, &path, &[], &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.text("token").starts_with("H4sI"), "{path}");
        assert_eq!(answer.text("tokenId").len(), 36);
        assert!(answer.text("@odata.context").contains("analysis.windows.net"));
        assert_eq!((answer.text("expiration").len(), answer.text("expiration").ends_with('Z')), (20, true));
        assert!(answer.header("requestid").is_some());
    }
    let entry = emulator.journal().pop().expect("the last request");
    assert_eq!((entry.operation.name(), entry.body), ("generate_token", Some(view.clone())));
    for path in [format!("/reports/{report}/GenerateToken"), format!("/datasets/{dataset}/GenerateToken")] {
        assert_eq!(post(&emulator, &bearer, &path, &[], &view).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn levels_and_bodies_that_do_not_fit_are_refused() {
    let emulator = emulator().await;
    let bearer = bearer(&emulator).await;
    let dataset = plain(&emulator);
    let report = report_on(&emulator, &dataset);
    let group = format!("/groups/{}", emulator.powerbi().workspace_id);
    let at_report = format!("{group}/reports/{report}/GenerateToken");
    for (path, body) in [
        (&at_report, json!({"accessLevel": "Create"})),
        (&at_report, json!({"accessLevel": "Own"})),
        (&at_report, json!({"lifetimeInMinutes": -5})),
        (&at_report, json!({"lifetimeInMinutes": "10"})),
        (&at_report, json!([])),
        (&format!("{group}/datasets/{dataset}/GenerateToken"), json!({"accessLevel": "Edit"})),
        (&format!("{group}/reports/GenerateToken"), json!({"accessLevel": "View", "datasetId": dataset})),
        (&format!("{group}/reports/GenerateToken"), json!({"accessLevel": "Create"})),
        (&"/GenerateToken".to_owned(), json!({})),
    ] {
        let refused = post(&emulator, &bearer, path, &[], &body).await;
        assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (400, Some("InvalidRequest")), "{body}");
    }
    let line = "POST /v1.0/myorg/GenerateToken";
    let untyped = ask(&emulator, line, &[("Authorization", &bearer)], "{}").await.expect("an answer");
    assert_eq!(untyped.status, 415);
    assert!(untyped.text("message").contains("no Content-Type header"));
}

#[tokio::test]
async fn only_a_living_token_for_power_bi_is_let_in() {
    let emulator = emulator().await;
    let body = for_dataset(&plain(&emulator));
    let own = bearer(&emulator).await;
    assert_eq!(post(&emulator, &own, "/GenerateToken", &[], &body).await.status, 200);
    let foreign = super::bearer(&super::super::emulator().await).await;
    let databricks = format!("Bearer {}", service_token(&emulator).await);
    for stranger in [foreign, databricks, "Bearer x".to_owned()] {
        let refused = post(&emulator, &stranger, "/GenerateToken", &[], &body).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, &error["code"]), (401, &"PowerBINotAuthorizedException".into()));
        assert!(error["message"].is_null() && error["pbi.error"]["exceptionCulprit"] == 1);
    }
    emulator.revoke_entra_tokens();
    assert_eq!(post(&emulator, &own, "/GenerateToken", &[], &body).await.status, 401);
    emulator.inject(Fault { jwt_exp_life: Some(-1), ..Fault::default() });
    let over = super::bearer(&emulator).await;
    let refused = post(&emulator, &over, "/GenerateToken", &[], &body).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (403, Some("TokenExpired")));
    assert!(refused.header("requestid").is_some());
}

#[tokio::test]
async fn a_token_for_another_resource_is_no_token_for_power_bi() {
    let mut settings = Settings::default();
    settings.entra.other_resources = vec!["https://graph.microsoft.com".to_owned()];
    let emulator = Emulator::start(settings).await.expect("a free port and a key");
    let entra_settings = emulator.entra();
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &entra_settings.client_id),
        ("client_secret", &entra_settings.client_secret),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let token = format!("Bearer {}", entra(&emulator, &fields).await.text("access_token"));
    let refused = post(&emulator, &token, "/GenerateToken", &[], &for_dataset(&plain(&emulator))).await;
    assert_eq!(refused.status, 401);
}

/// Row H30.
#[tokio::test]
async fn a_profile_is_known_or_refused_and_seen_in_the_journal() {
    let emulator = emulator().await;
    let bearer = bearer(&emulator).await;
    let body = for_dataset(&plain(&emulator));
    let profile = emulator.powerbi().profiles[0].clone();
    let headers = [("X-PowerBI-profile-id", profile.as_str())];
    assert_eq!(post(&emulator, &bearer, "/GenerateToken", &headers, &body).await.status, 200);
    let entry = emulator.journal().pop().expect("the last request");
    assert_eq!(entry.headers["x-powerbi-profile-id"], profile);
    let unknown = [("X-PowerBI-Profile-Id", "00000000-0000-4000-8000-000000000000")];
    assert_eq!(post(&emulator, &bearer, "/GenerateToken", &unknown, &body).await.status, 403);
}

/// Rows H1, H8, H24, H25.
#[tokio::test]
async fn a_token_ends_with_the_entra_token_or_when_it_was_asked_to() {
    let emulator = emulator().await;
    let dataset = plain(&emulator);
    let entra = by_secret(&emulator).await.text("access_token");
    let ends = part(&entra, 1)["exp"].as_i64().expect("an end");
    let bearer = format!("Bearer {entra}");
    let with = |minutes: Value| json!({"datasets": [{"id": dataset}], "lifetimeInMinutes": minutes});
    for minutes in [Value::Null, 0.into(), 90.into()] {
        let answer = post(&emulator, &bearer, "/GenerateToken", &[], &with(minutes)).await;
        assert_eq!(expiration(&answer), ends);
    }
    let before = Timestamp::now().as_second();
    let short = expiration(&post(&emulator, &bearer, "/GenerateToken", &[], &with(10.into())).await);
    assert!((before + 600..=Timestamp::now().as_second() + 600).contains(&short));
    emulator.set_embed_life(Some(Duration::from_secs(60)));
    let shorter = expiration(&post(&emulator, &bearer, "/GenerateToken", &[], &with(10.into())).await);
    assert!(shorter <= Timestamp::now().as_second() + 60);
}

#[tokio::test]
async fn lives_expirations_errors_and_other_clusters_are_injected() {
    let emulator = emulator().await;
    let body = for_dataset(&plain(&emulator));
    let once = |fault: Value| {
        let mut fault: Fault = serde_json::from_value(fault).expect("a fault");
        fault.operation = "generate_token".to_owned();
        fault.times = Some(1);
        emulator.inject(fault);
    };
    once(json!({"token_life": 7200}));
    assert!(expiration(&generate(&emulator, &body).await) > Timestamp::now().as_second() + 7000);
    once(json!({"expiration": "omit"}));
    assert!(generate(&emulator, &body).await.json()["expiration"].is_null());
    once(json!({"expiration": "2028-07-29T17:58:19.1234567+00:00"}));
    assert_eq!(generate(&emulator, &body).await.text("expiration"), "2028-07-29T17:58:19.1234567+00:00");
    once(json!({"status": 404, "body": "pbi_error", "error_code": "PowerBIEntityNotFound"}));
    let missing = generate(&emulator, &body).await;
    assert_eq!(missing.json()["error"]["pbi.error"]["code"], "PowerBIEntityNotFound");
    assert!(missing.header("requestid").is_some());
    once(json!({"status": 403, "body": "powerbi"}));
    assert_eq!(generate(&emulator, &body).await.json()["error"]["code"], "TokenExpired");
    let words = "requires roles to be included in provided effective identity";
    once(json!({"status": 400, "body": "powerbi", "message": words}));
    let told = generate(&emulator, &body).await.json()["error"].clone();
    assert_eq!(told, json!({"code": "InvalidRequest", "message": words}));
    once(json!({"status": 307, "location": "https://wabi-x-redirect.analysis.windows.net/v1.0/myorg/GenerateToken"}));
    assert_eq!(generate(&emulator, &body).await.status, 307);
    assert_eq!(generate(&emulator, &body).await.status, 200);
}

#[tokio::test]
async fn without_a_capacity_tokens_run_out() {
    let emulator = emulator().await;
    let body = for_dataset(&plain(&emulator));
    let usage = || async { look_up(&emulator, "/availableFeatures").await.json()["features"][0].clone() };
    emulator.set_on_capacity(false);
    emulator.set_trial_allowance(2);
    assert_eq!(usage().await["name"], "embedTrial");
    assert_eq!(generate(&emulator, &body).await.status, 200);
    assert_eq!(usage().await["additionalInfo"]["usage"], 50);
    assert_eq!(generate(&emulator, &body).await.status, 200);
    let refused = generate(&emulator, &body).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("exceeded the amount of embed token(s) that can be generated on a shared"));
    emulator.set_on_capacity(true);
    assert_eq!(generate(&emulator, &body).await.status, 200);
}

#[tokio::test]
async fn look_ups_tell_what_a_page_needs() {
    let emulator = emulator().await;
    let settings = emulator.powerbi();
    let group = format!("/groups/{}", settings.workspace_id);
    let (plain, secured) = (plain(&emulator), secured(&emulator));
    let report = report_on(&emulator, &secured);
    let found = look_up(&emulator, &format!("{group}/reports/{report}")).await;
    assert_eq!((found.text("reportType"), found.text("datasetId")), ("PowerBIReport".to_owned(), secured.clone()));
    let url = format!("{}/reportEmbed?reportId={report}&groupId={}&w=2", emulator.url(), settings.workspace_id);
    assert_eq!(found.text("embedUrl"), url);
    assert!(found.header("requestid").is_some());
    let paginated = settings.reports.iter().find(|one| one.kind == ReportKind::Paginated(None)).expect("one");
    let found = look_up(&emulator, &format!("{group}/reports/{}", paginated.id)).await;
    assert_eq!((found.text("reportType").as_str(), &found.json()["datasetId"]), ("PaginatedReport", &Value::Null));
    for (id, identity, roles) in [(&plain, false, false), (&secured, true, true)] {
        let found = look_up(&emulator, &format!("{group}/datasets/{id}")).await.json();
        assert_eq!(found["isEffectiveIdentityRequired"], identity);
        assert_eq!(found["isEffectiveIdentityRolesRequired"], roles);
        assert_eq!(found["isOnPremGatewayRequired"], false);
    }
    let dashboard = &settings.dashboards[0];
    let at = format!("{group}/dashboards/{}", dashboard.id);
    assert!(look_up(&emulator, &at).await.text("embedUrl").contains("/dashboardEmbed?dashboardId="));
    let tile = look_up(&emulator, &format!("{at}/tiles/{}", dashboard.tiles[0].id)).await;
    assert!(tile.text("embedUrl").contains("/embed?dashboardId="));
    assert_eq!(look_up(&emulator, &format!("{at}/tiles")).await.json()["value"][0], tile.json());
    for (path, code) in [
        ("/nothing".to_owned(), "PowerBIEntityNotFound"),
        (format!("{group}/reports/00000000-0000-4000-8000-000000000000"), "PowerBIEntityNotFound"),
        (format!("/groups/00000000-0000-4000-8000-000000000000/reports/{report}"), "PowerBIFolderNotFound"),
    ] {
        let refused = look_up(&emulator, &path).await;
        assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (404, Some(code)));
    }
}
