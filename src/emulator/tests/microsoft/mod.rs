//! Microsoft Entra and Power BI, over the same sockets.

mod assertions;
mod entra;
mod frame;
mod identities;
mod powerbi;

use super::*;
use crate::emulator::{DatasetKind, ReportKind};
use serde_json::json;

const POWER_BI: &str = "https://analysis.windows.net/powerbi/api";

fn scope() -> String {
    format!("{POWER_BI}/.default")
}

/// A request to the token endpoint with these fields.
async fn entra(emulator: &Emulator, fields: &[(&str, &str)]) -> Answer {
    let path = format!("/{}/oauth2/v2.0/token", emulator.entra().tenant_id);
    entra_at(emulator, &path, None, fields).await
}

async fn entra_at(emulator: &Emulator, path: &str, authorization: Option<&str>, fields: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    ask(emulator, &format!("POST {path}"), &headers, &body).await.expect("an answer")
}

/// With the secret that the emulator was started with.
async fn by_secret(emulator: &Emulator) -> Answer {
    let settings = emulator.entra();
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &settings.client_id),
        ("client_secret", &settings.client_secret),
        ("scope", &scope()),
    ];
    entra(emulator, &fields).await
}

async fn bearer(emulator: &Emulator) -> String {
    format!("Bearer {}", by_secret(emulator).await.text("access_token"))
}

/// The same error in all its parts.
#[track_caller]
fn assert_entra_error(answer: &Answer, status: u16, error: &str, number: u64) {
    let body = answer.json();
    assert_eq!((answer.status, &body["error"], &body["error_codes"]), (status, &error.into(), &json!([number])));
    let text = body["error_description"].as_str().expect("a description");
    assert!(text.starts_with(&format!("AADSTS{number}: ")) && text.contains("\r\nTrace ID: "), "{text}");
    assert!(text.contains(body["correlation_id"].as_str().expect("an id")), "{text}");
}

/// A POST with a JSON body under `/v1.0/myorg`.
async fn post(emulator: &Emulator, bearer: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut all = vec![("Content-Type", "application/json; charset=utf-8"), ("Authorization", bearer)];
    all.extend(headers);
    ask(emulator, &format!("POST /v1.0/myorg{path}"), &all, &body.to_string()).await.expect("an answer")
}

async fn generate(emulator: &Emulator, body: &Value) -> Answer {
    post(emulator, &bearer(emulator).await, "/GenerateToken", &[], body).await
}

async fn look_up(emulator: &Emulator, path: &str) -> Answer {
    let bearer = bearer(emulator).await;
    get(emulator, &format!("/v1.0/myorg{path}"), &[("Authorization", &bearer)]).await
}

fn dataset(emulator: &Emulator, kind: impl Fn(&DatasetKind) -> bool) -> String {
    emulator.powerbi().datasets.iter().find(|one| kind(&one.kind)).expect("a dataset of that kind").id.clone()
}

/// The interactive report on a dataset.
fn report_on(emulator: &Emulator, dataset: &str) -> String {
    let kind = ReportKind::Interactive(dataset.to_owned());
    emulator.powerbi().reports.iter().find(|one| one.kind == kind).expect("a report on it").id.clone()
}

fn plain(emulator: &Emulator) -> String {
    dataset(emulator, |kind| *kind == DatasetKind::Plain)
}

fn secured(emulator: &Emulator) -> String {
    dataset(emulator, |kind| matches!(kind, DatasetKind::Secured { roles } if !roles.is_empty()))
}
