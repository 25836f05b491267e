//! Which endpoint a path and method mean: one match, pure.

use http::Method;

use crate::edge::{Response, respond};
use crate::model::{Code, Fault};

/// An endpoint of the token port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `GET` or `POST /v1/embeds/{embed}/token`
    ViewerToken(&'a str),
    /// `GET /openapi.json`
    OpenApi,
}

/// No endpoint.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) fault: Fault,
    allow: Option<&'static str>,
}

impl Lost {
    pub(super) fn response(&self) -> Response {
        match self.allow {
            Some(allow) => respond::method_not_allowed(&self.fault, allow),
            None => respond::problem(&self.fault),
        }
    }

    pub(super) fn not_found(detail: &'static str) -> Lost {
        Lost { fault: Fault::new(Code::NotFound, detail), allow: None }
    }

    pub(super) fn wrong_method(allow: &'static str) -> Lost {
        Lost { fault: Fault::new(Code::MethodNotAllowed, format!("allowed here: {allow}")), allow: Some(allow) }
    }
}

/// Finds the endpoint. Paths are compared as they came: names in the config need no encoding, so
/// an encoded one names nothing.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, Lost> {
    if path == "/openapi.json" {
        return if method == Method::GET { Ok(Route::OpenApi) } else { Err(Lost::wrong_method("GET")) };
    }
    let embed = path.strip_prefix("/v1/embeds/").and_then(|rest| rest.strip_suffix("/token"));
    match embed.filter(|embed| !embed.contains('/')) {
        Some(embed) if method == Method::GET || method == Method::POST => Ok(Route::ViewerToken(embed)),
        Some(_) => Err(Lost::wrong_method("GET, POST")),
        None => Err(Lost::not_found("see /openapi.json for what there is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        let code = |method: &str, path: &str| {
            find(&Method::from_bytes(method.as_bytes()).unwrap(), path).map_err(|lost| lost.fault.code()).err()
        };
        assert_eq!(find(&Method::POST, "/v1/embeds/sales/token").unwrap(), Route::ViewerToken("sales"));
        assert_eq!(find(&Method::GET, "/openapi.json").unwrap(), Route::OpenApi);
        for path in
            ["/", "/v1", "/v1/embeds/sales", "/v1/embeds/a/b/token", "//v1/embeds/a/token", "/V1/embeds/a/token"]
        {
            assert_eq!(code("GET", path), Some(Code::NotFound), "{path}");
        }
        for method in ["PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "GET!"] {
            assert_eq!(code(method, "/v1/embeds/sales/token"), Some(Code::MethodNotAllowed), "{method}");
        }
        assert_eq!(code("POST", "/openapi.json"), Some(Code::MethodNotAllowed));
    }
}
