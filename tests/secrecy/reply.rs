//! What holds for every reply of a sidecar that is its own word: nothing is in it that must not be seen, and nobody on
//! the way keeps it.

use serde_json::Value;

use super::{hide_token, nothing_in, read};

/// Threat 36: what each reply has, good or bad.
const HEADERS: [(&str, &str); 3] =
    [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")];

/// The only reply that speaks of viewers by way of example.
const OPENAPI: &[u8] = include_bytes!("../../src/api/openapi.json");

/// A reply, as any client has read it.
pub struct Heard<'a> {
    /// What was asked for: method and target.
    pub asked: &'a str,
    /// Whether a bare token was.
    pub bare: bool,
    pub status: u16,
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: &'a [u8],
}

impl Heard<'_> {
    /// Fails the test if the reply says what it must not.
    pub fn judge(&self) {
        if self.is_of_a_target() || self.is_of_the_http_library() {
            return;
        }
        let place = format!("the {} to {}", self.status, without_query(self.asked));
        for (name, value) in HEADERS {
            assert!(self.header(name) == Some(value), "{place} has no `{name}: {value}`: {:?}", self.headers);
        }
        let mut text: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        if self.body != OPENAPI {
            text += &self.without_its_token();
        }
        nothing_in(&place, text.as_bytes());
        if without_query(self.asked).ends_with("/metrics") && self.status == 200 {
            labels(&text);
        }
    }

    /// What a target says is its own business. What we say in its place is not.
    fn is_of_a_target(&self) -> bool {
        let ours = b"\"urn:sidemint:error:";
        self.asked.contains("/proxy/") && !self.body.windows(ours.len()).any(|window| window == ours)
    }

    /// Bytes that are no request never come as far as a handler; a bare status is all the answer.
    fn is_of_the_http_library(&self) -> bool {
        self.body.is_empty() && self.header("content-type").is_none() && matches!(self.status, 400 | 414 | 431)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The body but for the token that was asked for, which nothing else may say from now on.
    fn without_its_token(&self) -> String {
        let body = String::from_utf8_lossy(self.body).into_owned();
        let token = match serde_json::from_str::<Value>(&body) {
            _ if self.status != 200 => None,
            Ok(json) => [&json["access_token"], &json["Data"]["access_token"]]
                .into_iter()
                .find_map(Value::as_str)
                .map(str::to_owned),
            Err(_) => (self.bare && self.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")))
                .then(|| body.trim().to_owned()),
        };
        let Some(token) = token.filter(|token| !token.is_empty()) else { return body };
        hide_token("a token that was handed out", &token);
        // Once: a second place is a leak.
        let rest = body.replacen(&token, "", 1);
        if without_query(self.asked).ends_with("/boldbi-authorize") { without_the_viewer(&rest) } else { rest }
    }
}

/// Bold BI's page reads from this reply who is looking at it.
fn without_the_viewer(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(data) = body.get_mut("Data").and_then(Value::as_object_mut) {
        ["UserDetail", "email", "username"].into_iter().for_each(|name| drop(data.remove(name)));
    }
    body.to_string()
}

fn without_query(asked: &str) -> &str {
    asked.split_once('?').map_or(asked, |(path, _)| path)
}

/// Threats 34 and 42: what a label says is a word of the config or one of a closed set.
const WORDS: &str = "
    hit miss coalesced stale limited refused error ok timeout connect tls throttled denied not_found rejected
    server_error malformed service_token token_info mint jwks embed_token browser_unsafe_payload short_lived missing_claim
    load_limited viewer_limited empty unreadable unusable default fleet.password server.caller_token server.tls
    viewers.hmac_key
";

fn labels(metrics: &str) {
    let room = read();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((labels, _)) = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')) else { continue };
        for (name, value) in labels.split("\",").filter_map(|label| label.split_once("=\"")) {
            let value = value.trim_end_matches('"');
            let closed = || WORDS.split_whitespace().any(|word| word == value);
            let known = |part: &str| room.words.contains(part) || closed();
            let is_number = || value.parse::<f64>().is_ok() || value == "+Inf";
            let is_code = || name == "code" && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let is_class = || name == "code" && value.len() == 3 && value.ends_with("xx");
            let is_version = || name == "version" && value == env!("CARGO_PKG_VERSION");
            assert!(
                value.split('.').all(known) || is_number() || is_code() || is_class() || is_version(),
                "a label is neither a word of a config nor of the closed set: {name} in {line}"
            );
        }
    }
}
