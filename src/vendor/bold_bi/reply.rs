//! Answers of the authorize endpoint. The vendor documents no error statuses, so an answer is a token
//! only if it says so and brings one, whatever its status; anything else is a failure.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::model::{Code, Fault, Lifetime, Secret};
use crate::upstream::Reply;
use crate::upstream::retry::is_transient;
use crate::vendor::answer::{Voice, header, seconds, trace};
use crate::vendor::{Beside, Minted};

const VOICE: Voice = Voice {
    vendor: "Bold BI",
    on_html: ": is url the URL of the server with its path, and site the right one?",
    trace: |reply| trace(reply.status, None, header(reply, "x-request-id")),
};

/// A token whose life nobody tells is kept for so long.
const UNTOLD: Duration = Duration::from_secs(300);

/// Reads what the authorize endpoint answered to the question for a viewer, of whom it may quote these.
pub(super) fn authorized(reply: &Reply, quotable: &[&str]) -> Result<Minted, Fault> {
    let status = reply.status;
    let passing = |code, text: &str| Fault::new(code, format!("Bold BI {text}{}", (VOICE.trace)(reply)));
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(passing(Code::Throttled, "throttles us"));
    } else if is_transient(status) {
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
    let Some(token) = token.filter(|_| success) else { return Err(refusal(reply, &body, quotable)) };
    let token = VOICE.token(reply, token)?;
    let exp = token.claims().and_then(|claims| claims.exp());
    let expires_in = body.pointer("/Data/expires_in").and_then(seconds);
    let lifetime = lifetime(reply, exp, expires_in, announced(reply, &body))?;
    // It was read as JSON, so it is UTF-8.
    let answer = String::from_utf8_lossy(&reply.body).into_owned();
    let untold = Lifetime::new(reply.sent, UNTOLD);
    Ok(Minted {
        token,
        lacks_claim: lifetime.is_none(),
        lifetime: lifetime.unwrap_or(untold),
        beside: Some(Beside::Answer(Secret::new(answer))),
    })
}

/// The smallest of what is said in three places, which contradict each other in the vendor's own
/// examples: the token's `exp`, `expires_in`, and `.expires`.
fn lifetime(
    reply: &Reply,
    exp: Option<i64>,
    expires_in: Option<Duration>,
    announced: Option<i64>,
) -> Result<Option<Lifetime>, Fault> {
    let end = [exp, announced].into_iter().flatten().min();
    if end.is_none() && expires_in.is_none() {
        return Ok(None);
    }
    VOICE.lifetime(reply, expires_in, end).map(Some)
}

/// `.expires`, such as `2/12/2026 12:29:05 PM`. It has no zone: taken for UTC, and for nothing if it is
/// over by that, since then it must be local time somewhere.
fn announced(reply: &Reply, body: &Value) -> Option<i64> {
    let text = body.pointer("/Data/.expires").and_then(Value::as_str)?;
    let time = jiff::fmt::strtime::parse("%m/%d/%Y %I:%M:%S %p", text).ok()?.to_datetime().ok()?;
    let end = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    (end > reply.sent.unix_seconds()).then_some(end)
}

/// A refusal. Words count more than the status, since the vendor documents neither; they are looked into
/// and not repeated, as they may quote.
fn refusal(reply: &Reply, body: &Value, quotable: &[&str]) -> Fault {
    let trace = (VOICE.trace)(reply);
    let fault = |code, text: &str| Fault::new(code, format!("Bold BI {text}{trace}"));
    match (verdict(body, quotable), reply.status.as_u16()) {
        (Verdict::Dashboard, _) => fault(Code::UpstreamNotFound, "knows no such dashboard: check dashboard_id"),
        (Verdict::Secret, _) | (Verdict::Other | Verdict::Silence, 401) => fault(Code::CredentialsRejected, SECRET),
        (Verdict::Viewer, _) => fault(Code::Rejected, VIEWER),
        (_, 403) => fault(Code::Denied, "denied access: check the viewer's permission for the dashboard"),
        (_, 404) => {
            fault(Code::UpstreamNotFound, "has no such site: check url and site, and that embedding is enabled")
        }
        (Verdict::Silence, 200) => VOICE.malformed(reply, "there is no token in it"),
        _ => fault(Code::Rejected, "refused the request"),
    }
}

const SECRET: &str = "rejected the embed secret: check it, flow and the clock of this machine, or generate a new one \
                      (Settings > Embed > Embed secret) and put it into the secret's place";
const VIEWER: &str = "does not know the viewer: the e-mail address must be that of a user there, unless \
                      anonymous_group is set";

/// What an answer complains about.
enum Verdict {
    Dashboard,
    Secret,
    Viewer,
    Other,
    Silence,
}

const OF_DASHBOARD: &[&str] = &["object reference"];
const OF_SECRET: &[&str] = &["secret", "signature", "embedcodevalidation"];
const OF_VIEWER: &[&str] = &["user", "email", "e-mail"];

/// Looks for words that are known from the vendor's SDK, and for those that any server would use. What it
/// quotes of the viewer is no word of its own: nobody's name or filter must bring the secret into disrepute,
/// nor, as a part of such a word, hide it.
fn verdict(body: &Value, quotable: &[&str]) -> Verdict {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let mut words = format!("{} {}", text("Message"), text("errorMessage"));
    let found = |words: &str, known: &[&str]| known.iter().any(|word| words.contains(word));
    for quoted in quotable.iter().map(|text| text.to_lowercase()) {
        if [OF_DASHBOARD, OF_SECRET, OF_VIEWER].iter().any(|known| found(&quoted, known)) {
            words = words.replace(&quoted, " ");
        }
    }
    if found(&words, OF_DASHBOARD) {
        Verdict::Dashboard
    } else if found(&words, OF_SECRET) {
        Verdict::Secret
    } else if found(&words, OF_VIEWER) {
        Verdict::Viewer
    } else if words.trim().is_empty() && body.get("Status").is_none() {
        Verdict::Silence
    } else {
        Verdict::Other
    }
}
