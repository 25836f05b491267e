//! Identities and the datasets that want them or not; paginated reports. An identity is never left out or changed to
//! make a call pass.

use serde_json::json;
use sidemint::emulator::DatasetKind;

use super::scene::{PowerBi, RLS, bodies, calls, opened, paginated, plain, secured, told};
use crate::support::joined;

#[tokio::test]
async fn row_h36_a_missing_identity_is_told_once_and_never_made_up() {
    let stage = PowerBi::default().sales("").warm().await;
    for _ in 0..20 {
        let reply = stage.renew("v-1", "emea").await;
        told(&reply, 502, "upstream_rejected", "identity_required");
        assert_eq!(reply.json()["class"], "configuration");
        assert!(
            reply.detail().contains("InvalidRequest") && reply.detail().contains("request id"),
            "{}",
            reply.detail()
        );
    }
    assert_eq!(calls(&stage), (0, 1, 1));
    assert_eq!(bodies(&stage)[0].get("identities"), None);
    // The memory is that of one key.
    told(&stage.renew("v-2", "emea").await, 502, "upstream_rejected", "identity_required");
    assert_eq!(calls(&stage), (0, 1, 2));
}

#[tokio::test]
async fn row_h37_an_identity_that_is_not_allowed_is_not_dropped() {
    let on_plain = format!("report_id: {}, {RLS}", plain().report);
    let stage = PowerBi::default().embed("sales", &on_plain).warm().await;
    for reply in joined((0..20).map(|_| stage.renew("v-1", "emea"))).await {
        told(&reply, 502, "upstream_rejected", "identity_not_allowed");
    }
    assert_eq!(calls(&stage), (0, 1, 1));
    assert_eq!(bodies(&stage)[0]["identities"][0]["username"], "emea");
}

#[tokio::test]
async fn row_v5_missing_roles_are_told_apart() {
    let stage = PowerBi::default().sales("rls: {username: viewer.value}").warm().await;
    told(&stage.renew("v-1", "emea").await, 502, "upstream_rejected", "roles_required");
    assert_eq!(calls(&stage), (0, 1, 1));
}

#[tokio::test]
async fn row_v1_a_report_that_is_the_same_for_everybody_needs_no_identity() {
    let stage = PowerBi::default().embed("sales", &format!("report_id: {}", plain().report)).warm().await;
    let token = stage.renew("v-1", "emea").await.token();
    assert!(opened(&token).contains(r#""identities":[]"#));
    assert_eq!(bodies(&stage), [json!({"datasets": [{"id": plain().dataset}], "reports": [{"id": plain().report}]})]);
}

/// A live connection to Azure Analysis Services knows the service principal alone; the viewer is in the custom data.
#[tokio::test]
async fn row_v16_a_foreign_username_at_azure_analysis_services_is_told_apart() {
    let settings = sidemint::emulator::PowerBiSettings::default();
    let dataset = settings.datasets.iter().find(|one| one.kind == DatasetKind::AzureAnalysis).expect("there is one");
    let shows = sidemint::emulator::ReportKind::Interactive(dataset.id.clone());
    let report = &settings.reports.iter().find(|one| one.kind == shows).expect("a report on it").id;
    let rls = "rls: {username: viewer.id, custom_data: viewer.value}";
    let stage = PowerBi::default().embed("sales", &format!("report_id: {report}, {rls}")).warm().await;
    told(&stage.renew("v-1", "emea").await, 502, "upstream_rejected", "rls.custom_data");
    // Row V17: the service principal's own id, and the viewer besides.
    let own = stage.vendor.entra().object_id.clone();
    assert!(opened(&stage.renew(&own, "emea").await.token()).contains(r#""customData":"emea""#));
}

#[tokio::test]
async fn row_v9_a_paginated_report_without_a_dataset_needs_no_identity() {
    let report = paginated(None);
    let stage = PowerBi::default().embed("sales", &format!("report_id: {report}")).warm().await;
    let reply = stage.renew("v-1", "emea").await;
    reply.token();
    assert_eq!(bodies(&stage), [json!({"datasets": [], "reports": [{"id": report}]})]);
    let url = reply.json()["embed"]["embed_url"].as_str().map(str::to_owned).expect("an URL");
    assert!(url.contains("/rdlEmbed?"), "{url}");
}

#[tokio::test]
async fn row_v11_the_user_of_a_paginated_report_is_named_for_the_report() {
    let report = paginated(None);
    let keys = format!("report_id: {report}, rls: {{username: viewer.value}}");
    let stage = PowerBi::default().embed("sales", &keys).warm().await;
    let token = stage.renew("v-1", "emea").await.token();
    let body = json!({
        "datasets": [],
        "reports": [{"id": report}],
        "identities": [{"username": "emea", "reports": [report]}],
    });
    assert_eq!(bodies(&stage), [body]);
    assert!(opened(&token).contains(r#""username":"emea""#));
}

#[tokio::test]
async fn row_v12_a_paginated_report_on_a_secured_dataset_has_an_identity_for_each() {
    let dataset = secured().dataset;
    let report = paginated(Some(&dataset));
    let stage = PowerBi::default()
        .embed("sales", &format!("report_id: {report}, dataset_ids: [{dataset}], {RLS}"))
        .warm()
        .await;
    stage.renew("v-1", "emea").await.token();
    let body = json!({
        "datasets": [{"id": dataset, "xmlaPermissions": "ReadOnly"}],
        "reports": [{"id": report}],
        "identities": [
            {"username": "emea", "roles": ["Customer"], "datasets": [dataset]},
            {"username": "emea", "reports": [report]},
        ],
    });
    assert_eq!(bodies(&stage), [body]);
}

/// `rls.datasets` says which of several datasets know the viewer.
#[tokio::test]
async fn an_identity_may_be_for_some_of_the_datasets_only() {
    let (open, closed) = (plain(), secured());
    let keys = format!(
        "report_id: {}, report_ids: [{}], rls: {{username: viewer.value, roles: [Customer], datasets: [{}]}}",
        open.report, closed.report, closed.dataset
    );
    let stage = PowerBi::default().embed("sales", &keys).warm().await;
    stage.renew("v-1", "emea").await.token();
    assert_eq!(bodies(&stage)[0]["identities"][0]["datasets"], json!([closed.dataset]));
    assert_eq!(calls(&stage), (0, 2, 1));
}
