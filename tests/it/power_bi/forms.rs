//! What can be shown: the six forms of `GenerateToken`, and what the page is told of each.

use serde_json::{Value, json};
use sidemint::emulator::{Operation, PowerBiDashboard, PowerBiSettings};

use super::scene::{On, PowerBi, RLS, calls, plain, requests, secured, workspace};
use crate::support::Stage;

/// The first dashboard; its tile shows the plain dataset.
fn dashboard() -> PowerBiDashboard {
    PowerBiSettings::default().dashboards.remove(0)
}

/// Path below the workspace and body of the one mint, and the `embed` block without the token's id, which must be there.
async fn minted(keys: &str) -> (Stage, String, Value, Value) {
    let stage = PowerBi::default().embed("sales", keys).warm().await;
    let reply = stage.renew("v-1", "emea").await;
    reply.token();
    let minted = requests(&stage, Operation::GenerateToken).remove(0);
    let path = minted.path.replace(&format!("groups/{}", workspace()), "G").replace("/v1.0/myorg/", "");
    let mut block = reply.json()["embed"].clone();
    let id = block.as_object_mut().and_then(|block| block.remove("token_id"));
    assert!(id.and_then(|id| Some(id.as_str()?.len())) == Some(36), "{}", reply.text());
    (stage, path, minted.body.expect("a body"), block)
}

fn block(stage: &Stage, kind: &str, id: &str, page: &str, more: Value) -> Value {
    let mut block = json!({
        "kind": "powerbi", "type": kind, "id": id, "token_type": 1, "workspace_id": workspace(),
        "embed_url": format!("{}/{page}", stage.vendor.url()),
    });
    if let (Some(block), Value::Object(more)) = (block.as_object_mut(), more) {
        block.extend(more);
    }
    block
}

#[tokio::test]
async fn row_h53_a_1_1_reports() {
    let On { report, dataset } = &secured();
    let (stage, path, body, embed) = minted(&format!("report_id: {report}, {RLS}, lifetime: 50m")).await;
    assert_eq!(path, "GenerateToken");
    let wanted = json!({
        "datasets": [{"id": dataset}],
        "reports": [{"id": report}],
        "identities": [{"username": "emea", "roles": ["Customer"], "datasets": [dataset]}],
        "lifetimeInMinutes": 50,
    });
    assert_eq!(body, wanted);
    // The URL is the vendor's own, not one that is put together.
    let page = format!("reportEmbed?reportId={report}&groupId={}&w=2", workspace());
    assert_eq!(embed, block(&stage, "report", report, &page, json!({})));
    assert_eq!(calls(&stage), (0, 1, 1));
}

#[tokio::test]
async fn row_h53_a_1_2_one_report_that_may_be_saved_under_another_name() {
    let On { report, dataset } = &secured();
    let keys = format!("report_id: {report}, {RLS}, allow_save_as: true, access_level: edit");
    let (stage, path, body, embed) = minted(&keys).await;
    assert_eq!(path, format!("G/reports/{report}/GenerateToken"));
    let wanted = json!({
        "accessLevel": "Edit",
        "allowSaveAs": true,
        "identities": [{"username": "emea", "roles": ["Customer"], "datasets": [dataset]}],
    });
    assert_eq!(body, wanted);
    let page = format!("reportEmbed?reportId={report}&groupId={}&w=2", workspace());
    assert_eq!(embed, block(&stage, "report", report, &page, json!({})));
}

#[tokio::test]
async fn row_h53_a_1_3_a_new_report() {
    let dataset = plain().dataset;
    let (stage, path, body, embed) = minted(&format!("dataset_id: {dataset}, create: true")).await;
    assert_eq!(path, "G/reports/GenerateToken");
    assert_eq!(body, json!({"accessLevel": "Create", "datasetId": dataset}));
    let page = format!("reportEmbed?groupId={}", workspace());
    assert_eq!(embed, block(&stage, "create", &dataset, &page, json!({"dataset_id": dataset})));
    // Nothing has to be looked up.
    assert_eq!(calls(&stage), (0, 0, 1));
}

#[tokio::test]
async fn row_h53_a_1_4_questions() {
    let dataset = secured().dataset;
    let (stage, path, body, embed) = minted(&format!("dataset_id: {dataset}, {RLS}")).await;
    assert_eq!(path, format!("G/datasets/{dataset}/GenerateToken"));
    let identity = json!({"username": "emea", "roles": ["Customer"], "datasets": [dataset]});
    assert_eq!(body, json!({"accessLevel": "View", "identities": [identity]}));
    let page = format!("qnaEmbed?groupId={}", workspace());
    assert_eq!(embed, block(&stage, "qna", &dataset, &page, json!({"dataset_id": dataset})));
}

#[tokio::test]
async fn row_h53_a_1_5_a_dashboard() {
    let id = dashboard().id;
    let (stage, path, body, embed) = minted(&format!("dashboard_id: {id}")).await;
    assert_eq!((path, body), (format!("G/dashboards/{id}/GenerateToken"), json!({"accessLevel": "View"})));
    let page = format!("dashboardEmbed?dashboardId={id}&groupId={}", workspace());
    assert_eq!(embed, block(&stage, "dashboard", &id, &page, json!({})));
}

#[tokio::test]
async fn row_h53_a_1_6_a_tile() {
    let (id, tile) = (dashboard().id, dashboard().tiles.remove(0).id);
    let (stage, path, body, embed) = minted(&format!("dashboard_id: {id}, tile_id: {tile}")).await;
    assert_eq!((path, body), (format!("G/dashboards/{id}/tiles/{tile}/GenerateToken"), json!({"accessLevel": "View"})));
    let page = format!("embed?dashboardId={id}&tileId={tile}&groupId={}", workspace());
    assert_eq!(embed, block(&stage, "tile", &tile, &page, json!({"dashboard_id": id})));
}

/// The identity of a dashboard is for the datasets that the config names: nothing is looked up for it.
#[tokio::test]
async fn a_dashboard_with_row_level_security_names_its_datasets() {
    let settings = PowerBiSettings::default();
    let dataset = secured().dataset;
    let shows = |one: &&PowerBiDashboard| one.tiles[0].dataset_id == dataset;
    let id = &settings.dashboards.iter().find(shows).expect("a dashboard on it").id;
    let rls = format!("rls: {{username: viewer.value, roles: [Customer], datasets: [{dataset}]}}");
    let (_, _, body, _) = minted(&format!("dashboard_id: {id}, {rls}")).await;
    let identity = json!({"username": "emea", "roles": ["Customer"], "datasets": [dataset]});
    assert_eq!(body["identities"], json!([identity]));
}

#[tokio::test]
async fn many_reports_are_one_token() {
    let (first, second) = (plain(), secured());
    let rls = format!("rls: {{username: viewer.value, roles: [Customer], datasets: [{}]}}", second.dataset);
    let keys = format!("report_id: {}, report_ids: [{}, {}], {rls}", first.report, second.report, first.report);
    let (stage, path, body, embed) = minted(&keys).await;
    assert_eq!((path.as_str(), calls(&stage)), ("GenerateToken", (0, 2, 1)));
    assert_eq!(body["reports"], json!([{"id": first.report}, {"id": second.report}]), "each once");
    let mut datasets = [first.dataset, second.dataset];
    datasets.sort();
    assert_eq!(body["datasets"], json!(datasets.map(|id| json!({"id": id}))));
    let page = |id: &str| format!("reportEmbed?reportId={id}&groupId={}&w=2", workspace());
    let url = |id: &str| format!("{}/{}", stage.vendor.url(), page(id));
    let reports = json!([
        {"id": first.report, "embed_url": url(&first.report)},
        {"id": second.report, "embed_url": url(&second.report)},
    ]);
    // The first is the embed's own.
    assert_eq!(embed, block(&stage, "report", &first.report, &page(&first.report), json!({"reports": reports})));
}

/// Several reports can be saved only into a workspace that the token names.
#[tokio::test]
async fn many_reports_that_may_be_saved_name_their_workspace() {
    let on = plain();
    let other = PowerBiSettings::default().datasets.pop().expect("the last dataset is a plain one").id;
    let keys = format!("report_id: {}, dataset_ids: [{}, {other}], allow_save_as: true", on.report, on.dataset);
    let (_, path, body, _) = minted(&keys).await;
    assert_eq!((path.as_str(), &body["targetWorkspaces"]), ("GenerateToken", &json!([{"id": workspace()}])));
}

#[tokio::test]
async fn datasets_of_the_config_take_the_place_of_the_reports_own() {
    let on = plain();
    let other = PowerBiSettings::default().datasets.pop().expect("the last dataset is a plain one").id;
    let keys = format!("report_id: {}, dataset_ids: [{other}], xmla_read_only: true", on.report);
    let (_, _, body, _) = minted(&keys).await;
    assert_eq!(body["datasets"], json!([{"id": other, "xmlaPermissions": "ReadOnly"}]));
}
