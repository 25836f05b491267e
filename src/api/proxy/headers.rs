//! Which headers go through a route, in either direction. What goes to the target is built from an allow-list:
//! identity and routing are ours to say, and a header that nobody knows of may be what somebody trusts.

use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Of the field's standards (RFC 9110 and its like): content, negotiation, conditions, ranges, tracing.
fn is_standard(name: &str) -> bool {
    // A match on texts compares lengths first; a list of them costs 200 instructions for each header.
    matches!(
        name,
        "accept"
            | "accept-charset"
            | "accept-encoding"
            | "accept-language"
            | "baggage"
            | "cache-control"
            | "content-digest"
            | "content-disposition"
            | "content-encoding"
            | "content-language"
            | "content-location"
            | "content-type"
            | "date"
            | "digest"
            | "etag"
            | "idempotency-key"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "last-event-id"
            | "last-modified"
            | "mcp-protocol-version"
            | "mcp-session-id"
            | "mime-version"
            | "pragma"
            | "prefer"
            | "priority"
            | "range"
            | "repr-digest"
            | "request-id"
            | "traceparent"
            | "tracestate"
            | "user-agent"
    )
}

/// Of the many that begin with `x-`, those by which somebody is told who asks, from where, or for what.
const TRUSTED_ELSEWHERE: [&str; 30] = [
    "x-accel-",
    "x-amz-",
    "x-appengine-",
    "x-arr-",
    "x-auth-request-",
    "x-authenticated-",
    "x-azure-",
    "x-client-cert",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-databricks-",
    "x-envoy-",
    "x-forward",
    "x-goog-",
    "x-host",
    "x-http-method",
    "x-method-override",
    "x-middleware-",
    "x-ms-",
    "x-original-",
    "x-originating-",
    "x-real-ip",
    "x-remote-",
    "x-rewrite-",
    "x-scheme",
    "x-ssl-",
    "x-sidemint",
    "x-url-scheme",
    "x-waws-",
    "x-webauth-",
];

/// Those of one connection (RFC 9110 section 7.6.1), and what is for browsers of the target's own host: its
/// cookies, its word on its transport, and who may read an answer across origins, which is ours to say.
fn stays_behind(name: &str) -> bool {
    matches!(
        name,
        "alt-svc"
            | "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "set-cookie"
            | "strict-transport-security"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "clear-site-data"
            | "service-worker-allowed"
    ) || name.starts_with("access-control-")
        || name.starts_with("sidemint")
}

/// The headers of a request, as far as they go to the target: without its credential, host and framing, which
/// are put in last.
pub(super) fn to_target(given: &HeaderMap) -> HeaderMap {
    let (mut headers, special) = listed(given);
    // Trailers come to those who say that they take them (RFC 9110 section 10.1.4); that word is for one
    // connection, so this is ours.
    if special && lists(given.get_all(header::TE), "trailers") {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
    }
    headers
}

/// Whether what goes on is of visible ASCII, which all read alike (RFC 9110 section 5.5).
pub(super) fn are_plain(given: &HeaderMap) -> bool {
    let is_plain = |value: &HeaderValue| value.as_bytes().iter().all(u8::is_ascii);
    given.iter().all(|(name, value)| is_plain(value) || !is_passed(name.as_str()))
}

/// What comes after the body of a request is held against the same list.
pub(super) fn trailers_to_target(given: HeaderMap) -> HeaderMap {
    listed(&given).0
}

/// What is on the list, with room for what is put in later; and whether there is something of the connection.
fn listed(given: &HeaderMap) -> (HeaderMap, bool) {
    let mut headers = HeaderMap::with_capacity(given.len() + 4);
    let mut special = false;
    for (name, value) in given {
        special |= [header::CONNECTION, header::TE, header::TRAILER].contains(name);
        if is_passed(name.as_str()) {
            headers.append(name, value.clone());
        }
    }
    if special {
        take_out(&mut headers, options(given.get_all(header::CONNECTION)));
        announce(&mut headers, given, is_passed);
    }
    (headers, special)
}

/// The headers of a response, as far as they go to the caller. How long the body is, hyper says anew from what it
/// counts on: a target may say one length and send another, or two, or one beside `Transfer-Encoding`.
pub(super) fn to_caller(mut headers: HeaderMap, method: &Method) -> HeaderMap {
    let is_one = headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_none();
    let length = headers.remove(header::CONTENT_LENGTH);
    // The answer to a HEAD has none to count.
    if let Some(length) = length.filter(|_| method == Method::HEAD && is_one)
        && length.as_bytes().iter().all(u8::is_ascii_digit)
    {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    trailers_to_caller(headers)
}

/// What comes after the body of a response is held against the same list.
pub(super) fn trailers_to_caller(mut headers: HeaderMap) -> HeaderMap {
    // Most responses have none of them, and pass as they are.
    let staying: Vec<HeaderName> = headers.keys().filter(|name| stays_behind(name.as_str())).cloned().collect();
    if !staying.is_empty() {
        let given = headers.clone();
        staying.into_iter().for_each(|name| drop(headers.remove(name)));
        take_out(&mut headers, options(given.get_all(header::CONNECTION)));
        announce(&mut headers, &given, |name| !stays_behind(name));
    }
    headers
}

/// Of the headers that a page wants to send, those that go to the target.
pub(super) fn passed_of(given: &HeaderMap) -> Vec<&str> {
    let wanted = options(given.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS));
    wanted.filter(|name| is_passed(&name.to_ascii_lowercase())).collect()
}

/// The options of all `Connection` headers: the sender calls them hop-by-hop.
fn take_out<'a>(headers: &mut HeaderMap, named: impl Iterator<Item = &'a str>) {
    named.for_each(|name| drop(headers.remove(name)));
}

/// Trailers that are not announced do not go through HTTP/1.1.
fn announce(headers: &mut HeaderMap, given: &HeaderMap, passes: impl Fn(&str) -> bool) {
    let names = options(given.get_all(header::TRAILER)).filter(|name| passes(&name.to_ascii_lowercase()));
    let names: Vec<&str> = names.collect();
    if !names.is_empty()
        && let Ok(value) = HeaderValue::try_from(names.join(", "))
    {
        headers.insert(header::TRAILER, value);
    }
}

/// The members of a list that may be spread over several lines (RFC 9110 section 5.6.1).
fn options<'a>(values: header::GetAll<'a, HeaderValue>) -> impl Iterator<Item = &'a str> {
    let lines = values.into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|option| !option.is_empty())
}

fn lists(values: header::GetAll<'_, HeaderValue>, option: &str) -> bool {
    options(values).any(|listed| listed.eq_ignore_ascii_case(option))
}

fn is_passed(name: &str) -> bool {
    let is_own = || name.starts_with("x-") && !TRUSTED_ELSEWHERE.iter().any(|prefix| name.starts_with(prefix));
    // Some servers read an underscore as a hyphen, and would find in it what was taken out.
    is_standard(name) || (is_own() && name.bytes().all(|byte| byte != b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn row_47_who_asks_is_not_the_callers_to_say() {
        let given = headers(&[
            ("authorization", "Bearer mine"),
            ("cookie", "a=b"),
            ("forwarded", "for=x"),
            ("x-forwarded-user", "admin"),
            ("x-forwarded-access-token", "t"),
            ("x_forwarded_user", "admin"),
            ("x-real-ip", "1.2.3.4"),
            ("x-databricks-org-id", "1"),
            ("x-http-method-override", "DELETE"),
            ("x-original-url", "/admin"),
            ("sidemint-request", "true"),
            ("sidemint-viewer", "x"),
            ("origin", "https://evil.example"),
            ("referer", "https://evil.example"),
            ("host", "evil.example"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("proxy-authorization", "Basic x"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("te", "gzip"),
            ("sec-fetch-site", "none"),
            ("something-new", "x"),
        ]);
        assert_eq!(names(&to_target(&given)), Vec::<&str>::new());
        let given = headers(&[
            ("accept", "a"),
            ("x-viewer", "u-1"),
            ("content-type", "t"),
            ("traceparent", "00"),
            ("range", "r"),
        ]);
        assert_eq!(to_target(&given), given);
    }

    /// `reliability-security.md` T25 and row 16: each line counts, and an empty one hides none.
    #[test]
    fn row_16_connection_names_what_does_not_go_on() {
        let mut given = headers(&[("x-one", "1"), ("x-two", "2"), ("x-three", "3"), ("connection", "")]);
        given.append("connection", "X-One ,, close".parse().unwrap());
        given.append("connection", "authorization, x-two".parse().unwrap());
        assert_eq!(names(&to_target(&given)), ["x-three"]);
        assert_eq!(names(&to_caller(given.clone(), &Method::GET)), ["x-three"]);
    }

    #[test]
    fn what_comes_back_has_no_cookie_and_no_word_on_origins() {
        let given = headers(&[
            ("set-cookie", "s=1"),
            ("access-control-allow-origin", "*"),
            ("alt-svc", "h3"),
            ("strict-transport-security", "max-age=1"),
            ("keep-alive", "timeout=5"),
            ("sidemint-x", "1"),
            ("content-type", "text/event-stream"),
            ("location", "/x"),
            ("x-request-id", "1"),
            ("content-length", "5"),
        ]);
        assert_eq!(names(&to_caller(given.clone(), &Method::GET)), ["content-type", "location", "x-request-id"]);
    }

    #[test]
    fn the_length_of_a_head_is_passed_on_if_it_is_one() {
        let length = |lines: &[(&str, &str)], method| {
            to_caller(headers(lines), &method).get("content-length").map(|length| length.to_str().unwrap().to_owned())
        };
        assert_eq!(length(&[("content-length", "5")], Method::HEAD).as_deref(), Some("5"));
        assert_eq!(length(&[("content-length", "5")], Method::GET), None);
        for lines in [&[("content-length", "5, 5")][..], &[("content-length", "+5")], &[]] {
            assert_eq!(length(lines, Method::HEAD), None, "{lines:?}");
        }
        let mut twice = headers(&[("content-length", "5")]);
        twice.append("content-length", "6".parse().unwrap());
        assert!(to_caller(twice, &Method::HEAD).is_empty());
    }

    proptest! {
        /// `reliability-security.md` T26: nothing but what is listed, whatever comes.
        #[test]
        fn row_26_only_what_is_listed_goes_on(given in proptest::collection::vec("[a-z_-]{1,12}", 0..20)) {
            let given: HeaderMap = given.iter()
                .filter_map(|name| Some((HeaderName::try_from(name).ok()?, "v".parse().ok()?)))
                .collect();
            for name in to_target(&given).keys() {
                prop_assert!(is_passed(name.as_str()) && !name.as_str().contains('_'));
            }
        }
    }
}
