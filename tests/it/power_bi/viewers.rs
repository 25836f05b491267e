//! Viewers with tokens at Power BI: roles that are proved, not asked for.

use serde_json::{Value, json};

use super::scene::{PowerBi, bodies, calls};
use crate::issuer::{Issuer, Token, rsa};
use crate::support::{Reply, Setup, Stage};
use crate::viewers::scene::{Gate, PROOF, RENEW, unauthenticated};

const RLS: &str = "rls: {username: viewer.value, custom_data: viewer.id, roles: viewer.roles, \
                   allowed_roles: [Customer, Manager, Auditor]}";

async fn start(issuer: &Issuer) -> Stage {
    let scene = PowerBi::default().sales(RLS);
    let vendor = scene.vendor().await;
    let gate = Gate::default().jwt("value_claim: region, roles_claim: /realm_access/roles");
    let text = format!("{}{}", gate.section(issuer), scene.yaml(&vendor));
    let setup = Setup::default().variable("ENTRA_SECRET", &vendor.entra().client_secret);
    setup.with_text(vendor, &text).await.warmed().await
}

fn with_roles(issuer: &Issuer, roles: Value) -> String {
    Token::by(rsa(), issuer).claim("realm_access", json!({"roles": roles})).text()
}

async fn get(stage: &Stage, token: &str) -> Reply {
    stage.send("GET", RENEW, &[PROOF, ("authorization", &format!("Bearer {token}"))], "").await
}

#[tokio::test]
async fn t13_roles_that_change_are_minted_anew() {
    let issuer = Issuer::start();
    let stage = start(&issuer).await;
    let customer = get(&stage, &with_roles(&issuer, json!(["Customer"]))).await.token();
    assert_eq!(get(&stage, &with_roles(&issuer, json!("Customer"))).await.token(), customer);
    let both = get(&stage, &with_roles(&issuer, json!(["Manager", "Customer"]))).await;
    assert_ne!(both.token(), customer);
    assert_eq!(get(&stage, &with_roles(&issuer, json!(["Customer", "Manager"]))).await.token(), both.token());
    assert_eq!(calls(&stage).2, 2);
    let identities: Vec<Value> = bodies(&stage).into_iter().map(|body| body["identities"][0].clone()).collect();
    assert_eq!(identities[0]["roles"], json!(["Customer"]));
    assert_eq!(identities[1]["roles"], json!(["Customer", "Manager"]));
    for identity in identities {
        assert_eq!((&identity["username"], &identity["customData"]), (&json!("emea"), &json!("alice")));
    }
}

#[tokio::test]
async fn t9_roles_cannot_be_asked_for() {
    let issuer = Issuer::start();
    let stage = start(&issuer).await;
    let bearer = format!("Bearer {}", with_roles(&issuer, json!(["Customer"])));
    let headers = [PROOF, ("content-type", "application/json"), ("authorization", bearer.as_str())];
    for roles in [json!(["Manager"]), json!(["Customer", "Manager"]), json!(["customer"])] {
        let body = json!({"viewer": {"roles": roles}, "purpose": "renew"}).to_string();
        let reply = stage.send("POST", "/v1/embeds/sales/token", &headers, body).await;
        assert_eq!(reply.refusal(), (403, "viewer_mismatch".to_owned()), "{roles}: {}", reply.text());
    }
    for roles in [json!(null), json!(5), json!([5]), json!({})] {
        unauthenticated(&get(&stage, &with_roles(&issuer, roles.clone())).await, &roles.to_string());
    }
    unauthenticated(&get(&stage, &Token::by(rsa(), &issuer).text()).await, "no roles");
    // Proved or not: a role that the config does not offer is none.
    let reply = get(&stage, &with_roles(&issuer, json!(["Owner"]))).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert_eq!(calls(&stage).2, 0);
}
