//! What can go wrong between here and a target, in the words of the contract.

use super::body::Upload;
use super::dial::NoConnection;
use crate::config::BaseUrl;
use crate::model::{Code, Fault};
use crate::upstream::connect::{is_tls, sources};

/// Characters of a cause.
const LONGEST_CAUSE: usize = 200;

/// No connection, and why.
pub(super) fn no_connection(target: &BaseUrl, error: &NoConnection) -> Fault {
    let error: &(dyn std::error::Error + 'static) = match error {
        NoConnection::Road(error) => &**error,
        NoConnection::Http(error) => error,
    };
    let is_late = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut)
    };
    if sources(error).any(is_late) {
        return no_connection_in_time(target);
    }
    let cause = innermost(error);
    let detail = if is_tls(error) {
        let hint = if cause.contains("UnknownIssuer") {
            "; if its certificate is of a private authority, or a proxy on the way opens TLS, set ca_file"
        } else {
            ""
        };
        format!("TLS with {target} failed: {cause}{hint}")
    } else {
        format!("{target} cannot be reached: {cause}")
    };
    Fault::new(Code::Unavailable, detail)
}

/// Connecting took too long.
pub(super) fn no_connection_in_time(target: &BaseUrl) -> Fault {
    Fault::new(Code::Timeout, format!("{target} could not be connected to in time (timeouts.connect)"))
}

/// The target said nothing, or nothing moved any more.
pub(super) fn late(target: &BaseUrl, upload: Option<&Upload>) -> Fault {
    if upload.is_some_and(Upload::has_failed) {
        return broken_off();
    }
    if upload.is_some_and(Upload::waits_for_caller) {
        return Fault::new(Code::MalformedRequest, "the body of the request took too long (timeouts.idle)");
    }
    let is_sent = upload.is_none_or(Upload::has_ended);
    let key = if is_sent { "response_headers" } else { "idle" };
    Fault::new(Code::Timeout, format!("{target} did not answer in time (timeouts.{key})"))
}

/// Whether a target that closes a connection may have meant the one, not the request.
pub(super) fn is_closing(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user() && !error.is_timeout()
}

/// The request was sent, or part of it, and no response came.
pub(super) fn no_response(target: &BaseUrl, error: &hyper::Error, upload: Option<&Upload>) -> Fault {
    if upload.is_some_and(Upload::has_failed) {
        return broken_off();
    }
    let cause = innermost(error);
    if error.is_parse() {
        Fault::new(Code::Malformed, format!("{target} answered with what is no HTTP: {cause}"))
    } else {
        Fault::new(Code::Unavailable, format!("{target} broke the connection: {cause}"))
    }
}

fn broken_off() -> Fault {
    Fault::new(Code::MalformedRequest, "the body of the request ended early")
}

/// The innermost cause says it best: "connection refused", "invalid peer certificate: Expired". What a target says
/// with its last breath (the debug data of GOAWAY) is its own text, which is not passed on.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let cause = sources(error).last().map(ToString::to_string).unwrap_or_default();
    let own = cause.split(" (b\"").next().unwrap_or_default();
    own.chars().take(LONGEST_CAUSE).collect()
}
