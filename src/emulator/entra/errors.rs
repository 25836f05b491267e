//! The errors of the token endpoint (powerbi-boldbi.md section B3).

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use crate::emulator::wire::{Reply, uuid};

/// Number | `error` | what the text begins with. The status follows from `error`.
const CODES: [(u64, &str, &str); 36] = [
    (16000, "interaction_required", "User account does not exist in the tenant."),
    (28000, "invalid_scope", "The scope is not valid because it contains more than one resource."),
    (28002, "invalid_scope", "The scope is not valid when requesting an access token."),
    (50001, "invalid_resource", "The resource principal was not found in the tenant."),
    (50027, "invalid_request", "JWT token is invalid or malformed."),
    (50033, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    (50034, "invalid_grant", "The user account does not exist in the directory."),
    (50053, "invalid_grant", "The account is locked."),
    (50079, "invalid_grant", "The user is required to use multi-factor authentication."),
    (
        50087,
        "temporarily_unavailable",
        "A transient error has occurred during strong authentication. Please try again.",
    ),
    (50126, "invalid_grant", "Error validating credentials due to invalid username or password."),
    (50194, "invalid_request", "The application is not configured as a multi-tenant application."),
    (50196, "invalid_grant", "The server terminated an operation because it encountered a client request loop."),
    (53003, "access_denied", "Access has been blocked by Conditional Access policies."),
    (70003, "unsupported_grant_type", "The app requested an unsupported grant type."),
    (70011, "invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
    (90002, "invalid_request", "Tenant not found. Check to make sure you have the correct tenant ID."),
    (90033, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    (500_011, "invalid_resource", "The resource principal was not found in the tenant."),
    (500_133, "invalid_grant", "Assertion is not within its valid time range."),
    (530_032, "access_denied", "Blocked by security policy."),
    (700_003, "invalid_client", "Device object was not found in the tenant directory."),
    (700_016, "unauthorized_client", "Application was not found in the directory."),
    (700_021, "invalid_client", "Client assertion application identifier doesn't match 'client_id' parameter."),
    (700_023, "invalid_client", "Client assertion audience claim does not match Realm issuer."),
    (700_024, "invalid_client", "Client assertion is not within its valid time range."),
    (
        700_027,
        "invalid_client",
        "The certificate with identifier used to sign the client assertion is not registered on application, or the signature is not valid.",
    ),
    (700_030, "invalid_client", "Invalid certificate: the subject name in the certificate is not authorized."),
    (700_213, "invalid_client", "No matching federated identity record found for presented assertion."),
    (900_144, "invalid_request", "The request body must contain a parameter that is missing."),
    (1_000_502, "invalid_client", "The provided certificate is not within its specified validity window."),
    (7_000_112, "unauthorized_client", "Application is disabled."),
    (7_000_214, "invalid_client", "Certificate has been revoked."),
    (
        7_000_215,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
    ),
    (
        7_000_218,
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    (
        7_000_222,
        "invalid_client",
        "The provided client secret keys are expired. Create new keys for your app, or consider using certificate credentials for added security.",
    ),
];

/// The error of this number in its own words.
pub fn plain(number: u64) -> Reply {
    error(number, "")
}

/// The error of this number, and more to say about it.
pub fn error(number: u64, detail: &str) -> Reply {
    let (_, name, text) = find(number);
    answer(status(number), number, name, &format!("{text} {detail}"))
}

/// The status that goes with the number.
pub fn status(number: u64) -> StatusCode {
    match find(number).1 {
        "invalid_client" => StatusCode::UNAUTHORIZED,
        "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The number that a fault means which names none.
pub fn usual(status: StatusCode) -> u64 {
    match status.as_u16() {
        401 => 7_000_215,
        400..=499 => 90_002,
        _ => 90_033,
    }
}

/// The whole body with a status, and words, of choice: what a fault answers.
pub fn injected(status: StatusCode, number: u64, words: Option<&str>) -> Reply {
    let (_, name, text) = find(number);
    answer(status, number, name, words.unwrap_or(text))
}

fn find(number: u64) -> (u64, &'static str, &'static str) {
    let known = CODES.into_iter().find(|(known, ..)| *known == number);
    known.unwrap_or((number, "invalid_request", "An error that the emulator has no words for."))
}

pub(super) fn answer(status: StatusCode, number: u64, error: &str, text: &str) -> Reply {
    let (trace, correlation) = (uuid(), uuid());
    let time = Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let text = text.trim_end();
    let description =
        format!("AADSTS{number}: {text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {time}");
    let body = json!({
        "error": error,
        "error_description": description,
        "error_codes": [number],
        "timestamp": time,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
    });
    Reply::json(status, &body)
}
