//! The flow since v14.1: what is sent, and to where.

use serde_json::json;

use super::scene::{BoldBi, READER, VIEWER, asked, bodies, calls, dashboard};
use crate::support::claims;

#[tokio::test]
async fn row_b1_the_secret_and_all_of_the_viewer_travel_in_one_json_body() {
    let stage = BoldBi::default().start().await;
    let reply = stage.renew(VIEWER, "emea").await;
    let entry = &asked(&stage)[0];
    assert_eq!((entry.method.as_str(), entry.path.as_str()), ("POST", "/bi/api/site/site1/embed/authorize"));
    assert_eq!(entry.headers["content-type"], "application/json");
    assert_eq!((entry.auth_scheme.as_deref(), entry.query.len()), (None, 0), "the secret is in the body alone");
    assert_eq!(entry.notes, Vec::<String>::new());
    let mut body = bodies(&stage)[0].clone();
    // The journal hides the secret, and the emulator has taken it.
    assert!(body["embedsecret"].take().as_str().is_some_and(|secret| secret.starts_with("sha256:")));
    let expected = json!({
        "serverurl": format!("{}/bi", stage.vendor.url()),
        "siteidentifier": "site/site1",
        "email": VIEWER,
        "embedsecret": null,
        "dashboard": {"id": dashboard()},
        "customattributes": [{"name": "region", "value": "emea"}],
    });
    assert_eq!(body, expected);
    let claims = claims(&reply.token());
    assert_eq!(claims["email"], VIEWER, "the token is Data.access_token");
    assert_eq!(claims["custom_attribute"], r#"{"region":"emea"}"#);
}

#[tokio::test]
async fn row_b1_the_reply_has_what_the_page_needs() {
    let stage = BoldBi::default().start().await;
    let reply = stage.renew(VIEWER, "emea").await;
    let server = format!("{}/bi", stage.vendor.url());
    let embed = json!({
        "kind": "boldbi", "server_url": server, "site": "site1", "site_url": format!("{server}/site/site1"),
        "dashboard_id": dashboard(),
    });
    assert_eq!(reply.json()["embed"], embed);
    assert_eq!((reply.json()["token_type"].as_str(), reply.cache()), (Some("Bearer"), "miss".to_owned()));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn row_b2_a_second_ask_costs_no_call() {
    let stage = BoldBi::default().start().await;
    let token = stage.renew(VIEWER, "emea").await.token();
    for _ in 0..10 {
        let reply = stage.load(VIEWER, "emea").await;
        assert_eq!((reply.token(), reply.cache()), (token.clone(), "hit".to_owned()));
    }
    assert_eq!(calls(&stage), 1);
}

/// Whose address is whose: the value can be it, too.
#[tokio::test]
async fn row_b1_the_address_may_be_the_viewers_value() {
    let stage = BoldBi::default().sales("email: viewer.value").start().await;
    let reply = stage.renew("u-1", READER).await;
    assert_eq!(claims(&reply.token())["email"], READER);
    for nobody in [json!({"id": VIEWER}), json!({"id": VIEWER, "value": ""})] {
        let reply = stage.post("sales", &json!({"viewer": nobody, "purpose": "renew"})).await;
        assert_eq!(reply.refusal(), (422, "invalid_viewer".to_owned()), "{}", reply.text());
    }
    assert_eq!(calls(&stage), 1);
}

const ANONYMOUS: &str = "anonymous_group: Embed viewers";
const IMPORTED: &str = "email: viewer.value, group_access: {provider: portal, import_users: true}";
const GROUPS: &str = "email: viewer.value, group_access: {provider: portal, user: viewer.id}";

#[tokio::test]
async fn row_b14_anonymous_and_group_based_viewers_have_tokens_and_bodies_of_their_own() {
    let scene =
        BoldBi::default().sales("email: viewer.value").embed("open", &format!("email: viewer.value, {ANONYMOUS}"));
    let stage = scene.embed("groups", GROUPS).embed("imported", IMPORTED).start().await;
    let mut tokens = Vec::new();
    for embed in ["sales", "open", "groups", "imported"] {
        let token = stage.renew_of(embed, "u-1", VIEWER).await.token();
        assert!(!tokens.contains(&token), "{embed}");
        tokens.push(token);
    }
    for (embed, token) in ["sales", "open", "groups", "imported"].iter().zip(&tokens) {
        assert_eq!(stage.renew_of(embed, "u-1", VIEWER).await.token(), *token, "{embed}");
    }
    let bodies = bodies(&stage);
    assert_eq!(bodies.len(), 4);
    let anonymous = json!({"isenabled": true, "groupname": "Embed viewers"});
    let groups = |import: bool| json!({"isenabled": true, "userid": "u-1", "authprovidername": "portal", "isenableduserimport": import});
    let sent: Vec<_> = bodies.iter().map(|body| (body.get("anonymous"), body.get("groupbasedauthorization"))).collect();
    let (alone, importing) = (groups(false), groups(true));
    assert_eq!(sent, [(None, None), (Some(&anonymous), None), (None, Some(&alone)), (None, Some(&importing))]);
    assert!(bodies.iter().all(|body| body["email"] == VIEWER), "{bodies:?}");
}

/// Nobody by that name is a user there.
#[tokio::test]
async fn row_b14_who_is_anonymous_or_imported_need_not_be_known_there() {
    let scene = BoldBi::default().sales("email: viewer.value").embed("open", ANONYMOUS).embed("imported", IMPORTED);
    let stage = scene.start().await;
    stage.renew_of("open", "nobody", "").await.token();
    stage.renew_of("imported", "u-1", "nobody@example.com").await.token();
    assert_eq!(stage.renew("u-1", "nobody@example.com").await.refusal(), (502, "upstream_rejected".to_owned()));
}

#[tokio::test]
async fn row_b15_the_cloud_has_no_site_and_no_double_slash() {
    for (root, path) in
        [("", "/api/embed/authorize"), ("/", "/api/embed/authorize"), ("/bi", "/bi/api/embed/authorize")]
    {
        for flow in ["object_model", "signed_query"] {
            let stage = BoldBi::default().place(root, "").upstream(&format!("flow: {flow}")).start().await;
            let reply = stage.renew(VIEWER, "emea").await;
            let server = format!("{}{}", stage.vendor.url(), root.trim_end_matches('/'));
            assert_eq!(claims(&reply.token())["aud"], server);
            let entry = &asked(&stage)[0];
            assert_eq!((entry.path.as_str(), entry.notes.len()), (path, 0));
            let embed = &reply.json()["embed"];
            assert_eq!(
                (&embed["site"], &embed["site_url"], &embed["server_url"]),
                (&json!(""), &json!(server), &json!(server))
            );
            if let Some(body) = &entry.body {
                assert_eq!((&body["serverurl"], &body["siteidentifier"]), (&json!(server), &json!("")));
            }
        }
    }
}

/// The vendor's pages write the identifier, and people copy it.
#[tokio::test]
async fn row_b15_a_site_may_be_given_as_the_vendor_writes_it() {
    for (root, site) in [("/bi", "site1"), ("/bi/", "site1"), ("/bi", "site/site1")] {
        let stage = BoldBi::default().place(root, site).start().await;
        let reply = stage.renew(VIEWER, "emea").await;
        assert_eq!(reply.json()["embed"]["site"], "site1", "{}", reply.text());
        assert_eq!(asked(&stage)[0].path, "/bi/api/site/site1/embed/authorize");
    }
}
