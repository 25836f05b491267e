//! The path of a proxied request, and the rules that let it through.
//!
//! What is matched is what is sent, and what is sent is what the target will see: a path that two readers
//! could take for two things is refused, not normalised. Envoy CVE-2019-9901 (`..`), CVE-2021-29492 (`%2F`)
//! and oauth2-proxy CVE-2026-41059 (`#`) all came of a rule that was held against another text than the one
//! that arrived.

use percent_encoding::percent_decode_str;

/// A path that has one meaning: segments of plain characters, or of others percent-encoded UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainPath<'a>(&'a str);

/// Why a path is none that has one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    Relative,
    /// `//`, which some servers take for one slash and some clients for a host.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `.` or `..`, in any spelling: dots are never encoded in a path that means well.
    #[error("the path has a segment of dots")]
    DotSegment,
    /// A backslash, a semicolon or a raw byte that no URL has.
    #[error("the path has a character that servers read in several ways")]
    Character,
    /// A `%` without two hex digits, or an encoding of what servers decode at different times: a slash, a
    /// backslash, a percent sign, a control character, or one that needs none; or of what is no UTF-8, in which
    /// lenient decoders find dots and slashes (`%c0%ae`).
    #[error("the path has a percent-encoding that servers read in several ways")]
    Encoding,
}

impl<'a> PlainPath<'a> {
    /// Takes the path of a request as it came, without its query.
    ///
    /// # Errors
    /// What is ambiguous.
    pub fn parse(path: &'a str) -> Result<PlainPath<'a>, Ambiguous> {
        let mut rest = path.strip_prefix('/').ok_or(Ambiguous::Relative)?;
        while let Some((segment, more)) = cut(rest) {
            if segment.is_empty() {
                return Err(Ambiguous::EmptySegment);
            }
            check_segment(segment)?;
            rest = more;
        }
        // The last one may be empty: `/api/`.
        check_segment(rest)?;
        Ok(PlainPath(path))
    }

    /// The text, for the request that is sent.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    fn segments(self) -> impl Iterator<Item = &'a str> {
        let mut rest = self.0.get(1..);
        std::iter::from_fn(move || match cut(rest?) {
            Some((segment, more)) => {
                rest = Some(more);
                Some(segment)
            }
            None => rest.take(),
        })
    }
}

/// What is before the first slash, and behind it. By hand: std's search is made for long texts, and takes 100
/// instructions for each of these short ones.
fn cut(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == b'/')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn check_segment(segment: &str) -> Result<(), Ambiguous> {
    if !segment.is_empty() && segment.bytes().all(|byte| byte == b'.') {
        return Err(Ambiguous::DotSegment);
    }
    if segment.bytes().any(|byte| byte == b'%') {
        check_decoded(segment)?;
    }
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => check_encoded(bytes.next(), bytes.next())?,
            _ if is_unreserved(byte) => {}
            // The delimiters of RFC 3986 section 3.3 without `;`, which some servers cut segments at.
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {}
            _ => return Err(Ambiguous::Character),
        }
    }
    Ok(())
}

/// Overlong forms of UTF-8 are a dot or a slash to old decoders (`%c0%ae`), and so are to others the characters that
/// look like one or are folded to one (`%ef%bc%8f`).
fn check_decoded(segment: &str) -> Result<(), Ambiguous> {
    let text = percent_decode_str(segment).decode_utf8().map_err(|_| Ambiguous::Encoding)?;
    let is_delicate = |character: char| {
        character.is_control()
            || matches!(
                character,
                '\u{ff0e}' | '\u{ff0f}' | '\u{ff3c}' | '\u{ff05}' | '\u{fe52}' | '\u{fe68}' | '\u{2024}'
                    ..='\u{2026}' | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29f5}' | '\u{29f8}' | '\u{29f9}'
            )
    };
    if text.contains(is_delicate) { Err(Ambiguous::Encoding) } else { Ok(()) }
}

fn check_encoded(high: Option<u8>, low: Option<u8>) -> Result<(), Ambiguous> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let (Some(high), Some(low)) = (digit(high), digit(low)) else { return Err(Ambiguous::Encoding) };
    let byte = u8::try_from(high * 16 + low).map_err(|_| Ambiguous::Encoding)?;
    let is_delicate = byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'%' | b';' | b'?' | b'#');
    if is_delicate || is_unreserved(byte) { Err(Ambiguous::Encoding) } else { Ok(()) }
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// One rule of `routes.*.allow`, such as `GET /api/**`: a method and a path, in which `*` stands for one
/// segment and `**`, at the end, for all that is below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowRule {
    method: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Any,
    Below,
}

impl std::fmt::Display for AllowRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.method)?;
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Text(text) => write!(f, "/{text}"),
            Segment::Any => f.write_str("/*"),
            Segment::Below => f.write_str("/**"),
        })
    }
}

/// Methods that a rule may name. `CONNECT` and `TRACE` are not proxied.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

impl AllowRule {
    /// Reads a rule.
    ///
    /// # Errors
    /// What is wrong with it, for the operator.
    pub fn parse(text: &str) -> Result<AllowRule, String> {
        let (method, path) =
            text.split_once(' ').ok_or_else(|| format!("`{text}` is not of the form `GET /api/**`"))?;
        if !METHODS.contains(&method) {
            return Err(format!("`{method}` is none of {}", METHODS.join(", ")));
        }
        let path = PlainPath::parse(path).map_err(|error| format!("`{path}`: {error}, so nothing could match it"))?;
        let mut segments = Vec::new();
        for segment in path.segments() {
            if segments.last() == Some(&Segment::Below) {
                return Err(format!("`{text}` has something behind `**`, which stands for all that is below"));
            }
            segments.push(match segment {
                "**" => Segment::Below,
                "*" => Segment::Any,
                text if text.contains('*') => {
                    return Err(format!("`{text}` has a `*` in it, which stands for a whole segment only"));
                }
                text => Segment::Text(text.to_owned()),
            });
        }
        Ok(AllowRule { method: method.to_owned(), segments })
    }

    /// The method that it lets through.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Whether it lets this request through. `GET` does not imply `HEAD`; letters are compared as they are.
    pub fn allows(&self, method: &str, path: PlainPath<'_>) -> bool {
        if self.method != method {
            return false;
        }
        let mut given = path.segments();
        for segment in &self.segments {
            let Some(found) = given.next() else { return false };
            match segment {
                Segment::Below => return true,
                Segment::Any if found.is_empty() => return false,
                Segment::Text(text) if text != found => return false,
                Segment::Any | Segment::Text(_) => {}
            }
        }
        given.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(rule: &str, method: &str, path: &str) -> bool {
        let rule = AllowRule::parse(rule).unwrap();
        PlainPath::parse(path).is_ok_and(|path| rule.allows(method, path))
    }

    #[test]
    fn the_examples_of_the_contract() {
        for path in ["/api/x", "/api/", "/api/x/y", "/api/x/y/", "/api/a%20b", "/api/%C3%A9t%c3%a9", "/api/a@b:c,d"] {
            assert!(allows("GET /api/**", "GET", path), "{path}");
        }
        for path in ["/api", "/", "/apix", "/api2/x", "/API/x", "/x/api/x"] {
            assert!(!allows("GET /api/**", "GET", path), "{path}");
        }
        assert!(allows("POST /api/predict", "POST", "/api/predict"));
        for (method, path) in [
            ("GET", "/api/predict"),
            ("HEAD", "/api/predict"),
            ("post", "/api/predict"),
            ("POST", "/api/predict/"),
            ("POST", "/api/predict/x"),
            ("POST", "/api/predicts"),
        ] {
            assert!(!allows("POST /api/predict", method, path), "{method} {path}");
        }
        assert!(!allows("GET /api/**", "HEAD", "/api/x"), "GET does not imply HEAD");
    }

    #[test]
    fn a_rule_is_written_as_it_was_read() {
        for rule in ["GET /", "GET /**", "POST /api/predict", "HEAD /models/*/x", "GET /api/"] {
            assert_eq!(AllowRule::parse(rule).unwrap().to_string(), rule);
        }
    }

    #[test]
    fn a_star_is_one_segment() {
        assert!(allows("GET /models/*/predict", "GET", "/models/a/predict"));
        for path in ["/models//predict", "/models/predict", "/models/a/b/predict", "/models/a/predict/"] {
            assert!(!allows("GET /models/*/predict", "GET", path), "{path}");
        }
        assert!(!allows("GET /*", "GET", "/"));
        assert!(allows("GET /**", "GET", "/") && allows("GET /", "GET", "/"));
    }

    /// `reliability-security.md` 1.4, rows 16, 17 and 19 of its acceptance table, and what else has been tried on proxies.
    const TRICKS: &[&str] = &[
        "/api/../admin",
        "/api/./admin",
        "/api/..",
        "/api/.",
        "/api/.../x",
        "/api/%2e%2e/admin",
        "/api/%2E%2E/admin",
        "/api/.%2e/admin",
        "/api/%2e/admin",
        "/api/%2f/admin",
        "/api%2fx",
        "/api/%5c..%5cadmin",
        "/api\\x",
        "/api/..\\admin",
        "//evil.example/api/x",
        "/api//x",
        "//",
        "/api/%252e%252e/admin",
        "/api/%25",
        "/api/%00",
        "/api/%0d%0aX: y",
        "/api/%7f",
        "/api/%",
        "/api/%4",
        "/api/%zz",
        "/api/%u002e",
        "/api/%61",
        "/api/%c0%2e",
        "/api/%c0%ae%c0%ae/admin",
        "/api/%c0%af",
        "/api/%c3/%a9",
        "/api/%e0%80%af",
        "/api/%ef%bc%8e%ef%bc%8e",
        "/api/%ef%bc%8fadmin",
        "/api/%e2%81%84",
        "/api/%c2%85",
        "/api/%e9",
        "/api/%ff",
        "/api/..;/admin",
        "/api/x;y=1",
        "/api/%3b/x",
        "/api/x#y",
        "/api/%23",
        "/api/%3f",
        "/api/x y",
        "/api/\u{e9}",
        "/api/\u{7f}",
        "/api/{x}",
        "/api/|",
        "/api/^",
        "/api/`",
        "/api/\"x\"",
        "/api/<x>",
        "api/x",
        "",
        "*",
        "http://evil.example/api/x",
        "@evil.example/api",
    ];

    #[test]
    fn tricks() {
        for path in TRICKS {
            assert!(PlainPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn rules_that_could_never_match_or_match_too_much_are_refused() {
        for rule in [
            "",
            "GET",
            "/api/**",
            "GET  /api",
            "get /api",
            "CONNECT /x",
            "TRACE /x",
            "* /x",
            "GET api",
            "GET /a/../b",
            "GET /a//b",
            "GET /a?b",
            "GET /a b",
            "GET /a*",
            "GET /**/b",
            "GET /a/**/b",
            "GET /a/**/",
            "GET https://x/a",
        ] {
            assert!(AllowRule::parse(rule).is_err(), "{rule}");
        }
    }

    proptest! {
        /// However a server decodes and resolves a path that was let through, it stays below the allowed one.
        #[test]
        fn what_is_let_through_stays_below(tail in "([a-z./%;\\\\]|%2e|%2f|%5c|%25|%3b|\\.\\.){0,12}") {
            let path = format!("/api/{tail}");
            if allows("GET /api/**", "GET", &path) {
                let once = percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned();
                let twice = percent_encoding::percent_decode_str(&once).decode_utf8_lossy().into_owned();
                for seen in [&path, &once, &twice] {
                    let resolved = resolve(&seen.replace('\\', "/"));
                    prop_assert!(resolved.starts_with("/api/"), "{} becomes {}", path, resolved);
                }
            }
        }

        /// No text makes it panic, and what is taken is sent as it came.
        #[test]
        fn any_text_is_judged(path in "\\PC{0,40}") {
            if let Ok(plain) = PlainPath::parse(&path) {
                prop_assert_eq!(plain.as_str(), &path);
                prop_assert!(path.parse::<http::uri::PathAndQuery>().is_ok_and(|uri| uri.path() == path));
            }
        }

        #[test]
        fn a_literal_rule_allows_its_own_path_alone(a in "/[a-z]{1,5}(/[a-z]{0,5}){0,2}", b in "/[a-z]{1,5}(/[a-z]{0,5}){0,2}") {
            if let (Ok(rule), Ok(plain)) = (AllowRule::parse(&format!("GET {a}")), PlainPath::parse(&b)) {
                prop_assert_eq!(rule.allows("GET", plain), a == b);
            }
        }
    }

    /// RFC 3986 section 5.2.4, as a lenient server does it.
    fn resolve(path: &str) -> String {
        let mut kept: Vec<&str> = Vec::new();
        for segment in path.split('/').skip(1) {
            match segment.split(';').next().unwrap_or_default() {
                "." => {}
                ".." => {
                    kept.pop();
                }
                _ => kept.push(segment),
            }
        }
        format!("/{}", kept.join("/"))
    }
}
