//! Answers of the token endpoint, and what is wrong with them.
//!
//! What we do follows `error` and the status alone, since the vendor warns that its numbers may
//! change; the numbers choose the sentence that tells the operator what to mend.

use http::StatusCode;
use serde_json::Value;

use crate::model::{Code, Fault, Lifetime, Token};
use crate::upstream::Reply;
use crate::upstream::retry::is_transient;
use crate::vendor::answer::{Voice, header, trace};

pub(super) const VOICE: Voice = Voice {
    vendor: "Microsoft Entra",
    on_html: ": is authority the URL of Entra, without the tenant?",
    trace: |reply| Said::of(reply).trace,
};

/// Reads a token reply.
pub(super) fn token(reply: &Reply) -> Result<(Token, Lifetime), Fault> {
    match reply.status {
        StatusCode::OK => VOICE.access_token(reply),
        _ => Err(fault(reply)),
    }
}

/// What an answer that is no token means.
pub(super) fn fault(reply: &Reply) -> Fault {
    let Said { error, number, trace } = Said::of(reply);
    let status = reply.status;
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Fault::new(Code::Throttled, format!("Microsoft Entra throttles us{trace}"));
    }
    // 50033, 50087 and 90033 are the vendor's "temporary" under an `error` of their own.
    let passing = error.as_deref() == Some("temporarily_unavailable") || matches!(number, Some(50033 | 50087 | 90033));
    if is_transient(status) || passing {
        return Fault::new(Code::Unavailable, format!("Microsoft Entra is in trouble{trace}"));
    }
    if status.is_redirection() {
        return VOICE.redirected(reply, "authority", "is authority the URL of Entra, without the tenant?");
    }
    if error.is_none() {
        let why = "that is no answer of Entra: is authority its URL, without the tenant, or does a proxy answer?";
        return VOICE.malformed(reply, why);
    }
    let sentence = number.and_then(by_number).unwrap_or_else(|| by_error(error.as_deref()));
    Fault::new(Code::CredentialsRejected, format!("Microsoft Entra rejected the service principal: {sentence}{trace}"))
}

const SECRETS: &str = "Entra admin center > App registrations > the application > Certificates & secrets";

fn by_number(number: u64) -> Option<String> {
    let text = match number {
        7_000_215 => format!("the client secret is wrong; copy the secret's Value, not its Secret ID ({SECRETS})"),
        7_000_222 => format!("the client secret has expired; create a new one ({SECRETS})"),
        7_000_214 => format!("the certificate was revoked; register a new one ({SECRETS})"),
        7_000_218 => "neither a secret nor an assertion arrived; check auth".to_owned(),
        7_000_112 => {
            "the application is disabled; Enterprise applications > the application > Properties > Enabled for users \
             to sign in"
                .to_owned()
        }
        700_016 => "there is no such application in this tenant; check client_id and tenant_id".to_owned(),
        90_002 => "there is no such tenant; check tenant_id and cloud".to_owned(),
        700_027 => format!(
            "the certificate is not registered for the application, has expired, or is not that of the private key \
             ({SECRETS} > Certificates)"
        ),
        700_024 | 1_000_502 => {
            "the assertion or certificate is outside its time; check the clock of this machine, and \
                                that certificate_file or federated_token_file is still renewed"
                .to_owned()
        }
        700_213 | 70_021 => format!(
            "no federated credential fits the token; check issuer, subject and audience ({SECRETS} > Federated \
             credentials)"
        ),
        500_011 | 50_001 | 70_011 | 28_002 | 1_002_012 => {
            "the scope is not known in this tenant; check cloud, or scope if it is given".to_owned()
        }
        53_003 | 530_032 => {
            "Conditional Access blocks it; exclude the service principal, or allow this network".to_owned()
        }
        50_196 => "it was asked for too many tokens and sees a loop".to_owned(),
        _ => return None,
    };
    Some(text)
}

fn by_error(error: Option<&str>) -> String {
    match error {
        Some("invalid_client") => format!("check client_id and the secret, certificate or federated token ({SECRETS})"),
        Some("unauthorized_client") => {
            "check client_id and tenant_id, and that the application is not disabled".to_owned()
        }
        Some("invalid_scope" | "invalid_resource") => "check cloud, or scope if it is given".to_owned(),
        _ => "check tenant_id, client_id and auth".to_owned(),
    }
}

/// What the vendor said, as far as it may be repeated.
struct Said {
    error: Option<String>,
    /// The number of `AADSTS…`.
    number: Option<u64>,
    trace: String,
}

impl Said {
    /// Throttling and proxies answer in plain text, so there may be nothing.
    fn of(reply: &Reply) -> Said {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        let number = body.pointer("/error_codes/0").and_then(Value::as_u64).or_else(|| {
            let after = text("error_description")?.split_once("AADSTS")?.1;
            after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        });
        let code = number.map(|number| format!("AADSTS{number}"));
        let error = text("error").map(str::to_owned);
        let request_id = text("trace_id").or_else(|| header(reply, "x-ms-request-id"));
        let trace = trace(reply.status, code.as_deref().or(error.as_deref()), request_id);
        Said { error, number, trace }
    }
}
