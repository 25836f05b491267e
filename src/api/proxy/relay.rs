//! One request through a route: to the target with a token, once more with another one if that was refused, and
//! back.

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, LOCATION, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::ask::{Ask, Given};
use super::body::Filtered;
use super::{Passage, headers, websocket};
use crate::edge::{Body, Response};
use crate::lease::Grant;
use crate::model::{Code, Fault, Token};
use crate::upstream::pool::{Outgoing, Receiving, Sending, Upload};

type Received = http::Response<Receiving>;

/// How a target says that it does not take the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 401
    Unauthorized,
    /// A redirect to the vendor's login, which is what stands before a Databricks App instead of a 401.
    Login,
}

/// Lets a request through and its response back. What happens seldom is in boxes: a future is moved with all that
/// it could ever hold.
///
/// # Errors
/// Why there is no response to pass on.
pub(super) async fn relay(passage: &Passage, mut ask: Ask) -> Result<Response, Fault> {
    let token = match passage.bearer.at_hand() {
        Some(Ok(token)) => token,
        _ => Box::pin(passage.bearer.token()).await?,
    };
    let (body, kept) = match std::mem::replace(&mut ask.body, Given::None) {
        Given::None => (Sending::Whole(Full::default()), Some(Bytes::new())),
        Given::Short(body) => {
            let body = Box::pin(whole(passage, body)).await?;
            (Sending::Whole(Full::new(body.clone())), Some(body))
        }
        Given::Streamed(body) => {
            let body = Filtered::new(body, headers::trailers_to_target);
            (Sending::Streamed(Box::pin(body), Upload::new()), None)
        }
    };
    let response = send(passage, &ask, &token, body).await?;
    match Refusal::of(response.status(), response.headers()) {
        Some(refusal) => Box::pin(refused(passage, ask, &token, kept, response, refusal)).await,
        None => {
            passage.bearer.proved(&token);
            answer(passage, ask, response)
        }
    }
}

/// The target did not take the token: gets another one, and sends the request again if that is possible.
async fn refused(
    passage: &Passage,
    ask: Ask,
    token: &Grant<Token>,
    kept: Option<Bytes>,
    response: Received,
    refusal: Refusal,
) -> Result<Response, Fault> {
    let Some(kept) = kept else {
        // Nobody waits for the other one here: the next request will have it.
        let another = passage.bearer.another(token).now_or_never();
        return give_up(passage, ask, response, refusal, another.is_none_or(|another| another.is_some()));
    };
    let token = match passage.bearer.another(token).await {
        Some(Ok(token)) => token,
        Some(Err(fault)) if refusal == Refusal::Login => return Err(fault),
        _ => return give_up(passage, ask, response, refusal, false),
    };
    drop(response);
    let response = send(passage, &ask, &token, Sending::Whole(Full::new(kept))).await?;
    match Refusal::of(response.status(), response.headers()) {
        Some(refusal) => give_up(passage, ask, response, refusal, false),
        None => {
            passage.bearer.proved(&token);
            answer(passage, ask, response)
        }
    }
}

/// A 401 is passed on, since it may be the app's own; a login page is of no use to a program.
fn give_up(
    passage: &Passage,
    ask: Ask,
    response: Received,
    refusal: Refusal,
    is_renewed: bool,
) -> Result<Response, Fault> {
    let target = &passage.config.target;
    match refusal {
        Refusal::Unauthorized => answer(passage, ask, response),
        Refusal::Login if is_renewed => Err(Fault::new(
            Code::Unavailable,
            format!(
                "{target} did not take the service token, which is being renewed; this body cannot be sent twice, so send it again"
            ),
        )),
        Refusal::Login => Err(Fault::new(
            Code::Denied,
            format!(
                "{target} sends the service token to its login page: give the service principal CAN USE on the app; \
                 tokens work under /api/ only"
            ),
        )),
    }
}

async fn send(passage: &Passage, ask: &Ask, token: &Grant<Token>, body: Sending) -> Result<Received, Fault> {
    let authorization = passage.authorization(token)?;
    let make = || {
        let mut headers = headers::to_target(&ask.headers);
        if ask.upgrade.is_some() {
            websocket::ask(&ask.headers, &passage.origin, &mut headers);
        }
        headers.insert(AUTHORIZATION, authorization.clone());
        if ask.lacks_body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        headers
    };
    let outgoing =
        Outgoing { method: ask.method.clone(), path: ask.path.clone(), headers: make, upgrade: ask.upgrade.is_some() };
    passage.pool.send(&outgoing, body).await
}

/// A short body, which can be sent twice.
async fn whole(passage: &Passage, mut body: Incoming) -> Result<Bytes, Fault> {
    let late = |_| Fault::new(Code::MalformedRequest, "the body of the request took too long (timeouts.idle)");
    let mut all = BytesMut::new();
    loop {
        let frame = tokio::time::timeout(passage.config.timeouts.idle, body.frame()).await.map_err(late)?;
        match frame {
            None => return Ok(all.freeze()),
            Some(Ok(frame)) => all.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(_)) => return Err(Fault::new(Code::MalformedRequest, "the body of the request ended early")),
        }
    }
}

/// The response as the caller gets it.
fn answer(passage: &Passage, mut ask: Ask, mut response: Received) -> Result<Response, Fault> {
    let status = response.status();
    let coding = response.headers().get(TRANSFER_ENCODING).map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(Fault::new(Code::Malformed, "the target used a Transfer-Encoding besides `chunked`, unasked"));
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let mut headers = headers::to_caller(response.headers().clone(), &ask.method);
        let Some(caller) = ask.upgrade.take() else {
            return Err(Fault::new(Code::Malformed, "the target changed protocols without being asked to"));
        };
        websocket::answer(response.headers(), &mut headers)?;
        let target = hyper::upgrade::on(&mut response);
        let (idle, stop) = (passage.config.timeouts.idle, passage.tasks.stop().clone());
        let carried = websocket::carry(caller, target, idle, stop);
        passage.tasks.work(async move {
            carried.await;
            drop(ask.place);
        });
        return Ok(reply(status, headers, Body::empty()));
    }
    let (head, body) = response.into_parts();
    let body = Filtered::new(body, headers::trailers_to_caller);
    let mut headers = headers::to_caller(head.headers, &ask.method);
    if ask.is_open {
        // A browser can be led here. What it is shown must not be of one origin with the token API.
        headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    Ok(reply(status, headers, Body::passed(Box::pin(body))))
}

fn reply(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    reply
}

impl Refusal {
    fn of(status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
        match status {
            StatusCode::UNAUTHORIZED => Some(Refusal::Unauthorized),
            status if status.is_redirection() && headers.get(LOCATION).is_some_and(is_login) => Some(Refusal::Login),
            _ => None,
        }
    }
}

/// The authorization endpoint of OAuth, as `/oidc/oauth2/v2.0/authorize` is: of the app's own host or of the
/// identity provider's (databricks.md section 5).
fn is_login(location: &HeaderValue) -> bool {
    let uri: Option<Uri> = location.to_str().ok().and_then(|location| location.parse().ok());
    let path = uri.as_ref().map_or("", Uri::path);
    path.ends_with("/authorize") && (path.contains("/oidc/") || path.contains("/oauth2/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_49_what_a_refusal_looks_like() {
        let of = |status: u16, location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            Refusal::of(StatusCode::from_u16(status).unwrap(), &headers)
        };
        for location in [
            "/oidc/oauth2/v2.0/authorize?redirect_uri=x",
            "https://app-1.aws.databricksapps.com/oidc/oauth2/v2.0/authorize?redirect_uri=%2F",
            "https://acme.cloud.databricks.com/oidc/v1/authorize",
            "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        ] {
            assert_eq!(of(302, location), Some(Refusal::Login), "{location}");
            assert_eq!(of(200, location), None, "{location}");
        }
        for location in ["/api/x/", "https://elsewhere.example/", "/authorize", "/api/x?next=/oidc/authorize", "\u{7f}"]
        {
            if location.parse::<HeaderValue>().is_ok() {
                assert_eq!(of(302, location), None, "{location}");
            }
        }
        assert_eq!(of(401, "/"), Some(Refusal::Unauthorized));
        for status in [200, 403, 404, 500] {
            assert_eq!(of(status, "/oidc/authorize"), None, "row 51: passed through");
        }
    }
}
