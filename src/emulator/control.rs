//! The emulator's own endpoints, under `/_emulator/`: journal, faults, revocation, the app, loads, the authority's
//! certificate.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::faults::Fault;
use super::settings::AppRefusal;
use super::wire::{Asked, Reply};

/// Answers `/_emulator/<what>`. These requests are not part of the journal.
pub(super) fn answer(state: &State, asked: &Asked, what: &str) -> Reply {
    match (&asked.method, what) {
        (&Method::GET, "requests") => requests(state, asked),
        (&Method::DELETE, "requests") => {
            state.journal.clear();
            Reply::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, "faults") => faults(state),
        (&Method::POST, "faults") => inject(state, asked),
        (&Method::DELETE, "faults") => clear_faults(state, asked),
        (&Method::POST, "revoke") => {
            state.databricks.revoke_tokens();
            Reply::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, "app") => Reply::json(StatusCode::OK, &json!(state.app_traffic())),
        (&Method::PUT, "app") => change_app(state, asked),
        (&Method::POST, "goodbye") => {
            state.traffic.say_goodbye();
            Reply::empty(StatusCode::NO_CONTENT)
        }
        (&Method::GET, "loads") => Reply::json(StatusCode::OK, &json!(state.databricks.loads())),
        (&Method::GET, "ca.pem") => match &state.ca_pem {
            Some(pem) => Reply::new(StatusCode::OK, "application/x-pem-file", pem.clone()),
            None => refused(StatusCode::NOT_FOUND, "the emulator serves plain HTTP: it has no authority"),
        },
        (_, "requests" | "faults" | "revoke" | "app" | "goodbye" | "loads" | "ca.pem") => {
            refused(StatusCode::METHOD_NOT_ALLOWED, "no such method")
        }
        _ => refused(StatusCode::NOT_FOUND, "there are requests, faults, revoke, app, goodbye, loads and ca.pem"),
    }
}

/// What of the app can be changed while it runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppChange {
    refusal: AppRefusal,
}

fn change_app(state: &State, asked: &Asked) -> Reply {
    match serde_json::from_slice::<AppChange>(&asked.body) {
        Ok(change) => {
            state.app.set_refusal(change.refusal);
            Reply::empty(StatusCode::NO_CONTENT)
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn requests(state: &State, asked: &Asked) -> Reply {
    let wanted = asked.query.get("operation");
    let after = asked.query.get("after").and_then(|seq| seq.parse().ok()).unwrap_or(0);
    let mut entries = state.journal.entries();
    entries.retain(|entry| entry.seq > after && wanted.is_none_or(|name| name == entry.operation.name()));
    Reply::json(StatusCode::OK, &json!(entries))
}

fn faults(state: &State) -> Reply {
    let active: Vec<Value> =
        state.faults.active().into_iter().map(|(id, fault)| json!({"id": id, "fault": fault})).collect();
    Reply::json(StatusCode::OK, &json!(active))
}

fn inject(state: &State, asked: &Asked) -> Reply {
    match serde_json::from_slice::<Fault>(&asked.body) {
        Ok(fault) if !fault.names_an_operation() => {
            let why = format!("there is no operation {}", fault.operation);
            refused(StatusCode::BAD_REQUEST, &why)
        }
        Ok(fault) => Reply::json(StatusCode::CREATED, &json!({"id": state.faults.inject(fault)})),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn clear_faults(state: &State, asked: &Asked) -> Reply {
    match asked.query.get("id").map(|id| id.parse::<u64>()) {
        Some(Err(_)) => {
            return refused(StatusCode::BAD_REQUEST, "id is the number that the POST answered");
        }
        Some(Ok(id)) => state.faults.clear(Some(id)),
        None => state.faults.clear(None),
    }
    Reply::empty(StatusCode::NO_CONTENT)
}

fn refused(status: StatusCode, why: &str) -> Reply {
    Reply::json(status, &json!({"error": why}))
}
