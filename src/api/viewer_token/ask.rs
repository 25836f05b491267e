//! What is asked for, in its two forms. Anything unknown is refused, never ignored: a misspelt
//! `viewer.vlaue` must not become a token without a filter.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::api::json::{Object, Texts, unreadable};
use crate::config::units::Span;
use crate::edge::{Request, body};
use crate::model::lifetime::LONGEST;
use crate::model::{Code, Fault, Viewer};

/// One ask for a viewer token.
pub(super) struct Ask {
    pub(super) viewer: Viewer,
    pub(super) purpose: Purpose,
    /// May only raise the embed's.
    pub(super) min_ttl: Option<Duration>,
}

/// The viewer whom a token of theirs proves, where callers do not name one. Boxed: it is passed on by every request, and
/// mostly there is none.
pub(super) type Proved = Option<Box<Viewer>>;

/// What the token is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Purpose {
    /// To start showing a dashboard: counts against the limit.
    #[default]
    Load,
    /// For one that is already open: never waits.
    Renew,
}

impl Purpose {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Purpose::Load => "load",
            Purpose::Renew => "renew",
        }
    }
}

/// What headers may say of the viewer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InHeaders {
    Nothing,
    Value,
    ValueOrViewer,
}

/// A misspelt header must not become a token without a filter either.
pub(super) fn check_headers(headers: &HeaderMap, allowed: InHeaders) -> Result<(), Fault> {
    let ours = headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("sidemint"));
    for name in ours {
        match name {
            "sidemint-request" | "sidemint_request" => {}
            "sidemint-viewer-value" if allowed != InHeaders::Nothing => {}
            "sidemint-viewer" if allowed == InHeaders::ValueOrViewer => {}
            _ => {
                return Err(invalid(
                    "a Sidemint header is unknown or out of place: Sidemint-Request goes with every request, \
                     Sidemint-Viewer-Value with GET and with boldbi-authorize, Sidemint-Viewer with the latter only",
                ));
            }
        }
    }
    Ok(())
}

/// Reads the body of a POST. Who the viewer is may be known already (`proved`); then it need not be said again, and
/// nobody else may be named.
pub(super) fn from_json(json: &[u8], proved: Proved) -> Result<Ask, Fault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(default)]
        viewer: Option<Object<Named>>,
        #[serde(default)]
        purpose: Option<Purpose>,
        #[serde(default)]
        min_ttl: Option<Span>,
    }
    let Object::<Body>(body) = serde_json::from_slice(json).map_err(|error| unreadable(&error, FIELDS))?;
    let min_ttl = body.min_ttl.map(|span| span.0);
    if min_ttl.is_some_and(|min_ttl| min_ttl > LONGEST) {
        return Err(invalid("min_ttl is over 24h, and no token lives longer"));
    }
    let named = body.viewer.map(|named| named.0).unwrap_or_default();
    Ok(Ask { viewer: named.settled(proved)?, purpose: body.purpose.unwrap_or_default(), min_ttl })
}

/// What a request says of its viewer.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Named {
    id: Option<String>,
    value: Option<String>,
    roles: Option<Vec<String>>,
    attributes: Option<Texts>,
}

impl Named {
    /// The viewer: as named, where the caller's word is what counts; as proved, where it is not.
    fn settled(self, proved: Proved) -> Result<Viewer, Fault> {
        let (id, value) = (self.id, self.value);
        // Serializers write `null` for what is not there.
        let (roles, attributes) = (self.roles, self.attributes.map(|texts| texts.0));
        let Some(proved) = proved else {
            let (roles, attributes) = (roles.unwrap_or_default(), attributes.unwrap_or_default());
            let id = id.ok_or_else(|| invalid("the viewer is missing, or has no id"))?;
            return Ok(Viewer { id, value, roles, attributes });
        };
        let set = |roles: &[String]| roles.iter().cloned().collect::<BTreeSet<_>>();
        let agrees = id.is_none_or(|id| id == proved.id)
            && value.is_none_or(|value| proved.value.as_ref() == Some(&value))
            && roles.is_none_or(|roles| set(&roles) == set(&proved.roles))
            && attributes.is_none_or(|attributes| attributes == proved.attributes);
        if agrees { Ok(*proved) } else { Err(mismatch()) }
    }
}

fn mismatch() -> Fault {
    Fault::new(
        Code::ViewerMismatch,
        "the request names another viewer, or another value, role or attribute, than the viewer's token proves; leave \
         the viewer out",
    )
}

/// Reads a GET, which has no body: what is not read could be taken for the next request.
pub(super) fn of_get(request: &Request, proved: Proved) -> Result<Ask, Fault> {
    body::none(request.body())?;
    check_headers(request.headers(), InHeaders::Value)?;
    from_query(request.uri().query().unwrap_or_default(), request.headers(), proved)
}

/// Reads the query of a GET, and the viewer's value from its header: values may be personal and do
/// not belong into URLs, which end up in logs.
pub(super) fn from_query(query: &str, headers: &HeaderMap, proved: Proved) -> Result<Ask, Fault> {
    let (id, purpose) = parameters(query)?;
    if id.is_none() && proved.is_none() {
        return Err(invalid("viewer_id is missing"));
    }
    let id = id.map(form_decode).transpose()?;
    let named = Named { id, value: header_text(headers, &VIEWER_VALUE)?, ..Named::default() };
    Ok(Ask { viewer: named.settled(proved)?, purpose, min_ttl: None })
}

/// Reads a viewer who is named in a header as a whole, in JSON.
pub(super) fn from_viewer_header(json: &str, query: &str, headers: &HeaderMap, proved: Proved) -> Result<Ask, Fault> {
    let (id, purpose) = parameters(query)?;
    if id.is_some() || headers.contains_key(&VIEWER_VALUE) {
        return Err(invalid("the viewer is named twice: by Sidemint-Viewer, and by viewer_id or its value"));
    }
    let Object::<Named>(named) = serde_json::from_str(json).map_err(|_| {
        invalid("Sidemint-Viewer must be the percent-encoded JSON of a viewer {id, value, roles, attributes}")
    })?;
    Ok(Ask { viewer: named.settled(proved)?, purpose, min_ttl: None })
}

/// `viewer_id`, as it came, and `purpose`.
fn parameters(query: &str) -> Result<(Option<&str>, Purpose), Fault> {
    let (mut id, mut purpose) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let seen = match name {
            "viewer_id" => id.replace(value),
            "purpose" => purpose.replace(value),
            "viewer_value" => {
                return Err(invalid(
                    "the value does not belong into a URL: send it in the header Sidemint-Viewer-Value",
                ));
            }
            _ => {
                return Err(invalid(
                    "the parameters are viewer_id and purpose; roles, attributes and min_ttl go into the body of POST .../token, \
                     or the first two, with boldbi-authorize, into Sidemint-Viewer",
                ));
            }
        };
        if seen.is_some() {
            return Err(invalid("a parameter is there twice"));
        }
    }
    let purpose = match purpose {
        None | Some("load") => Purpose::Load,
        Some("renew") => Purpose::Renew,
        Some(_) => return Err(invalid("purpose is load or renew")),
    };
    Ok((id, purpose))
}

/// Of a POST.
const FIELDS: &str = "viewer {id, value, roles, attributes}, purpose and min_ttl";
static VIEWER_VALUE: HeaderName = HeaderName::from_static("sidemint-viewer-value");

/// A header with percent-encoded UTF-8.
pub(super) fn header_text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Fault> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), again) = (values.next(), values.next()) else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| again.is_none());
    let text = text.ok_or_else(|| invalid("a Sidemint header about the viewer must be there once, percent-encoded"))?;
    percent_decode(text).map(Some)
}

/// `application/x-www-form-urlencoded`, as URLSearchParams and HTML forms write it: `+` is a space.
fn form_decode(text: &str) -> Result<String, Fault> {
    if text.contains('+') { percent_decode(&text.replace('+', " ")) } else { percent_decode(text) }
}

fn percent_decode(text: &str) -> Result<String, Fault> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let sound = text
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.as_bytes().iter().take(2).all(u8::is_ascii_hexdigit));
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if sound => Ok(Cow::into_owned(decoded)),
        _ => Err(Fault::new(
            Code::MalformedRequest,
            "a percent-encoded text is not UTF-8, or has a `%` without two hex digits",
        )),
    }
}

fn invalid(detail: &'static str) -> Fault {
    Fault::new(Code::InvalidParameters, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(json: &str) -> Option<Code> {
        from_json(json.as_bytes(), None).err().map(|fault| fault.code())
    }

    #[test]
    fn bodies() {
        let ask = from_json(br#"{"viewer":{"id":"u","value":"e","roles":["C"],"attributes":{"r":"e"}},"purpose":"renew","min_ttl":"20m"}"#, None);
        let ask = ask.ok().unwrap();
        assert_eq!((ask.viewer.id.as_str(), ask.viewer.value.as_deref()), ("u", Some("e")));
        assert_eq!((ask.purpose, ask.min_ttl), (Purpose::Renew, Some(Duration::from_secs(1200))));
        assert!(from_json(br#"{"viewer":{"id":"u"}}"#, None).is_ok());
        let nulls =
            br#"{"viewer":{"id":"u","value":null,"roles":null,"attributes":null},"purpose":null,"min_ttl":null}"#;
        assert!(from_json(nulls, None).is_ok_and(|ask| ask.purpose == Purpose::Load && ask.viewer.value.is_none()));
        for syntax in ["", "{", "nope", "{\"viewer\":{\"id\":\"u\"}}x", "\u{feff}{}", r#"{"viewer":{"id":"\ud800"}}"#] {
            assert_eq!(code(syntax), Some(Code::MalformedRequest), "{syntax}");
        }
        for content in [
            "{}",
            "[]",
            "5",
            r#"{"viewer":{}}"#,
            r#"{"viewer":{"id":5}}"#,
            r#"{"viewer":{"id":"u","vlaue":"x"}}"#,
            r#"{"viewer":{"id":"u"},"extra":1}"#,
            r#"{"viewer":{"id":"u","id":"v"}}"#,
            r#"{"viewer":{"id":"u"},"purpose":"LOAD"}"#,
            r#"{"viewer":{"id":"u"},"min_ttl":600}"#,
            r#"{"viewer":{"id":"u"},"min_ttl":"25h"}"#,
            r#"{"viewer":{"id":null}}"#,
            r#"{"viewer":["u","emea",[],{}]}"#,
            r#"[{"id":"u"},"load",null]"#,
            r#"{"viewer":{"id":"u","attributes":{"region":"emea","region":"apac"}}}"#,
        ] {
            assert_eq!(code(content), Some(Code::InvalidParameters), "{content}");
        }
    }

    #[test]
    fn t9_nobody_else_can_be_named_beside_a_proved_viewer() {
        let ann = || Viewer {
            id: "ann".into(),
            value: Some("emea".into()),
            roles: vec!["A".into(), "B".into()],
            attributes: [("region".into(), "emea".into())].into(),
        };
        let ask = |viewer: &str| from_json(format!(r#"{{"viewer":{viewer}}}"#).as_bytes(), Some(Box::new(ann())));
        for agreeing in [
            "null",
            "{}",
            r#"{"id":"ann"}"#,
            r#"{"value":"emea"}"#,
            r#"{"id":"ann","value":null,"roles":["B","A","B"],"attributes":{"region":"emea"}}"#,
        ] {
            assert!(ask(agreeing).ok().unwrap().viewer == ann(), "{agreeing}");
        }
        assert!(from_json(b"{}", Some(Box::new(ann()))).ok().unwrap().viewer == ann());
        for other in [
            r#"{"id":"bob"}"#,
            r#"{"id":""}"#,
            r#"{"id":"ANN"}"#,
            r#"{"id":"ann","value":"apac"}"#,
            r#"{"value":""}"#,
            r#"{"roles":["A"]}"#,
            r#"{"roles":[]}"#,
            r#"{"attributes":{}}"#,
            r#"{"roles":["A","B","C"]}"#,
            r#"{"attributes":{"region":"apac"}}"#,
            r#"{"attributes":{"region":"emea","more":"x"}}"#,
        ] {
            assert_eq!(ask(other).err().unwrap().code(), Code::ViewerMismatch, "{other}");
        }
        let query = |query: &str| from_query(query, &HeaderMap::new(), Some(Box::new(ann()))).map(|ask| ask.viewer.id);
        assert_eq!(query("").ok().unwrap(), "ann");
        assert_eq!(query("viewer_id=bob").unwrap_err().code(), Code::ViewerMismatch);
    }

    #[test]
    fn faults_quote_nothing() {
        for json in [
            r#"{"viewer":{"id":"u","secret-value":1}}"#,
            r#"{"viewer":{"id":"u"},"purpose":"secret-value"}"#,
            r#"{"viewer":{"id":"u"},"min_ttl":"secret-value"}"#,
        ] {
            assert!(!from_json(json.as_bytes(), None).err().unwrap().detail().contains("secret-value"));
        }
    }

    #[test]
    fn queries() {
        let ask = |query: &str, value: &[&str]| {
            let mut headers = HeaderMap::new();
            value.iter().for_each(|value| {
                headers.append("sidemint-viewer-value", value.parse().unwrap());
            });
            from_query(query, &headers, None)
                .map(|ask| (ask.viewer.id, ask.viewer.value, ask.purpose))
                .map_err(|fault| fault.code())
        };
        assert_eq!(
            ask("viewer_id=u%2F1+a", &["a%20b%26%C3%A9+"]),
            Ok(("u/1 a".into(), Some("a b&é+".into()), Purpose::Load))
        );
        assert_eq!(ask("viewer_id=u&purpose=renew", &[]), Ok(("u".into(), None, Purpose::Renew)));
        assert_eq!(ask("purpose=renew", &[]), Err(Code::InvalidParameters));
        for bad in [
            "viewer_id=a&viewer_id=b",
            "viewer_id=a&x=1",
            "viewer_id=a&viewer_value=b",
            "viewer_id=a&purpose=x",
            "VIEWER_ID=a",
        ] {
            assert_eq!(ask(bad, &[]), Err(Code::InvalidParameters), "{bad}");
        }
        for bad in ["viewer_id=%", "viewer_id=%f", "viewer_id=%zz", "viewer_id=%ff"] {
            assert_eq!(ask(bad, &[]), Err(Code::MalformedRequest), "{bad}");
        }
        assert_eq!(ask("viewer_id=a", &["x", "y"]), Err(Code::InvalidParameters));
    }

    proptest! {
        /// Both forms name the same viewer.
        #[test]
        fn get_and_post_agree(id in "\\PC{1,20}", value in proptest::option::of("\\PC{0,20}")) {
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
            let mut headers = HeaderMap::new();
            if let Some(value) = &value {
                headers.insert("sidemint-viewer-value", encode(value).parse().unwrap());
            }
            let get = from_query(&format!("viewer_id={}", encode(&id)), &headers, None).ok().unwrap();
            let body = serde_json::json!({"viewer": {"id": id, "value": value}}).to_string();
            let post = from_json(body.as_bytes(), None).ok().unwrap();
            prop_assert_eq!(&get.viewer, &post.viewer);
            prop_assert_eq!(get.viewer, Viewer { id, value, ..Viewer::default() });
        }
    }
}
