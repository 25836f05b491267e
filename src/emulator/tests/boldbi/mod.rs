//! Bold BI: both flows, what the answers tell, and what a token lets its bearer see.

mod frame;
mod object_model;
mod signed_query;

use super::*;
use serde_json::json;

const SECRET: &str = "bold-embed-secret-of-the-emulator";
const EMAIL: &str = "viewer@example.com";
const BOARD: &str = "c5bab292-0ee6-4ee7-9dfa-d6b3cffed7ff";
const NO_OBJECT: &str = "Object reference not set to an instance of an object.";

/// The least that the object model takes, and more members.
fn details(more: Value) -> Value {
    let mut details = json!({
        "serverurl": "http://127.0.0.1/bi",
        "siteidentifier": "site/site1",
        "email": EMAIL,
        "embedsecret": SECRET,
    });
    let members = details.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    details
}

/// A request by the object model.
async fn authorize(emulator: &Emulator, more: Value) -> Answer {
    authorize_at(emulator, "/bi/api/site/site1/embed/authorize", &details(more)).await
}

async fn authorize_at(emulator: &Emulator, path: &str, body: &Value) -> Answer {
    let headers = [("Content-Type", "application/json")];
    ask(emulator, &format!("POST {path}"), &headers, &body.to_string()).await.expect("an answer")
}

#[track_caller]
fn access_token(answer: &Answer) -> String {
    let body = answer.json();
    assert_eq!((answer.status, &body["ApiStatus"], &body["Status"]), (200, &true.into(), &true.into()), "{body}");
    body["Data"]["access_token"].as_str().expect("a token").to_owned()
}

#[track_caller]
fn claims(answer: &Answer) -> Value {
    part(&access_token(answer), 1)
}

/// Refused with 200, as far as anybody knows.
#[track_caller]
fn assert_refused(answer: &Answer, message: &str) {
    assert_eq!((answer.status, answer.json()), (200, json!({"Status": false, "Message": message})));
}

fn last_notes(emulator: &Emulator) -> Vec<String> {
    emulator.journal().pop().expect("an entry").notes
}
