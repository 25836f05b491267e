//! What a request through a route asks for, judged before any work: path, method, framing, upgrade.

use http::header::{CONTENT_LENGTH, HeaderMap};
use http::uri::PathAndQuery;
use http::{Method, Uri};
use hyper::body::{Body, Incoming};
use tokio::sync::OwnedSemaphorePermit;

use super::{Passage, headers, websocket};
use crate::config::Route;
use crate::edge::Request;
use crate::model::path::{METHODS, PlainPath};
use crate::model::{Code, Fault};

/// Bodies up to this length are taken whole, so that they can be sent twice.
const KEPT: u64 = 64 << 10;

/// A request that may pass.
pub(super) struct Ask {
    pub(super) method: Method,
    /// As the target will see it.
    pub(super) path: PathAndQuery,
    /// As the caller sent them.
    pub(super) headers: HeaderMap,
    pub(super) body: Given,
    /// The connection to the caller, if it is to become a WebSocket.
    pub(super) upgrade: Option<hyper::upgrade::OnUpgrade>,
    /// Kept for as long as that WebSocket is open.
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// Whether a method that has a body has none, which has to be said (RFC 9110 section 8.6).
    pub(super) lacks_body: bool,
    /// Whether callers need not show anything.
    pub(super) is_open: bool,
}

/// The body that a caller sends.
pub(super) enum Given {
    None,
    /// Short enough to be kept.
    Short(Incoming),
    Streamed(Incoming),
}

impl Ask {
    /// Judges a request by all that the target would see of it.
    ///
    /// # Errors
    /// Why it may not pass.
    pub(super) fn of(passage: &Passage, mut request: Request, is_open: bool) -> Result<Ask, Fault> {
        let route = &passage.config;
        if !METHODS.contains(&request.method().as_str()) {
            let detail = format!("no route lets this method through; there are {}", METHODS.join(", "));
            return Err(Fault::new(Code::MethodNotAllowed, detail));
        }
        let path = path_of(route, request.uri())?;
        let wants_websocket = websocket::is_wanted(&request)?;
        let plain = PlainPath::parse(path.path()).map_err(|error| {
            Fault::new(Code::MalformedRequest, format!("{error}; no path is normalised on its way through a route"))
        })?;
        if !route.allow.iter().any(|rule| rule.allows(request.method().as_str(), plain)) {
            let detail = format!("no rule of routes.{}.allow lets this method and path through", route.name);
            return Err(Fault::new(Code::RouteDenied, detail));
        }
        if wants_websocket && !route.websocket {
            let detail = format!("WebSockets do not pass here (routes.{}.websocket)", route.name);
            return Err(Fault::new(Code::RouteDenied, detail));
        }
        if !headers::are_plain(request.headers()) {
            let detail = "a header that would go on holds bytes beyond ASCII; percent-encode them";
            return Err(Fault::new(Code::MalformedRequest, detail));
        }
        let place = if wants_websocket { Some(passage.place_for_websocket()?) } else { None };
        let upgrade = wants_websocket.then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let body = given(&head.method, &head.headers, body)?;
        let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
        let lacks_body = has_body && matches!(body, Given::None);
        Ok(Ask { method: head.method, path, headers: head.headers, body, upgrade, place, lacks_body, is_open })
    }
}

/// What the target will see: all that is behind `/proxy/{route}`.
fn path_of(route: &Route, uri: &Uri) -> Result<PathAndQuery, Fault> {
    let all = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = all.get("/proxy/".len() + route.name.len()..).unwrap_or_default();
    let odd = || Fault::new(Code::MalformedRequest, "the path or query holds characters that no URL has");
    // Of others servers make what they like; the path is looked at more closely below.
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(odd());
    }
    PathAndQuery::try_from(rest).map_err(|_| odd())
}

/// What is not read could be taken for the next request, and servers differ on bodies where none belongs.
fn given(method: &Method, headers: &HeaderMap, body: Incoming) -> Result<Given, Fault> {
    if body.is_end_stream() {
        return Ok(Given::None);
    }
    if [Method::GET, Method::HEAD, Method::DELETE].contains(method) {
        return Err(Fault::new(Code::MalformedRequest, "this method takes no body"));
    }
    let is_short = headers.contains_key(CONTENT_LENGTH) && body.size_hint().exact().is_some_and(|size| size <= KEPT);
    Ok(if is_short { Given::Short(body) } else { Given::Streamed(body) })
}
