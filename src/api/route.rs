//! Which endpoint a path and method mean: one match, pure.

use http::Method;

use super::viewer_token::Form;
use crate::edge::{Response, respond};
use crate::model::{Code, Fault};

/// An endpoint of the token port.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `GET` or `POST /v1/embeds/{embed}/token`, `POST /v1/embeds/{embed}/boldbi-authorize`
    ViewerToken(&'a str, Form),
    /// `GET /v1/upstreams/{upstream}/databricks-metadata`
    DatabricksMetadata(&'a str),
    /// `POST /v1/upstreams/{upstream}/token`
    ServiceToken(&'a str),
    /// `ANY /proxy/{route}/{path}`
    Proxy(&'a str),
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
    if let Some((embed, last)) = path.strip_prefix("/v1/embeds/").and_then(cut) {
        return of_embed(method, embed, last);
    }
    if let Some(route) = proxied(path) {
        return Ok(Route::Proxy(route));
    }
    if path == "/openapi.json" {
        return if method == Method::GET { Ok(Route::OpenApi) } else { Err(Lost::wrong_method("GET")) };
    }
    match path.strip_prefix("/v1/upstreams/").and_then(cut) {
        Some((upstream, "databricks-metadata")) if method == Method::GET => Ok(Route::DatabricksMetadata(upstream)),
        Some((upstream, "token")) if method == Method::POST => Ok(Route::ServiceToken(upstream)),
        Some((_, "databricks-metadata")) => Err(Lost::wrong_method("GET")),
        Some((_, "token")) => Err(Lost::wrong_method("POST")),
        _ => Err(nowhere()),
    }
}

fn of_embed<'a>(method: &Method, embed: &'a str, last: &str) -> Result<Route<'a>, Lost> {
    match last {
        "token" if method == Method::GET || method == Method::POST => Ok(Route::ViewerToken(embed, Form::Json)),
        "boldbi-authorize" if method == Method::POST => Ok(Route::ViewerToken(embed, Form::BoldBi)),
        "token" => Err(Lost::wrong_method("GET, POST")),
        "boldbi-authorize" => Err(Lost::wrong_method("POST")),
        _ => Err(nowhere()),
    }
}

fn nowhere() -> Lost {
    Lost::not_found("see /openapi.json for what there is")
}

/// What is before the first slash, and behind it; by hand, since std's search for a character is made for long texts.
fn cut(path: &str) -> Option<(&str, &str)> {
    let at = path.bytes().position(|byte| byte == b'/')?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

/// The route that a path goes through, if it goes through one.
pub(super) fn proxied(path: &str) -> Option<&str> {
    path.strip_prefix("/proxy/").and_then(cut).map(|(route, _)| route)
}

/// Whether Databricks' SDKs ask here.
pub(super) fn is_databricks_metadata(path: &str) -> bool {
    let rest = path.strip_prefix("/v1/upstreams/").and_then(|rest| rest.split_once('/'));
    rest.is_some_and(|(_, last)| last == "databricks-metadata")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods() {
        let code = |method: &str, path: &str| {
            find(&Method::from_bytes(method.as_bytes()).unwrap(), path).map_err(|lost| lost.fault.code()).err()
        };
        assert_eq!(find(&Method::POST, "/v1/embeds/sales/token").unwrap(), Route::ViewerToken("sales", Form::Json));
        assert_eq!(find(&Method::GET, "/openapi.json").unwrap(), Route::OpenApi);
        for path in
            ["/", "/v1", "/v1/embeds/sales", "/v1/embeds/a/b/token", "//v1/embeds/a/token", "/V1/embeds/a/token"]
        {
            assert_eq!(code("GET", path), Some(Code::NotFound), "{path}");
        }
        assert_eq!(
            find(&Method::POST, "/v1/embeds/supply/boldbi-authorize").unwrap(),
            Route::ViewerToken("supply", Form::BoldBi)
        );
        assert_eq!(code("GET", "/v1/embeds/supply/boldbi-authorize"), Some(Code::MethodNotAllowed));
        assert_eq!(find(&Method::POST, "/v1/upstreams/acme/token").unwrap(), Route::ServiceToken("acme"));
        assert_eq!(code("GET", "/v1/upstreams/acme/token"), Some(Code::MethodNotAllowed));
        assert_eq!(code("POST", "/v1/upstreams/a/b/token"), Some(Code::NotFound));
        for path in ["/proxy/forecast/", "/proxy/forecast/api/x", "/proxy/forecast//x"] {
            assert_eq!(find(&Method::TRACE, path).unwrap(), Route::Proxy("forecast"), "{path}");
        }
        for path in ["/proxy", "/proxy/", "/proxy/forecast", "//proxy/forecast/x", "/Proxy/forecast/x"] {
            assert_eq!(code("GET", path), Some(Code::NotFound), "{path}");
        }
        for method in ["PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "GET!"] {
            assert_eq!(code(method, "/v1/embeds/sales/token"), Some(Code::MethodNotAllowed), "{method}");
        }
        assert_eq!(code("POST", "/openapi.json"), Some(Code::MethodNotAllowed));
    }
}
