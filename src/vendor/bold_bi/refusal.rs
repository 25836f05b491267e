//! What Bold BI means when it says no. It documents neither statuses nor words, so both are looked at: the
//! words that its SDK knows, and those that any server would use. They are never repeated, as they may quote.

use serde_json::Value;

use super::reply::VOICE;
use crate::model::{Code, Fault, Viewer};
use crate::upstream::Reply;

/// Judges an answer without a token.
pub(super) fn refusal(reply: &Reply, body: &Value, viewer: &Viewer) -> Fault {
    let trace = (VOICE.trace)(reply);
    let fault = |code, text: &str| Fault::new(code, format!("Bold BI {text}{trace}"));
    let status = reply.status.as_u16();
    match verdict(body, viewer) {
        // .NET answers 500 to whatever it has not thought of, a dashboard that is not there among it.
        Verdict::Dashboard => fault(Code::UpstreamNotFound, "knows no such dashboard: check dashboard_id"),
        Verdict::Passing => fault(Code::Unavailable, TROUBLE),
        _ if status >= 500 => fault(Code::Unavailable, TROUBLE),
        Verdict::Secret => fault(Code::CredentialsRejected, SECRET),
        Verdict::Switch => {
            fault(Code::Denied, "has embedding turned off: Settings > Embed > Enable embed authentication")
        }
        Verdict::Clock => fault(Code::Rejected, "takes the request for an old one: check the clocks of both machines"),
        Verdict::Access => fault(Code::Denied, ACCESS),
        Verdict::Viewer => fault(Code::Rejected, VIEWER),
        Verdict::Other | Verdict::Silence if status == 401 => fault(Code::CredentialsRejected, SECRET),
        Verdict::Other | Verdict::Silence if status == 403 => fault(Code::Denied, ACCESS),
        Verdict::Other | Verdict::Silence if status == 404 => fault(
            Code::UpstreamNotFound,
            "has no such site: check url and site, and that embedding is enabled (Settings > Embed)",
        ),
        Verdict::Silence if status == 200 => VOICE.malformed(reply, "there is no token in it"),
        Verdict::Other | Verdict::Silence => fault(
            Code::Rejected,
            "refused the request: check flow (signed_query is for servers before v14.1), and that the embed's names of \
             attributes, filters and groups are known there",
        ),
    }
}

const TROUBLE: &str = "is in trouble";
const SECRET: &str = "rejected the embed secret or the signature: check that it is the secret of this site, flow \
                      (signed_query is for servers before v14.1), signed_text and the clock of this machine; a secret \
                      that is lost is replaced at Settings > Embed > Regenerate, for all who use it";
const ACCESS: &str = "denied access: give the viewer or the group of the embed access to the dashboard there (Manage \
                      permissions)";
const VIEWER: &str = "does not know the viewer: the e-mail address must be that of a user there, unless \
                      anonymous_group is set";

/// What an answer complains about.
enum Verdict {
    Passing,
    Secret,
    Dashboard,
    Switch,
    Clock,
    Access,
    Viewer,
    Other,
    Silence,
}

/// A secret that is taken for a bad one stops all viewers for half a minute. So it takes more than the word,
/// which may be in the name of a role or dashboard, and nobody whose own texts have it can bring it about.
const OF_SECRETS: [&str; 28] = [
    "embed secret",
    "embedsecret",
    "embed_secret",
    "secret key",
    "secret code",
    "invalid secret",
    "wrong secret",
    "bad secret",
    "incorrect secret",
    "secret is",
    "secret mismatch",
    "secret does not",
    "secret invalid",
    "secret not valid",
    "embed signature",
    "embed_signature",
    "invalid signature",
    "wrong signature",
    "bad signature",
    "incorrect signature",
    "signature is",
    "signature mismatch",
    "signature does not",
    "signature invalid",
    "signature validation",
    "signature verification",
    "signature failed",
    "embedcodevalidation",
];
const STEMS: [&str; 3] = ["secret", "signature", "embedcode"];
/// What all the other words are made of.
const OTHER_STEMS: [&str; 14] = [
    "object reference",
    "dashboard",
    "item",
    "abled",
    "time",
    "nonce",
    "permission",
    "access",
    "user",
    "mail",
    "try again",
    "maintenance",
    "temporarily",
    "unavailable",
];

fn verdict(body: &Value, viewer: &Viewer) -> Verdict {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let mut words = format!("{} {}", text("Message"), text("errorMessage"));
    // What it quotes of a viewer is no word of its own.
    for quoted in texts(viewer).map(|text| text.to_lowercase()) {
        if OTHER_STEMS.iter().any(|stem| quoted.contains(stem)) {
            words = words.replace(&quoted, " ");
        }
    }
    let says = |given: &[&str]| given.iter().any(|word| words.contains(word));
    let (names_a_dashboard, lacks) = (says(&["dashboard", "item"]), says(&["not found", "not exist", "no such"]));
    if says(&["timestamp", "time stamp", "nonce"]) {
        Verdict::Clock
    } else if says(&OF_SECRETS)
        && !texts(viewer).any(|text| STEMS.iter().any(|stem| text.to_lowercase().contains(stem)))
    {
        Verdict::Secret
    } else if says(&["object reference"]) || (names_a_dashboard && lacks) {
        Verdict::Dashboard
    } else if says(&["disabled", "not enabled"]) {
        Verdict::Switch
    } else if says(&["timeout", "timed out", "try again", "maintenance", "temporarily", "unavailable"]) {
        Verdict::Passing
    } else if says(&["permission", "access denied", "unauthorized access", "no access"]) {
        Verdict::Access
    } else if says(&["user", "email", "e-mail"]) {
        Verdict::Viewer
    } else if words.trim().is_empty() && body.get("Status").is_none() {
        Verdict::Silence
    } else {
        Verdict::Other
    }
}

fn texts(viewer: &Viewer) -> impl Iterator<Item = &String> {
    let attributes = viewer.attributes.iter().flat_map(|(name, value)| [name, value]);
    std::iter::once(&viewer.id).chain(&viewer.value).chain(&viewer.roles).chain(attributes)
}
