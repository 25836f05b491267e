//! Answers of the authorize endpoint. The vendor documents no error statuses, so an answer is a token
//! only if it says so and brings one, whatever its status; anything else is a failure.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::model::{Code, Fault, Lifetime};
use crate::upstream::Reply;
use crate::upstream::retry::is_transient;
use crate::vendor::Minted;
use crate::vendor::answer::{Voice, header, seconds, trace};

const VOICE: Voice = Voice {
    vendor: "Bold BI",
    on_html: ": is url the URL of the server with its path, and site the right one?",
    trace: |reply| trace(reply.status, None, header(reply, "x-request-id")),
};

/// A token whose life nobody tells is kept for so long.
const UNTOLD: Duration = Duration::from_secs(300);

/// Reads what the authorize endpoint answered.
pub(super) fn authorized(reply: &Reply) -> Result<Minted, Fault> {
    if reply.status != StatusCode::OK {
        return Err(fault(reply));
    }
    let body: Value = VOICE.json(reply, "a token")?;
    let token = body.pointer("/Data/access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
    let said = |name: &str| body.get(name).and_then(Value::as_bool);
    let (Some(token), true) = (token, said("ApiStatus") == Some(true) && said("Status") != Some(false)) else {
        return Err(refusal(reply, &body));
    };
    let token = VOICE.token(reply, token)?;
    let exp = token.claims().and_then(|claims| claims.exp());
    let expires_in = body.pointer("/Data/expires_in").and_then(seconds);
    let lifetime = lifetime(reply, exp, expires_in, announced(reply, &body))?;
    let raw = String::from_utf8(reply.body.to_vec()).ok();
    Ok(Minted { token, lifetime, lacks_claim: false, page: None, raw: raw.map(Into::into) })
}

/// The smallest of what is said in three places, which contradict each other in the vendor's own
/// examples: the token's `exp`, `expires_in`, and `.expires`.
fn lifetime(
    reply: &Reply,
    exp: Option<i64>,
    expires_in: Option<Duration>,
    announced: Option<i64>,
) -> Result<Lifetime, Fault> {
    let end = [exp, announced].into_iter().flatten().min();
    if end.is_none() && expires_in.is_none() {
        return Ok(Lifetime::new(reply.sent, UNTOLD));
    }
    VOICE.lifetime(reply, expires_in, end)
}

/// `.expires`, such as `2/12/2026 12:29:05 PM`. It has no zone: taken for UTC, and for nothing if it is
/// over by that, since then it must be local time somewhere.
fn announced(reply: &Reply, body: &Value) -> Option<i64> {
    let text = body.pointer("/Data/.expires").and_then(Value::as_str)?;
    let time = jiff::fmt::strtime::parse("%m/%d/%Y %I:%M:%S %p", text).ok()?.to_datetime().ok()?;
    let end = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    (end > reply.sent.unix_seconds()).then_some(end)
}

/// An answer with another status than 200.
fn fault(reply: &Reply) -> Fault {
    let trace = (VOICE.trace)(reply);
    let fault = |code, text: &str| Fault::new(code, format!("Bold BI {text}{trace}"));
    match reply.status.as_u16() {
        429 => fault(Code::Throttled, "throttles us"),
        _ if is_transient(reply.status) => fault(Code::Unavailable, "is in trouble"),
        300..=399 => VOICE.redirected(reply, "url", "is url the URL of the server with its path?"),
        401 => fault(Code::CredentialsRejected, SECRET),
        404 => fault(Code::UpstreamNotFound, "has no such site: check url and site, and that embedding is enabled"),
        403 => fault(Code::Denied, "denied access: check the viewer's permission for the dashboard"),
        _ => serde_json::from_slice(&reply.body)
            .map_or_else(|_| fault(Code::Rejected, "refused the request"), |body| refusal(reply, &body)),
    }
}

const SECRET: &str = "rejected the embed secret: generate a new one (Settings > Embed > Embed secret), and put it into \
                      the secret's place";

/// An answer that says no in words; they are looked into and not repeated, as they may quote.
fn refusal(reply: &Reply, body: &Value) -> Fault {
    let trace = (VOICE.trace)(reply);
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let words = format!("{} {}", text("Message"), text("errorMessage"));
    let says = |word: &str| words.contains(word);
    let fault = |code, text: &str| Fault::new(code, format!("Bold BI {text}{trace}"));
    if body.is_null() || (words.trim().is_empty() && body.get("Status").is_none()) {
        return VOICE.malformed(reply, "there is no token in it");
    }
    if says("object reference") {
        return fault(Code::UpstreamNotFound, "knows no such dashboard: check dashboard_id");
    }
    if says("secret") || says("signature") || says("embedcodevalidation") {
        return fault(Code::CredentialsRejected, SECRET);
    }
    if says("user") || says("email") {
        let advice = "does not know the viewer: the e-mail address must be that of a user there, unless \
                      anonymous_group is set";
        return fault(Code::Rejected, advice);
    }
    fault(Code::Rejected, "refused the request")
}
