//! Errors of the REST API (powerbi-boldbi.md section A6).

use http::StatusCode;
use serde_json::json;

use crate::emulator::faults::bodies::pbi_error;
use crate::emulator::wire::Reply;

/// A code and a message.
pub fn coded(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// 400 and why.
pub fn invalid(message: &str) -> Reply {
    coded(StatusCode::BAD_REQUEST, "InvalidRequest", message)
}

/// A code without a message.
pub fn bare(status: StatusCode, code: &str) -> Reply {
    Reply::json(status, &pbi_error(code))
}

/// Wrong audience, no such profile, no membership. Which status goes with which is known only in part.
pub fn not_authorised(status: StatusCode) -> Reply {
    bare(status, "PowerBINotAuthorizedException")
}

/// No such item, or one that the caller may not see.
pub fn no_item() -> Reply {
    bare(StatusCode::NOT_FOUND, "PowerBIEntityNotFound")
}

/// No such workspace.
pub fn no_workspace() -> Reply {
    bare(StatusCode::NOT_FOUND, "PowerBIFolderNotFound")
}

/// The bearer or the embed token is over.
pub fn expired() -> Reply {
    coded(StatusCode::FORBIDDEN, "TokenExpired", "Access token has expired, resubmit with a new access token")
}
