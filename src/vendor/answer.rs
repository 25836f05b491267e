//! What all vendors' answers have in common: JSON or a login page, an OAuth token, a redirect, and
//! what helps the vendor's support. The vendor's free texts are never passed on: they may quote
//! what they complain about.

use std::time::Duration;

use http::StatusCode;
use http::header::LOCATION;
use http::uri::Authority;
use serde::Deserialize;
use serde_json::Value;

use crate::model::{Code, Fault, Lifetime, Token};
use crate::upstream::Reply;

/// A token longer than this fits into no header.
const LONGEST_TOKEN: usize = 64 << 10;

/// How one vendor is spoken of.
pub(super) struct Voice {
    /// Its name.
    pub(super) vendor: &'static str,
    /// What to look at when it answers with an HTML page.
    pub(super) on_html: &'static str,
    /// What helps its support, with a space before it: status, code and request id.
    pub(super) trace: fn(&Reply) -> String,
}

impl Voice {
    /// An answer that makes no sense.
    pub(super) fn malformed(&self, reply: &Reply, why: &str) -> Fault {
        let (status, trace) = (reply.status.as_u16(), (self.trace)(reply));
        Fault::new(Code::Malformed, format!("{} answered {status}, but {why}{trace}", self.vendor))
    }

    /// Reads a JSON object.
    pub(super) fn json<'a, T: Deserialize<'a>>(&self, reply: &'a Reply, what: &str) -> Result<T, Fault> {
        // Some servers of the vendors' platform begin with a byte order mark.
        let body = reply.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&reply.body);
        let start = body.iter().find(|byte| !byte.is_ascii_whitespace());
        match start {
            Some(b'{') => {
                serde_json::from_slice(body).map_err(|_| self.malformed(reply, &format!("its JSON is not {what}")))
            }
            Some(b'<') => Err(self.malformed(reply, &format!("it is an HTML page{}", self.on_html))),
            _ => Err(self.malformed(reply, "it is no JSON object")),
        }
    }

    /// Takes a token that is to go into JSON and headers.
    pub(super) fn token(&self, reply: &Reply, text: &str) -> Result<Token, Fault> {
        // A quote or a backslash would break out of the JSON and headers that the token goes into.
        let printable = |token: &str| token.bytes().all(|b| (0x21..0x7f).contains(&b) && !matches!(b, b'"' | b'\\'));
        if text.is_empty() || text.len() > LONGEST_TOKEN || !printable(text) {
            return Err(self.malformed(reply, "its token is no token"));
        }
        Ok(Token::new(text))
    }

    /// Reads a token reply (RFC 6749 section 5.1) with `refresh_in`, as Microsoft Entra sends it,
    /// and `expires_on`, as its managed identities do.
    pub(super) fn access_token(&self, reply: &Reply) -> Result<(Token, Lifetime), Fault> {
        #[derive(Deserialize)]
        struct Body {
            access_token: String,
            #[serde(default)]
            token_type: Option<String>,
            // A `null` is not the same as nothing.
            #[serde(default, deserialize_with = "present")]
            expires_in: Option<Value>,
            #[serde(default)]
            expires_on: Option<Value>,
            #[serde(default)]
            refresh_in: Option<Value>,
        }
        fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
            Value::deserialize(deserializer).map(Some)
        }
        let body: Body = self.json(reply, "a token")?;
        if body.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(self.malformed(reply, "its token_type is not Bearer"));
        }
        let token = self.token(reply, &body.access_token)?;
        let expires_in = body.expires_in.as_ref().map(|value| {
            seconds(value).ok_or_else(|| self.malformed(reply, "its expires_in is not a number of seconds above zero"))
        });
        let expires_on = body.expires_on.as_ref().and_then(seconds).and_then(|on| i64::try_from(on.as_secs()).ok());
        let exp = token.claims().and_then(|claims| claims.exp());
        let end = [exp, expires_on].into_iter().flatten().min();
        let lifetime = self.lifetime(reply, expires_in.transpose()?, end)?;
        let refresh_in = body.refresh_in.as_ref().and_then(seconds);
        Ok((token, refresh_in.map_or(lifetime, |after| lifetime.to_be_renewed_after(after))))
    }

    /// The smaller of what a reply and its token say of the life; it must not be over already.
    pub(super) fn lifetime(
        &self,
        reply: &Reply,
        expires_in: Option<Duration>,
        end: Option<i64>,
    ) -> Result<Lifetime, Fault> {
        let lifetime = Lifetime::smaller_of(reply.sent, expires_in, end)
            .ok_or_else(|| self.malformed(reply, "neither expires_in nor the token itself says how long it lives"))?;
        if lifetime.ttl().is_zero() {
            let why = "the token had expired when it was issued (is the clock of this machine right?)";
            return Err(self.malformed(reply, why));
        }
        Ok(lifetime)
    }

    /// A redirect, which is never followed: it could lead our token anywhere.
    pub(super) fn redirected(&self, reply: &Reply, key: &str, if_nowhere: &str) -> Fault {
        let (vendor, trace) = (self.vendor, (self.trace)(reply));
        let detail = match redirect_host(reply) {
            Some(host) => format!(
                "{vendor} redirects to {host}, which is not followed: if that host is the right one, put it into \
                 {key}{trace}"
            ),
            None => format!("{vendor} redirects, which is not followed: {if_nowhere}{trace}"),
        };
        Fault::new(Code::Malformed, detail)
    }
}

/// The `Location` of a redirect, as a text.
pub(super) fn location(reply: &Reply) -> &str {
    reply.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn redirect_host(reply: &Reply) -> Option<Authority> {
    let location = location(reply);
    // A bare word would be read as a host.
    let uri: http::Uri = match location.strip_prefix("//") {
        Some(rest) => format!("https://{rest}").parse().ok()?,
        None if location.contains("://") => location.parse().ok()?,
        None => return None,
    };
    // Without what may stand before an `@`.
    let authority = uri.authority()?;
    authority.as_str().rsplit('@').next().and_then(|host| host.parse().ok())
}

/// A number, or a number in a text, rounded down; vendors send both.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => text.parse::<f64>().ok()?,
        _ => return None,
    };
    let whole = seconds.floor();
    (whole >= 1.0 && whole.is_finite()).then(|| Duration::try_from_secs_f64(whole).unwrap_or(Duration::MAX))
}

/// Writes the trace: ` (HTTP 403, code X, request id Y)`.
pub(super) fn trace(status: StatusCode, code: Option<&str>, request_id: Option<&str>) -> String {
    let mut text = format!(" (HTTP {}", status.as_u16());
    for (name, value) in [("code", code.filter(|code| is_code(code))), ("request id", request_id)] {
        if let Some(value) = value.filter(|value| is_harmless(value)) {
            text.push_str(&format!(", {name} {value}"));
        }
    }
    text.push(')');
    text
}

/// A header, as a text.
pub(super) fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get(name)?.to_str().ok()
}

/// Whether it looks like an error code: a word, or a number, or the one prefix that has a number behind
/// it. Letters and digits in a mix are what secrets and ids are made of.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix("AADSTS").unwrap_or(text);
    let number = digits.bytes().all(|b| b.is_ascii_digit());
    number || text.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.'))
}

/// One short word without anything in it that could be a quotation.
pub(super) fn is_harmless(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && text.len() <= 64 && text.chars().all(word)
}
