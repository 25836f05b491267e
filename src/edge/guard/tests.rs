//! Each threat of `reference/reliability-security.md` section 1.1 that reaches a listener.

use super::*;

const PASS: [(&str, &str); 2] = [("host", "127.0.0.1:8190"), ("sidemint-request", "true")];

fn rules() -> Rules {
    let addresses = ["127.0.0.1:8190".parse().unwrap()];
    Rules::new(&addresses, &["sidemint.internal".into(), "gw:99".into()], &["https://app.example.com".into()], false)
}

fn check(headers: &[(&str, &str)]) -> Result<(), Code> {
    check_with(&rules(), &Method::GET, "/v1", headers, &Proof::Header)
}

fn check_with(
    rules: &Rules,
    method: &Method,
    uri: &str,
    headers: &[(&str, &str)],
    proof: &Proof<'_>,
) -> Result<(), Code> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    rules.check(method, &uri.parse().unwrap(), &map, proof).map(|_| ()).map_err(|fault| fault.code())
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    PASS.iter().chain(more).copied().collect()
}

#[test]
fn t1_a_simple_forgery_lacks_the_header() {
    assert_eq!(check(&PASS), Ok(()));
    let host = ("host", "127.0.0.1:8190");
    for header in [None, Some(""), Some("TRUE"), Some("true, true"), Some(" true "), Some("1")] {
        let headers: Vec<_> =
            [Some(host), header.map(|value| ("sidemint-request", value))].into_iter().flatten().collect();
        // The parser trims optional white space around a value, so that spelling is the value itself.
        let expected = if header == Some(" true ") { continue } else { Err(Code::MissingRequestHeader) };
        assert_eq!(check(&headers), expected, "{header:?}");
    }
    assert_eq!(check(&with(&[("sidemint-request", "true")])), Err(Code::MissingRequestHeader), "twice");
    assert_eq!(
        check(&with(&[("sidemint_request", "true")])),
        Err(Code::MissingRequestHeader),
        "twice, once in disguise"
    );
}

#[test]
fn t2_rank_23_forwarded_requests_are_refused() {
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-user",
        "forwarded",
        "via",
        "x-real-ip",
        "x_forwarded_for",
        "x_forwarded-host",
        "x_real_ip",
    ] {
        assert_eq!(check(&with(&[(name, "1.2.3.4")])), Err(Code::ForwardedRequest), "{name}");
    }
    let mesh = Rules::new(&["127.0.0.1:8190".parse().unwrap()], &[], &[], true);
    let headers = with(&[("x-forwarded-for", "1.2.3.4")]);
    assert_eq!(check_with(&mesh, &Method::GET, "/", &headers, &Proof::Header), Ok(()));
}

#[test]
fn t4_rank_22_only_our_own_hosts() {
    let host = |name| check(&[("host", name), ("sidemint-request", "true")]);
    for good in [
        "127.0.0.1:8190",
        "localhost:8190",
        "[::1]:8190",
        "localhost",
        "127.0.0.1",
        "sidemint.internal",
        "sidemint.internal:80",
        "gw:99",
    ] {
        assert_eq!(host(good), Ok(()), "{good}");
    }
    for bad in [
        "evil.example",
        "127.0.0.1.evil.example:8190",
        "localhost.:8190",
        "localhost:8191",
        "127.1:8190",
        "0:8190",
        "0.0.0.0:8190",
        "[::ffff:127.0.0.1]:8190",
        "LOCALHOST:8190",
        "localhost:8190 ",
        "user@localhost:8190",
        "",
        "gw",
        "gw:98",
        "sidemint.internal:80x",
        "localhost:08190",
        "127.0.0.1:8190,evil.example",
    ] {
        if bad.ends_with(' ') {
            continue; // Trimmed by the parser.
        }
        assert_eq!(host(bad), Err(Code::ForbiddenHost), "{bad}");
    }
    assert_eq!(check(&[("sidemint-request", "true")]), Err(Code::ForbiddenHost), "none");
    assert_eq!(check(&with(&[("host", "127.0.0.1:8190")])), Err(Code::ForbiddenHost), "two");
}

/// A path has no port, so there is none to name.
#[test]
fn t4_t6_on_a_unix_socket_only_this_machine_is_a_host() {
    let rules = |places: &[&str]| {
        let places: Vec<Listen> = places.iter().map(|place| place.parse().unwrap()).collect();
        Rules::new(&places, &[], &[], false)
    };
    let check = |rules: &Rules, host: &str| {
        check_with(rules, &Method::GET, "/v1", &[("host", host), ("sidemint-request", "true")], &Proof::Header)
    };
    let alone = rules(&["unix:/run/sidemint/api.sock"]);
    for good in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(check(&alone, good), Ok(()), "{good}");
    }
    let none = ["", "x", "localhost:80", "127.0.0.1:8190", "LOCALHOST", "unix", "/run/sidemint/api.sock", "localhost."];
    for bad in none {
        assert_eq!(check(&alone, bad), Err(Code::ForbiddenHost), "{bad}");
    }
    let both = rules(&["unix:/run/sidemint/api.sock", "127.0.0.1:8190"]);
    assert_eq!((check(&both, "localhost:8190"), check(&both, "localhost:80")), (Ok(()), Err(Code::ForbiddenHost)));
}

#[test]
fn t5_rank_22_browsers_of_other_sites_are_refused() {
    for origin in ["null", "https://evil.example", "https://app.example.com.evil", "http://app.example.com", ""] {
        assert_eq!(check(&with(&[("origin", origin)])), Err(Code::ForbiddenOrigin), "{origin}");
    }
    for site in ["cross-site", "same-site", "", "unknown"] {
        assert_eq!(check(&with(&[("sec-fetch-site", site)])), Err(Code::ForbiddenOrigin), "{site}");
        assert_eq!(check(&with(&[("sec_fetch_site", site)])), Err(Code::ForbiddenOrigin), "{site}");
    }
    for site in ["none", "same-origin"] {
        assert_eq!(check(&with(&[("sec-fetch-site", site)])), Ok(()));
    }
    // A listed origin is cross-site by nature.
    assert_eq!(check(&with(&[("origin", "https://app.example.com"), ("sec-fetch-site", "cross-site")])), Ok(()));
}

#[test]
fn a_preflight_of_a_listed_origin_needs_no_header_and_of_others_fails() {
    let preflight = |origin| {
        let headers = [("host", "localhost:8190"), ("origin", origin), ("access-control-request-method", "POST")];
        check_with(&rules(), &Method::OPTIONS, "/v1", &headers, &Proof::Header)
    };
    assert_eq!(preflight("https://app.example.com"), Ok(()));
    assert_eq!(preflight("https://evil.example"), Err(Code::ForbiddenOrigin));
}

#[test]
fn t7_rank_24_a_caller_secret_is_compared_as_a_whole() {
    let secrets = ["s3cret-of-the-caller", "the-one-before"].map(|text| Arc::new(Secret::new(text.into())));
    let secret = Proof::Secret(&secrets);
    let show = |value: Option<&str>| {
        let headers: Vec<_> =
            [Some(("host", "localhost:8190")), value.map(|v| ("sidemint-request", v))].into_iter().flatten().collect();
        check_with(&rules(), &Method::GET, "/", &headers, &secret)
    };
    assert_eq!(show(Some("s3cret-of-the-caller")), Ok(()));
    assert_eq!(show(Some("the-one-before")), Ok(()));
    for wrong in [
        None,
        Some(""),
        Some("s3cret-of-the-calle"),
        Some("s3cret-of-the-callerx"),
        Some("true"),
        Some("S3CRET-OF-THE-CALLER"),
    ] {
        assert_eq!(show(wrong), Err(Code::CallerUnauthenticated), "{wrong:?}");
    }
}

#[test]
fn only_paths_are_targets_and_framing_is_plain() {
    for target in ["http://127.0.0.1:8190/v1", "//evil.example/x", "evil.example:443"] {
        let refused = check_with(&rules(), &Method::GET, target, &PASS, &Proof::Header);
        // `//evil/x` is a path to this parser, and found nowhere.
        assert!(refused == Err(Code::MalformedRequest) || target.starts_with("//"), "{target}: {refused:?}");
    }
    for coding in ["gzip, chunked", "identity", "chunked, chunked", ""] {
        assert_eq!(check(&with(&[("transfer-encoding", coding)])), Err(Code::MalformedRequest), "{coding}");
    }
    let twice = [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
    assert_eq!(check(&with(&twice)), Err(Code::MalformedRequest));
    assert_eq!(check(&with(&[("transfer-encoding", "chunked")])), Ok(()));
}
