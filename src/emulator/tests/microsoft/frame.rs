//! What an embed token lets its bearer see in the frame.

use std::time::Duration;

use super::*;
use crate::emulator::Fault;

/// The data of the frame, with the token of an answer to GenerateToken.
async fn data(emulator: &Emulator, token: &str, query: &str) -> Answer {
    let path = format!("/emulator/powerbi/data?{query}");
    get(emulator, &path, &[("Authorization", &format!("EmbedToken {token}"))]).await
}

async fn secured_token(emulator: &Emulator, username: &str, role: &str) -> Answer {
    let dataset = secured(emulator);
    let identity = json!({"username": username, "roles": [role], "datasets": [dataset]});
    let body = json!({"reports": [{"id": report_on(emulator, &dataset)}], "datasets": [{"id": dataset}],
        "identities": [identity]});
    generate(emulator, &body).await
}

fn regions(seen: &Answer) -> Vec<String> {
    let rows = seen.json()["rows"].as_array().expect("rows").clone();
    let mut regions: Vec<_> = rows.iter().map(|row| row["region"].as_str().expect("a region").to_owned()).collect();
    regions.sort();
    regions.dedup();
    regions
}

#[tokio::test]
async fn a_user_sees_the_rows_of_their_region_and_no_others() {
    let emulator = emulator().await;
    let query = format!("kind=report&id={}", report_on(&emulator, &secured(&emulator)));
    for region in ["emea", "apac"] {
        let minted = secured_token(&emulator, region, "Customer").await;
        let seen = data(&emulator, &minted.text("token"), &query).await;
        assert_eq!(regions(&seen), [region]);
        assert_eq!((seen.text("user").as_str(), seen.text("tokenId")), (region, minted.text("tokenId")));
        assert!(seen.json()["expiresIn"].as_i64().is_some_and(|left| (3590..=3600).contains(&left)));
    }
    let nobody = data(&emulator, &secured_token(&emulator, "EMEA", "Customer").await.text("token"), &query).await;
    assert_eq!((nobody.status, regions(&nobody).len()), (200, 0));
    // Row V6: a role that the model does not have is found at the query only.
    let no_role = data(&emulator, &secured_token(&emulator, "emea", "Nobody").await.text("token"), &query).await;
    assert_eq!((no_role.status, no_role.body.contains("does not exist in the model")), (400, true));
}

#[tokio::test]
async fn without_security_everybody_sees_everything() {
    let emulator = emulator().await;
    let dataset = plain(&emulator);
    let report = report_on(&emulator, &dataset);
    let token = generate(&emulator, &json!({"reports": [{"id": report}]})).await.text("token");
    assert_eq!(regions(&data(&emulator, &token, &format!("kind=report&id={report}")).await).len(), 6);
    assert_eq!(regions(&data(&emulator, &token, &format!("kind=create&id={dataset}")).await).len(), 6);
}

#[tokio::test]
async fn behind_azure_analysis_services_custom_data_tells_viewers_apart() {
    let emulator = emulator().await;
    let dataset = dataset(&emulator, |kind| *kind == DatasetKind::AzureAnalysis);
    let report = report_on(&emulator, &dataset);
    let identity = json!({"username": emulator.entra().object_id, "customData": "latam", "datasets": [dataset]});
    let token = generate(&emulator, &json!({"reports": [{"id": report}], "identities": [identity]})).await;
    let seen = data(&emulator, &token.text("token"), &format!("kind=report&id={report}")).await;
    assert_eq!((regions(&seen), seen.text("user").as_str()), (vec!["latam".to_owned()], "latam"));
}

#[tokio::test]
async fn dashboards_tiles_and_bound_reports_are_seen_with_their_own_tokens() {
    let emulator = emulator().await;
    let bearer = bearer(&emulator).await;
    let dashboard = emulator.powerbi().dashboards[1].clone();
    let identity = json!({"username": "emea", "roles": ["Customer"], "datasets": [dashboard.tiles[0].dataset_id]});
    let at = format!("/groups/{}/dashboards/{}", emulator.powerbi().workspace_id, dashboard.id);
    let body = json!({"accessLevel": "View", "identities": [identity]});
    let tile = &dashboard.tiles[0].id;
    let whole = post(&emulator, &bearer, &format!("{at}/GenerateToken"), &[], &body).await.text("token");
    let part = post(&emulator, &bearer, &format!("{at}/tiles/{tile}/GenerateToken"), &[], &body).await.text("token");
    let (of_dashboard, of_tile) = (format!("kind=dashboard&id={}", dashboard.id), format!("kind=tile&id={tile}"));
    assert_eq!(regions(&data(&emulator, &whole, &of_dashboard).await), ["emea"]);
    assert_eq!(regions(&data(&emulator, &part, &of_tile).await), ["emea"]);
    assert_eq!(data(&emulator, &part, &of_dashboard).await.status, 403);
    // A report is bound to a dataset of choice, if the token is for both.
    let (report, other) = (report_on(&emulator, &plain(&emulator)), secured(&emulator));
    let body = json!({"reports": [{"id": report}], "datasets": [{"id": other}], "identities": [identity]});
    let token = generate(&emulator, &body).await.text("token");
    let bound = format!("kind=report&id={report}&dataset={other}");
    assert_eq!(regions(&data(&emulator, &token, &bound).await), ["emea"]);
    assert_eq!(data(&emulator, &token, &format!("kind=report&id={report}")).await.status, 403);
}

#[tokio::test]
async fn tokens_of_others_or_of_another_time_show_nothing() {
    let emulator = emulator().await;
    let report = report_on(&emulator, &plain(&emulator));
    let (query, body) = (format!("kind=report&id={report}"), json!({"reports": [{"id": report}]}));
    let foreign = super::super::emulator().await;
    let foreign = generate(&foreign, &body).await.text("token");
    for stranger in ["", "H4sI", &foreign] {
        assert_eq!(data(&emulator, stranger, &query).await.status, 401);
    }
    let other = secured_token(&emulator, "emea", "Customer").await.text("token");
    assert_eq!(data(&emulator, &other, &query).await.status, 403);
    emulator.set_embed_life(Some(Duration::ZERO));
    let over = generate(&emulator, &body).await.text("token");
    let refused = data(&emulator, &over, &query).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (403, Some("TokenExpired")));
    emulator.inject(Fault::status("report_data", 503));
    assert_eq!(data(&emulator, &over, &query).await.status, 503);
}

#[tokio::test]
async fn every_page_is_the_same_and_may_be_framed_by_anybody() {
    let emulator = emulator().await;
    for page in ["reportEmbed", "rdlEmbed", "dashboardEmbed", "embed", "qnaEmbed"] {
        let page = get(&emulator, &format!("/{page}?reportId=1&uid=2"), &[]).await;
        assert!(page.header("content-security-policy").is_some_and(|policy| policy.ends_with("frame-ancestors *")));
        assert!(page.body.contains("/emulator/powerbi/frame.js") && !page.body.contains("{style}"));
    }
    let script = get(&emulator, "/emulator/powerbi/frame.js", &[]).await;
    assert!(script.header("content-type").is_some_and(|kind| kind.starts_with("text/javascript")));
    assert_eq!(emulator.count(crate::emulator::Operation::ReportFrame), 6);
}
