//! The embedded dashboard: what a token lets its bearer see.

use super::super::{DatabricksSettings, Fault};
use super::*;

async fn load(emulator: &Emulator, dashboard: &str, token: &str) -> Answer {
    let line = format!("POST /api/emulator/dashboards/{dashboard}/load");
    ask(emulator, &line, &[("Authorization", &format!("Bearer {token}"))], "").await.expect("an answer")
}

#[tokio::test]
async fn a_viewer_sees_the_rows_of_its_value_and_no_others() {
    let emulator = emulator().await;
    for region in ["emea", "apac"] {
        let seen = load(&emulator, DASHBOARD, &viewer_token(&emulator, region).await).await.json();
        let rows = seen["rows"].as_array().expect("rows").clone();
        assert_eq!(rows.len(), 12);
        assert!(rows.iter().all(|row| row["region"] == region));
    }
    let seen = load(&emulator, DASHBOARD, &viewer_token(&emulator, "EMEA").await).await.json();
    assert_eq!(seen["rows"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn a_refresh_is_no_load() {
    let emulator = emulator().await;
    let bearer = format!("Bearer {}", viewer_token(&emulator, "emea").await);
    let path = format!("/api/emulator/dashboards/{DASHBOARD}/data");
    assert_eq!(get(&emulator, &path, &[("Authorization", &bearer)]).await.status, 200);
    assert_eq!(emulator.loads().started, 0);
}

async fn assert_refused(emulator: &Emulator, token: &str, status: u16, text: &str) {
    let refused = load(emulator, DASHBOARD, token).await;
    assert_eq!((refused.status, refused.text("name").as_str()), (status, text));
    assert_eq!(emulator.loads().started, 0);
}

const NO_CLAIM: &str = "Dashboard ID is missing in token claim.";

#[tokio::test]
async fn a_token_minted_without_a_field_of_token_info_is_refused() {
    let emulator = emulator().await;
    let service = service_token(&emulator).await;
    let query = "external_viewer_id=v-1&external_value=emea";
    let info = token_info(&emulator, &service, DASHBOARD, query).await.json();
    for (lost, status, text) in [
        ("scope", 403, "Provided OAuth token does not have required scopes: dashboards"),
        ("custom_claim", 400, NO_CLAIM),
        ("x_future", 403, "The token was minted without the tokeninfo field x_future."),
        ("n", 403, "The token was minted without the tokeninfo field n."),
    ] {
        let token = mint(&emulator, &info, &[lost]).await.text("access_token");
        let notes = emulator.journal().pop().expect("the mint").notes;
        assert_eq!(notes, [format!("the tokeninfo field {lost} was not passed on")]);
        assert_refused(&emulator, &token, status, text).await;
    }
}

#[tokio::test]
async fn tokens_of_others_or_of_another_time_are_refused_with_the_texts_of_the_vendor() {
    let emulator = emulator().await;
    assert_refused(&emulator, &service_token(&emulator).await, 400, NO_CLAIM).await;
    assert_refused(&emulator, &viewer_token(&emulator, "a%7Cb").await, 400, NO_CLAIM).await;
    let foreign = viewer_token(&super::emulator().await, "emea").await;
    assert_refused(&emulator, &foreign, 401, "Invalid Token").await;
    emulator.inject(Fault { jwt_exp_life: Some(-1), operation: "mint".to_owned(), ..Fault::default() });
    let expired = viewer_token(&emulator, "emea").await;
    assert_refused(&emulator, &expired, 401, "The token is expired.").await;
    emulator.clear_faults();
    let other = &emulator.databricks().dashboards[1].id;
    let token = viewer_token(&emulator, "emea").await;
    assert_eq!(load(&emulator, other, &token).await.status, 403);
}

#[tokio::test]
async fn one_load_more_than_the_limit_is_refused() {
    let settings = DatabricksSettings { loads_per_second: 3, ..DatabricksSettings::default() };
    let settings = Settings { databricks: settings, ..Settings::default() };
    let emulator = Emulator::start(settings).await.expect("a free port and a key");
    let token = viewer_token(&emulator, "emea").await;
    let began = std::time::Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(load(&emulator, DASHBOARD, &token).await.status);
    }
    // On a machine that is so slow that the second is over, all four may start.
    assert!(began.elapsed().as_millis() >= 1000 || statuses == [200, 200, 200, 429], "{statuses:?}");
    assert_eq!(emulator.loads().started + emulator.loads().refused, 4);
}

#[tokio::test]
async fn the_page_may_be_framed_by_approved_domains_only() {
    let settings =
        DatabricksSettings { approved_domains: vec!["https://app.example.com".to_owned()], ..Default::default() };
    let settings = Settings { databricks: settings, ..Settings::default() };
    let emulator = Emulator::start(settings).await.expect("a free port and a key");
    let page = get(&emulator, &format!("/embed/dashboardsv3/{DASHBOARD}/pages/p1?o=1"), &[]).await;
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.ends_with("frame-ancestors https://app.example.com"), "{policy}");
    assert_eq!(get(&emulator, "/embed/assets/embed.js", &[]).await.status, 200);
    assert!(get(&emulator, "/", &[]).await.body.contains(&emulator.databricks().client_secret));
}
