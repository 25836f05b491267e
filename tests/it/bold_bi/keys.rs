//! What tells two tokens apart: each value that is minted into one, and nothing else.

use serde_json::{Value, json};

use super::scene::{ALL_REGIONS, BoldBi, READER, REGION, VIEWER, asked, bodies, calls, dashboard, regions, set};
use crate::support::{Reply, Stage, claims, joined};

async fn renew(stage: &Stage, viewer: Value) -> Reply {
    stage.post("sales", &json!({"viewer": viewer, "purpose": "renew"})).await
}

/// A body as text, since the order of its members matters here.
async fn renew_as_written(stage: &Stage, viewer: &str) -> Reply {
    let headers = [("sidemint-request", "true"), ("content-type", "application/json")];
    stage.send("POST", "/v1/embeds/sales/token", &headers, format!(r#"{{"viewer": {viewer}}}"#)).await
}

/// The three ways to filter, of both flows: one address, and rows that differ.
#[tokio::test]
async fn row_b6_other_values_are_other_tokens_and_other_rows() {
    for flow in ["object_model", "signed_query"] {
        for keys in [
            REGION,
            "custom_attributes: {region: viewer.attributes.area}",
            "datasource_filters: [{name: region, value: viewer.value}]",
            "datasource_filters: [{name: region, value: viewer.value, operator: IN}]",
            "dashboard_parameters: [{name: region, value: viewer.attributes.area}]",
        ] {
            let stage = BoldBi::default().upstream(&format!("flow: {flow}")).sales(keys).start().await;
            let viewer = |area: &str| json!({"id": VIEWER, "value": area, "attributes": {"area": area}});
            let mut tokens = Vec::new();
            for area in ["emea", "apac"] {
                let token = renew(&stage, viewer(area)).await.token();
                assert_eq!(regions(&stage, &token).await, set(&[area]), "{flow} {keys}");
                assert!(!tokens.contains(&token));
                tokens.push(token);
            }
            stage.vendor.clear_journal();
            assert_eq!(renew(&stage, viewer("emea")).await.token(), tokens[0]);
            assert_eq!(calls(&stage), 0, "{flow} {keys}");
        }
    }
}

/// All at once, and each several times.
#[tokio::test]
async fn row_b6_viewers_who_come_together_each_see_their_own_rows() {
    for scene in [BoldBi::default(), BoldBi::signed()] {
        let stage = scene.start().await;
        let asks = [VIEWER, READER].into_iter().flat_map(|viewer| ALL_REGIONS.map(|region| (viewer, region)));
        let asks: Vec<(&str, &str)> = asks.cycle().take(60).collect();
        let replies = joined(asks.iter().map(|(viewer, region)| stage.renew(viewer, region))).await;
        for ((viewer, region), reply) in asks.iter().zip(&replies) {
            let token = reply.token();
            assert_eq!(claims(&token)["email"], *viewer);
            assert_eq!(regions(&stage, &token).await, set(&[region]));
        }
        assert_eq!(asked(&stage).len(), 12);
    }
}

#[tokio::test]
async fn row_b6_each_part_of_a_viewer_counts() {
    let stage = BoldBi::default().start().await;
    let viewers = [
        json!({"id": VIEWER, "value": "emea"}),
        json!({"id": READER, "value": "emea"}),
        // The vendor does not tell letter case apart in addresses; we do not fold anything.
        json!({"id": "Viewer@example.com", "value": "emea"}),
        json!({"id": VIEWER, "value": "emea "}),
        json!({"id": VIEWER, "value": "EMEA"}),
        json!({"id": VIEWER, "value": "emea", "roles": ["a"]}),
        json!({"id": VIEWER, "value": "emea", "roles": ["a", "b"]}),
        json!({"id": VIEWER, "value": "emea", "roles": ["a,b"]}),
        json!({"id": VIEWER, "value": "emea", "attributes": {"a": "b"}}),
        json!({"id": VIEWER, "value": "emea", "attributes": {"c": "b"}}),
        json!({"id": VIEWER, "value": "emea", "attributes": {"a": "", "b": ""}}),
        json!({"id": VIEWER, "value": "emea", "attributes": {"ab": ""}}),
    ];
    let mut tokens = Vec::new();
    for viewer in &viewers {
        let token = renew(&stage, viewer.clone()).await.token();
        assert!(!tokens.contains(&token), "{viewer}");
        tokens.push(token);
    }
    assert_eq!(calls(&stage), viewers.len());
}

#[tokio::test]
async fn row_b6_lists_are_the_viewers_roles_or_fixed() {
    let list = |operator: &str, value: &str| {
        format!("datasource_filters: [{{name: region, operator: {operator}, value: {value}}}]")
    };
    let others: Vec<&str> = ALL_REGIONS.into_iter().filter(|region| !["emea", "apac"].contains(region)).collect();
    for flow in ["object_model", "signed_query"] {
        for (keys, sees) in [
            (list("IN", "viewer.roles"), set(&["apac", "emea"])),
            (list("NOT IN", "viewer.roles"), set(&others)),
            (list("IN", "{fixed: [emea, amer]}"), set(&["amer", "emea"])),
            (list("NOT IN", "{fixed: [emea, apac]}"), set(&others)),
            (list("=", "{fixed: latam}"), set(&["latam"])),
            ("custom_attributes: {region: {fixed: anz}}".to_owned(), set(&["anz"])),
            (String::new(), set(&ALL_REGIONS)),
        ] {
            let stage = BoldBi::default().upstream(&format!("flow: {flow}")).sales(&keys).start().await;
            let reply = renew(&stage, json!({"id": VIEWER, "roles": ["emea", "apac"]})).await;
            assert_eq!(regions(&stage, &reply.token()).await, sees, "{flow} {keys}");
        }
    }
}

/// Roles are a set: sent in one order, whatever order they came in. A list of the config stays as it is written.
#[tokio::test]
async fn row_b7_no_order_in_the_ask_makes_another_token() {
    let keys = "custom_attributes: {region: viewer.attributes.area, tier: viewer.attributes.tier}, \
                datasource_filters: [{name: team, value: viewer.roles}, {name: city, value: {fixed: [b, a]}}]";
    let stage = BoldBi::default().sales(keys).start().await;
    let asks = [
        r#"{"id": "viewer@example.com", "roles": ["y", "x", "z"], "attributes": {"area": "emea", "tier": "2"}}"#,
        r#"{"id": "viewer@example.com", "roles": ["x", "z", "y"], "attributes": {"tier": "2", "area": "emea"}}"#,
        r#"{"attributes": {"tier": "2", "area": "emea"}, "roles": ["z", "x", "y", "x"], "id": "viewer@example.com"}"#,
        r#"{"roles":["z","y","y","x"],"value":null,"attributes":{"tier":"\u0032","area":"emea"},"id":"viewer@example.com"}"#,
    ];
    let token = renew_as_written(&stage, asks[0]).await.token();
    for ask in &asks[1..] {
        let reply = renew_as_written(&stage, ask).await;
        assert_eq!((reply.token(), reply.cache()), (token.clone(), "hit".to_owned()), "{ask}");
    }
    assert_eq!(calls(&stage), 1);
    let body = &bodies(&stage)[0];
    let filters = json!([{"name": "team", "value": ["x", "y", "z"]}, {"name": "city", "value": ["b", "a"]}]);
    assert_eq!(body["datasourcefilters"], filters);
    assert_eq!(body["customattributes"], json!([{"name": "region", "value": "emea"}, {"name": "tier", "value": "2"}]));
}

async fn reload(stage: &Stage, scene: &BoldBi) {
    let text = scene.yaml(&stage.vendor);
    let config = stage.parsed(&text);
    stage.app.reload(config).await.expect("the new config is taken");
}

/// Names of attributes have no order in the config either.
#[tokio::test]
async fn row_b7_attributes_written_in_another_order_are_the_same_config() {
    let with = |keys: &str| BoldBi::default().sales(keys);
    let stage = with("custom_attributes: {region: viewer.value, tier: {fixed: x}}").start().await;
    let token = stage.renew(VIEWER, "emea").await.token();
    reload(&stage, &with("custom_attributes: {tier: {fixed: x}, region: viewer.value}")).await;
    assert_eq!(stage.renew(VIEWER, "emea").await.token(), token);
    assert_eq!(calls(&stage), 1);
}

/// Each key that is minted into a token makes tokens of its own when it changes.
#[tokio::test]
async fn row_b6_every_change_of_what_is_minted_takes_effect_at_once() {
    let stage = BoldBi::default().start().await;
    let mut seen = vec![stage.renew(VIEWER, READER).await.token()];
    for keys in [
        "custom_attributes: {region: viewer.id}",
        "custom_attributes: {area: viewer.value}",
        "custom_attributes: {region: {fixed: emea}}",
        "datasource_filters: [{name: region, value: viewer.value}]",
        "datasource_filters: [{name: region, value: viewer.value, operator: NOT IN}]",
        "dashboard_parameters: [{name: region, value: viewer.value}]",
        "email: viewer.value",
        "anonymous_group: Embed viewers",
        "group_access: {provider: portal}",
        "group_access: {provider: portal, import_users: true}",
        "group_access: {provider: portal, user: viewer.value}",
        "lifetime: 1h",
        "",
    ] {
        reload(&stage, &BoldBi::default().sales(keys)).await;
        let token = stage.renew(VIEWER, READER).await.token();
        assert!(!seen.contains(&token), "{keys}");
        seen.push(token);
    }
    assert_eq!(calls(&stage), seen.len());
    assert!(bodies(&stage).iter().all(|body| body["dashboard"]["id"] == dashboard()));
}

/// A filter that is left out would show all rows.
#[tokio::test]
async fn row_b6_a_viewer_who_lacks_a_value_reaches_nobody() {
    let refused = async |keys: &str, viewer: Value| {
        let stage = BoldBi::default().sales(keys).start().await;
        let reply = renew(&stage, viewer.clone()).await;
        assert_eq!(reply.refusal(), (422, "invalid_viewer".to_owned()), "{keys} {viewer}: {}", reply.text());
        assert_eq!(calls(&stage), 0);
        reply.detail()
    };
    for value in [json!({"id": VIEWER}), json!({"id": VIEWER, "value": ""}), json!({"id": VIEWER, "value": null})] {
        for keys in [REGION, "datasource_filters: [{name: region, value: viewer.value}]"] {
            refused(keys, value.clone()).await;
        }
    }
    let attribute = "custom_attributes: {region: viewer.attributes.area}";
    for attributes in [json!({}), json!({"Area": "emea"}), json!({"area": ""})] {
        refused(attribute, json!({"id": VIEWER, "attributes": attributes})).await;
    }
    let roles = "datasource_filters: [{name: region, value: viewer.roles}]";
    for list in [json!([]), json!([""]), json!(["emea", ""])] {
        refused(roles, json!({"id": VIEWER, "roles": list})).await;
    }
    // The vendor takes such a text for a list.
    for value in ["IN(emea,apac)", "in (emea)", " NOT IN(apac)", "NotIn(apac)"] {
        let detail = refused(REGION, json!({"id": VIEWER, "value": value})).await;
        assert!(detail.contains("operator"), "{detail}");
    }
}
