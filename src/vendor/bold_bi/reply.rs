//! Answers of the authorize endpoint. The vendor documents no error statuses, so a 200 alone is no success: it
//! has to say so in its body and bring a token.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::refusal::refusal;
use crate::model::{Code, Fault, Lifetime, Secret, Token, Viewer};
use crate::upstream::Reply;
use crate::upstream::retry::is_transient;
use crate::vendor::answer::{Voice, header, seconds, trace};
use crate::vendor::{Beside, Minted};

pub(super) const VOICE: Voice = Voice {
    vendor: "Bold BI",
    on_html: ": is url the URL of the server with its path, and site the right one?",
    trace: |reply| trace(reply.status, None, header(reply, "x-request-id")),
};

/// A token whose life nobody tells is kept for so long.
const UNTOLD: Duration = Duration::from_secs(300);

/// Reads what the authorize endpoint answered to the question for this viewer.
pub(super) fn authorized(reply: &Reply, viewer: &Viewer) -> Result<Minted, Fault> {
    let status = reply.status;
    let passing = |code, text: &str| Fault::new(code, format!("Bold BI {text}{}", (VOICE.trace)(reply)));
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(passing(Code::Throttled, "throttles us"));
    } else if is_transient(status) && status != StatusCode::INTERNAL_SERVER_ERROR {
        return Err(passing(Code::Unavailable, "is in trouble"));
    } else if status.is_redirection() {
        return Err(VOICE.redirected(reply, "url", "is url the URL of the server with its path?"));
    }
    let body: Value = match VOICE.json(reply, "a token") {
        Err(_) if status != StatusCode::OK => Value::Null,
        body => body?,
    };
    let token = body.pointer("/Data/access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
    let said = |name: &str| body.get(name).and_then(Value::as_bool);
    let success = status == StatusCode::OK && said("ApiStatus") == Some(true) && said("Status") != Some(false);
    let Some(token) = token.filter(|_| success) else { return Err(refusal(reply, &body, viewer)) };
    let token = VOICE.token(reply, token)?;
    let told = told(reply, &token, &body)?;
    // It was read as JSON, so it is UTF-8.
    let answer = String::from_utf8_lossy(&reply.body).into_owned();
    Ok(Minted {
        token,
        lacks_claim: told.is_partly_unknown,
        lifetime: told.lifetime,
        beside: Some(Beside::Answer(Secret::new(answer))),
    })
}

/// What is said of a token's life.
struct Told {
    lifetime: Lifetime,
    /// Whether nothing is said, or something that makes no sense.
    is_partly_unknown: bool,
}

/// The smallest of what is said in three places, which contradict each other in the vendor's own
/// examples: the token's `exp`, `expires_in`, and `.expires`.
fn told(reply: &Reply, token: &Token, body: &Value) -> Result<Told, Fault> {
    let said = |name: &str| body.get("Data").and_then(|data| data.get(name)).filter(|value| !value.is_null());
    let expires_in = said("expires_in").map(|value| {
        seconds(value).ok_or_else(|| VOICE.malformed(reply, "its expires_in is not a number of seconds above zero"))
    });
    let expires_in = expires_in.transpose()?;
    let exp = token.claims().and_then(|claims| claims.exp());
    // It has no zone, and is taken for UTC. What is over by that may be another zone's time.
    let announced =
        said(".expires").map(|value| value.as_str().and_then(end_of).filter(|end| *end > reply.sent.unix_seconds()));
    let end = [exp, announced.flatten()].into_iter().flatten().min();
    let is_partly_unknown = announced == Some(None) || (end.is_none() && expires_in.is_none());
    // Then a short life is as good as any, and safer than most.
    let expires_in =
        if is_partly_unknown { Some(expires_in.map_or(UNTOLD, |told| told.min(UNTOLD))) } else { expires_in };
    Ok(Told { lifetime: VOICE.lifetime(reply, expires_in, end)?, is_partly_unknown })
}

/// Reads `2/12/2026 12:29:05 PM`, as .NET writes a time in the US, or ISO 8601, in Unix seconds.
fn end_of(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_second());
    }
    // Newer libraries put a narrow no-break space before AM and PM.
    let text = text.replace(['\u{202f}', '\u{a0}'], " ");
    let formats = ["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    let times = formats.iter().filter_map(|format| jiff::fmt::strtime::parse(format, &text).ok()?.to_datetime().ok());
    times.into_iter().next()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp().as_second())
}
