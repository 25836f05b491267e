//! T9, T10 and rank 3: whoever brings alice's token is alice, however bob is named beside it.

use serde_json::{Value, json};

use super::scene::{JSON, PROOF, RENEW, Scene, TOKEN, seen};
use crate::issuer::Token;
use crate::support::Reply;

/// Refused as another viewer.
const MISMATCH: (u16, &str) = (403, "viewer_mismatch");
/// Refused as an ask that is none, whoever comes.
const INVALID: (u16, &str) = (422, "invalid_parameters");

/// Nobody but alice from `emea` is shown anything, and no other name reaches the vendor.
#[track_caller]
fn only_alice(scene: &Scene, reply: &Reply, what: &str) {
    if reply.status == 200 {
        assert_eq!(seen(&reply.token()), "emea:alice", "{what}");
    }
    let said = serde_json::to_string(&scene.vendor.journal()).expect("a journal is JSON");
    assert!(!said.contains("bob") && !said.contains("apac"), "{what}: {said}");
}

async fn refused(scene: &Scene, reply: &Reply, (status, code): (u16, &str), what: &str) {
    only_alice(scene, reply, what);
    assert_eq!(reply.refusal(), (status, code.to_owned()), "{what}: {}", reply.text());
    assert!(!reply.text().contains("bob") && !reply.text().contains("apac"), "{what}: {}", reply.text());
    assert_eq!(scene.counts().2, 0, "{what}: nothing is minted");
}

#[tokio::test]
async fn rank_3_t9_bob_in_the_query() {
    let scene = Scene::new().await;
    let token = scene.token().bearer();
    let duplicates = "viewer_id=alice&viewer_id=bob&purpose=renew";
    for (query, outcome) in [
        ("viewer_id=bob&purpose=renew", MISMATCH),
        ("viewer_id=Alice&purpose=renew", MISMATCH),
        ("viewer_id=alice+&purpose=renew", MISMATCH),
        ("viewer_id=%61lice%00&purpose=renew", MISMATCH),
        ("viewer_id=al%C4%B1ce&purpose=renew", MISMATCH),
        ("viewer_id=&purpose=renew", MISMATCH),
        (duplicates, INVALID),
        ("viewer_id=bob&viewer_id=alice&purpose=renew", INVALID),
        ("viewer_id=alice&viewer_id=alice&purpose=renew", INVALID),
        ("VIEWER_ID=bob&purpose=renew", INVALID),
        ("viewer%5Fid=bob&purpose=renew", INVALID),
        ("viewer_id[]=bob&purpose=renew", INVALID),
        ("viewer.id=bob&purpose=renew", INVALID),
        ("viewer_value=apac&purpose=renew", INVALID),
        ("viewer=%7B%22id%22%3A%22bob%22%7D&purpose=renew", INVALID),
        ("access_token=bob&purpose=renew", INVALID),
    ] {
        let reply = scene.send("GET", &format!("{TOKEN}?{query}"), &[PROOF, ("authorization", &token)], "").await;
        refused(&scene, &reply, outcome, query).await;
    }
    let path = format!("{TOKEN}?viewer_id=%61lice&purpose=renew");
    let named = scene.send("GET", &path, &[PROOF, ("authorization", &token)], "").await;
    assert_eq!(seen(&named.token()), "emea:alice");
}

#[tokio::test]
async fn rank_3_t9_bob_in_a_header() {
    let scene = Scene::new().await;
    let token = scene.token().bearer();
    let bob = "%7B%22id%22%3A%22bob%22%7D";
    for (name, value, outcome) in [
        ("sidemint-viewer-value", "apac", MISMATCH),
        ("sidemint-viewer-value", "", MISMATCH),
        ("sidemint-viewer-value", "Emea", MISMATCH),
        ("sidemint_viewer_value", "apac", INVALID),
        ("sidemint-viewer", bob, INVALID),
        ("sidemint_viewer", bob, INVALID),
        ("sidemint-viewer-id", "bob", INVALID),
        ("sidemint_viewer_id", "bob", INVALID),
        ("x-forwarded-user", "bob", (403, "forwarded_request")),
        ("x_forwarded_user", "bob", (403, "forwarded_request")),
    ] {
        let reply = scene.send("GET", RENEW, &[PROOF, ("authorization", &token), (name, value)], "").await;
        refused(&scene, &reply, outcome, &format!("{name}: {value}")).await;
    }
    // Twice, the right one first and the wrong one first.
    for [one, other] in [["emea", "apac"], ["apac", "emea"]] {
        let headers =
            [PROOF, ("authorization", &token), ("sidemint-viewer-value", one), ("sidemint-viewer-value", other)];
        refused(&scene, &scene.send("GET", RENEW, &headers, "").await, INVALID, "the value twice").await;
    }
    // What nobody reads changes nothing.
    for (name, value) in [
        ("cookie", "viewer_id=bob; access_token=bob"),
        ("x-viewer-id", "bob"),
        ("viewer-id", "bob"),
        ("x-user", "bob"),
        ("x-auth-request-user", "bob"),
        ("remote-user", "bob"),
        ("proxy-authorization", "Bearer bob"),
        ("x-original-url", "/v1/embeds/sales/token?viewer_id=bob"),
    ] {
        let reply = scene.send("GET", RENEW, &[PROOF, ("authorization", &token), (name, value)], "").await;
        only_alice(&scene, &reply, name);
        assert!(reply.status == 200 || reply.status.is_client_error(), "{name}: {}", reply.text());
    }
}

#[tokio::test]
async fn rank_3_t9_bob_in_the_body() {
    let scene = Scene::new().await;
    let token = scene.token().text();
    for viewer in [
        json!({"id": "bob"}),
        json!({"id": "bob", "value": "emea"}),
        json!({"id": "alice", "value": "apac"}),
        json!({"value": "apac"}),
        json!({"id": "alice", "value": ""}),
        json!({"id": "ALICE"}),
        json!({"id": ""}),
        json!({"id": "alice\u{200b}"}),
        json!({"id": "alice", "roles": ["admin"]}),
        json!({"roles": ["admin"]}),
        json!({"id": "alice", "attributes": {"region": "apac"}}),
        json!({"attributes": {"bob": "bob"}}),
    ] {
        let reply = scene.ask_for(&token, viewer.clone()).await;
        refused(&scene, &reply, MISMATCH, &viewer.to_string()).await;
    }
    let reply = scene.ask_raw(&token, r#"{"viewer": {"\u0069d": "b\u006fb"}, "purpose": "renew"}"#).await;
    refused(&scene, &reply, MISMATCH, "escapes").await;
    let path = format!("{TOKEN}?viewer_id=bob");
    let headers = [PROOF, JSON, ("authorization", &format!("Bearer {token}"))];
    let both = scene.send("POST", &path, &headers, json!({"viewer": {"id": "alice"}}).to_string()).await;
    only_alice(&scene, &both, "the body is alice, the query is bob");
    assert!(both.status.is_client_error() || seen(&both.token()) == "emea:alice");
}

#[tokio::test]
async fn t10_a_body_that_names_two_is_none() {
    let scene = Scene::new().await;
    let token = scene.token().text();
    for body in [
        r#"{"viewer": {"id": "alice"}, "viewer": {"id": "bob"}, "purpose": "renew"}"#,
        r#"{"viewer": {"id": "bob"}, "viewer": {"id": "alice"}, "purpose": "renew"}"#,
        r#"{"viewer": {"id": "alice", "id": "bob"}, "purpose": "renew"}"#,
        r#"{"viewer": {"id": "bob", "id": "alice"}, "purpose": "renew"}"#,
        r#"{"viewer": {"id": "alice", "\u0069d": "bob"}, "purpose": "renew"}"#,
        r#"{"viewer": {"value": "emea", "value": "apac"}, "purpose": "renew"}"#,
        r#"{"viewer": {"roles": [], "roles": ["admin"]}, "purpose": "renew"}"#,
        r#"{"viewer": {"attributes": {"a": "b", "a": "c"}}, "purpose": "renew"}"#,
        r#"{"viewer": {}, "purpose": "renew", "purpose": "load"}"#,
        r#"{"viewer": {"Id": "bob"}, "purpose": "renew"}"#,
        r#"{"Viewer": {"id": "bob"}, "purpose": "renew"}"#,
        r#"{"viewer_id": "bob", "purpose": "renew"}"#,
        r#"{"viewer": "bob", "purpose": "renew"}"#,
        r#"{"viewer": ["bob"], "purpose": "renew"}"#,
        r#"{"viewer": {"id": 5}, "purpose": "renew"}"#,
        r#"{"viewer": {"id": ["alice", "bob"]}, "purpose": "renew"}"#,
        r#"[{"id": "bob"}, "renew"]"#,
    ] {
        refused(&scene, &scene.ask_raw(&token, body).await, INVALID, body).await;
    }
    let bearer = format!("Bearer {token}");
    let form = [PROOF, ("authorization", bearer.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let reply = scene.send("POST", TOKEN, &form, "viewer_id=bob").await;
    refused(&scene, &reply, (415, "unsupported_media_type"), "a form").await;
    for path in ["/v1/embeds/sales/token/bob", "/v1/embeds/sales/token;viewer_id=bob", "/v1/embeds/sales/bob/token"] {
        let reply = scene.send("GET", path, &[PROOF, ("authorization", &bearer)], "").await;
        refused(&scene, &reply, (404, "not_found"), path).await;
    }
}

/// Two who prove themselves are nobody.
#[tokio::test]
async fn rank_3_t9_bob_in_a_second_authorization() {
    let scene = Scene::new().await;
    let [alice, bob] = [scene.token(), scene.token().viewer("bob", "apac")].map(|token: Token| token.bearer());
    for [one, other] in [[&alice, &bob], [&bob, &alice], [&alice, &alice]] {
        let headers = [PROOF, ("authorization", one.as_str()), ("authorization", other.as_str())];
        let reply = scene.send("GET", RENEW, &headers, "").await;
        refused(&scene, &reply, (401, "viewer_unauthenticated"), "two headers").await;
        let joined = format!("{one}, {other}");
        let reply = scene.get_with(&joined).await;
        refused(&scene, &reply, (401, "viewer_unauthenticated"), "two in one").await;
    }
    let spelt = scene.send("GET", RENEW, &[PROOF, ("authorization", &alice), ("author_ization", &bob)], "").await;
    only_alice(&scene, &spelt, "a name that is another one");
}

/// The app may go on naming the viewer, as long as it is the same one.
#[tokio::test]
async fn t9_the_same_viewer_named_as_well_is_fine() {
    let scene = Scene::new().await;
    let token = scene.token().text();
    let first = scene.get(&token).await;
    assert_eq!(seen(&first.token()), "emea:alice");
    for viewer in [
        json!({"id": "alice", "value": "emea"}),
        json!({"id": "alice"}),
        json!({"value": "emea"}),
        json!({}),
        json!({"id": null, "value": null, "roles": null, "attributes": null}),
        json!({"id": "alice", "roles": [], "attributes": {}}),
    ] {
        let reply = scene.ask_for(&token, viewer.clone()).await;
        assert_eq!((reply.token(), reply.cache().as_str()), (first.token(), "hit"), "{viewer}");
    }
    for body in [json!({"purpose": "renew"}), json!({"viewer": null, "purpose": "renew"})] {
        let reply: Reply = scene.ask(&token, &body).await;
        assert_eq!((reply.token(), reply.cache().as_str()), (first.token(), "hit"), "{body}");
    }
    let headers = [PROOF, ("authorization", &format!("Bearer {token}")), ("sidemint-viewer-value", "eme%61")];
    let reply = scene.send("GET", &format!("{RENEW}&viewer_id=alice"), &headers, "").await;
    assert_eq!((reply.token(), reply.cache().as_str()), (first.token(), "hit"));
    assert_eq!(scene.counts().2, 1, "one token for all of it");
}

/// Roles are a set.
#[tokio::test]
async fn t9_roles_and_attributes_have_to_be_the_verified_ones() {
    let jwt = "value_claim: region, roles_claim: roles, attribute_claims: {area: area}";
    let scene = super::scene::Gate::default().jwt(jwt).start().await;
    let token = scene.token().claim("roles", json!(["a", "b"])).claim("area", "north").text();
    for viewer in [
        json!({"roles": ["b", "a"]}),
        json!({"roles": ["a", "b", "a"], "attributes": {"area": "north"}}),
        json!({"id": "alice", "value": "emea", "roles": ["a", "b"], "attributes": {"area": "north"}}),
    ] {
        assert_eq!(seen(&scene.ask_for(&token, viewer).await.token()), "emea:alice");
    }
    scene.vendor.clear_journal();
    for viewer in [
        json!({"roles": ["a"]}),
        json!({"roles": ["a", "b", "c"]}),
        json!({"roles": ["a", "B"]}),
        json!({"roles": ["a,b"]}),
        json!({"attributes": {"area": "south"}}),
        json!({"attributes": {"area": "north", "more": "x"}}),
        json!({"attributes": {"more": "x"}}),
    ] {
        let reply = scene.ask_for(&token, viewer.clone()).await;
        refused(&scene, &reply, MISMATCH, &viewer.to_string()).await;
    }
}

/// Both forms of a POST without a viewer.
#[tokio::test]
async fn a_post_may_leave_the_viewer_out_altogether() {
    let scene = Scene::new().await;
    let bearer = scene.token().bearer();
    let with: [&[(&str, &str)]; 3] = [&[], &[JSON], &[("content-length", "0")]];
    for headers in with {
        let all: Vec<_> = [PROOF, ("authorization", bearer.as_str())].iter().chain(headers).copied().collect();
        let reply = scene.send("POST", TOKEN, &all, "").await;
        assert_eq!(seen(&reply.token()), "emea:alice", "{headers:?}");
    }
    let reply: Reply = scene.ask_raw(&scene.token().text(), "{}").await;
    assert_eq!(seen(&reply.token()), "emea:alice");
    let nothing: Value = json!(null);
    let reply = scene.ask(&scene.token().text(), &nothing).await;
    assert_eq!(reply.refusal(), (422, "invalid_parameters".to_owned()), "null is no object");
}
