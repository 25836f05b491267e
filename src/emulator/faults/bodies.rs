//! The bodies that errors of the vendors have.

use http::StatusCode;
use serde_json::{Value, json};

use super::Fault;
use crate::emulator::entra::errors;
use crate::emulator::operation::Operation;
use crate::emulator::wire::Reply;

/// The status of a fault that names none.
pub(super) fn usual_status(body: Option<&str>, code: Option<&Value>) -> StatusCode {
    match (body, code.and_then(Value::as_u64)) {
        (Some("entra"), Some(number)) => errors::status(number),
        (Some("boldbi"), _) => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The answer that a fault describes.
pub(super) fn shaped(fault: &Fault, status: StatusCode, operation: Operation) -> Reply {
    let code = fault.error_code.clone().unwrap_or_else(|| default_code(status, operation).into());
    let words = fault.message.clone();
    let message = words.unwrap_or_else(|| format!("injected fault {} for {}", status.as_u16(), operation.name()));
    match fault.body.as_deref() {
        None | Some("platform" | "json") => {
            Reply::json(status, &json!({"error_code": code, "message": message, "details": []}))
        }
        Some("oauth") => Reply::json(status, &json!({"error": code, "error_description": message})),
        Some("okta") => Reply::json(status, &json!({"errorCode": code, "errorSummary": message})),
        Some("api12") => Reply::json(status, &json!({"error": message})),
        Some("entra") => {
            let number = code.as_u64().unwrap_or_else(|| errors::usual(status));
            errors::injected(status, number, fault.message.as_deref())
        }
        Some("powerbi") => Reply::json(status, &json!({"error": {"code": code, "message": message}})),
        Some("pbi_error") => Reply::json(status, &pbi_error(&plain(&code))),
        Some("boldbi") => Reply::json(status, &json!({"Status": false, "Message": message})),
        Some("boldbi_error") => Reply::json(status, &json!({"errorMessage": message})),
        Some("empty") => Reply::empty(status),
        Some("text") => Reply::new(status, "text/plain", format!("{}: {message}", plain(&code))),
        Some("html") => {
            let page = format!("<html><head><title>Sign in</title></head><body><pre>{message}</pre></body></html>");
            Reply::new(status, "text/html; charset=utf-8", page)
        }
        Some(raw) => {
            let is_json = raw.trim_start().starts_with('{') || raw == "null";
            let kind = if is_json { "application/json" } else { "text/plain" };
            Reply::new(status, kind, raw.to_owned())
        }
    }
}

/// An error of Power BI that has no message (powerbi-boldbi.md section A6, shape 2).
pub(in crate::emulator) fn pbi_error(code: &str) -> Value {
    let inner = json!({"code": code, "parameters": {}, "details": [], "exceptionCulprit": 1});
    json!({"error": {"code": code, "pbi.error": inner}})
}

fn plain(code: &Value) -> String {
    code.as_str().map_or_else(|| code.to_string(), str::to_owned)
}

/// The codes that go with a status: in Databricks' SDKs (databricks.md section 2.2), and at Power BI
/// (powerbi-boldbi.md section A6).
fn default_code(status: StatusCode, operation: Operation) -> &'static str {
    match (status.as_u16(), operation) {
        (400, _) if operation.is_power_bi() => "InvalidRequest",
        (401, _) if operation.is_power_bi() => "PowerBINotAuthorizedException",
        (403, _) if operation.is_power_bi() => "TokenExpired",
        (404, _) if operation.is_power_bi() => "PowerBIEntityNotFound",
        (429, _) if operation.is_power_bi() => "TooManyRequests",
        (401, Operation::ServiceToken | Operation::Mint) => "invalid_client",
        (400, Operation::ServiceToken | Operation::Mint) => "invalid_request",
        (400, _) => "INVALID_PARAMETER_VALUE",
        (401, _) => "UNAUTHENTICATED",
        (403, _) => "PERMISSION_DENIED",
        (404, _) => "RESOURCE_DOES_NOT_EXIST",
        (429, _) => "RESOURCE_EXHAUSTED",
        (503, _) => "TEMPORARILY_UNAVAILABLE",
        (504, _) => "DEADLINE_EXCEEDED",
        _ => "UNKNOWN",
    }
}
