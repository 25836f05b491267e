//! Answers of the REST API, and what is wrong with them.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::EXHAUSTED_FOR;
use crate::config::BaseUrl;
use crate::model::{Code, Fault, Lifetime, Token};
use crate::upstream::Reply;
use crate::upstream::retry::is_transient;
use crate::vendor::answer::{Voice, header, is_harmless, trace};

const VOICE: Voice = Voice {
    vendor: "Power BI",
    on_html: ": is api_url the URL of the REST API?",
    trace: |reply| Said::of(reply).trace,
};

/// A report, as far as its tokens and its page need it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    /// Its id.
    pub id: String,
    /// Where it is shown.
    #[serde(rename(deserialize = "embedUrl"))]
    pub embed_url: String,
    /// Its dataset; a paginated report has none.
    #[serde(rename(deserialize = "datasetId"), default, skip_serializing)]
    pub dataset_id: Option<String>,
    /// Whether it is a paginated one (RDL).
    #[serde(rename(deserialize = "reportType"), deserialize_with = "is_paginated", default, skip_serializing)]
    pub is_paginated: bool,
}

fn is_paginated<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let kind = Option::<String>::deserialize(deserializer)?;
    Ok(kind.is_some_and(|kind| kind.eq_ignore_ascii_case("PaginatedReport")))
}

/// What a dataset says of row-level security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Whether a token for it needs an effective identity.
    pub needs_identity: bool,
    /// Whether that identity needs roles.
    pub needs_roles: bool,
}

/// A fresh embed token.
pub(super) struct EmbedToken {
    pub(super) token: Token,
    pub(super) token_id: Option<Box<str>>,
    pub(super) lifetime: Lifetime,
}

/// By so much may two clocks differ before an `expiration` is not believed.
const SKEW: Duration = Duration::from_secs(60);

/// Reads the answer to `GenerateToken` for a token that can live for `longest`. The end alone says how
/// long it lives, and by a clock that is slow an ended token would still seem good: what outlives the
/// token that it was got with, whose life was told in seconds too, gives the clock away.
pub(super) fn embed_token(reply: &Reply, longest: Duration) -> Result<EmbedToken, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        token: String,
        #[serde(default)]
        token_id: Option<String>,
        expiration: String,
    }
    if reply.status != StatusCode::OK {
        return Err(fault(reply));
    }
    let body: Body = VOICE.json(reply, "an embed token")?;
    let token = VOICE.token(reply, &body.token)?;
    let end: jiff::Timestamp =
        body.expiration.parse().map_err(|_| VOICE.malformed(reply, "its expiration is no time"))?;
    let mut lifetime = VOICE.lifetime(reply, None, Some(end.as_second()))?;
    if lifetime.ttl() > longest + SKEW {
        lifetime = VOICE.lifetime(reply, Some(longest), None)?;
    }
    Ok(EmbedToken { token, token_id: body.token_id.filter(|id| is_harmless(id)).map(Into::into), lifetime })
}

/// Reads a report of this API.
pub(super) fn report(reply: &Reply, api: &BaseUrl) -> Result<Report, Fault> {
    if reply.status != StatusCode::OK {
        return Err(fault(reply));
    }
    let report: Report = VOICE.json(reply, "a report")?;
    let url = &report.embed_url;
    let is_url = url.starts_with("https://") || (!api.https && url.starts_with("http://"));
    // It goes into a page's iframe: a script there would run in the app's name.
    if !is_url || url.len() > 4096 || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(VOICE.malformed(reply, "its embedUrl is no URL"));
    }
    Ok(report)
}

/// Reads a dataset. The vendor's schema and its examples differ in the case of the names.
pub(super) fn dataset(reply: &Reply) -> Result<Dataset, Fault> {
    if reply.status != StatusCode::OK {
        return Err(fault(reply));
    }
    let body: serde_json::Map<String, Value> = VOICE.json(reply, "a dataset")?;
    let flag =
        |name: &str| body.iter().any(|(key, value)| key.eq_ignore_ascii_case(name) && value.as_bool() == Some(true));
    Ok(Dataset {
        needs_identity: flag("isEffectiveIdentityRequired"),
        needs_roles: flag("isEffectiveIdentityRolesRequired"),
    })
}

/// Whether a fault is the used-up allowance of a capacity: a "no" that passes by itself.
pub(super) fn is_exhaustion(fault: &Fault) -> bool {
    fault.code() == Code::Denied && fault.retry_hint() == Some(EXHAUSTED_FOR)
}

/// What any call may be answered with.
fn fault(reply: &Reply) -> Fault {
    let Said { code, message, trace } = Said::of(reply);
    let says = |fragment: &str| message.contains(fragment);
    let is = |name: &str| code.as_deref() == Some(name);
    let fault = |code, text: &str| Fault::new(code, format!("Power BI {text}{trace}"));
    match reply.status.as_u16() {
        429 => fault(Code::Throttled, "throttles us"),
        _ if is_transient(reply.status) => fault(Code::Unavailable, "is in trouble"),
        300..=399 => VOICE.redirected(reply, "api_url", "is api_url the URL of the REST API?"),
        // Both are worth one more try with a fresh service token.
        403 if is("TokenExpired") => fault(
            Code::CredentialsRejected,
            "says that the service token has expired; if that stays, check the clock of this machine",
        ),
        401 => fault(
            Code::CredentialsRejected,
            "refused the service principal: make it a member of the workspace (Workspace > Manage access), and let \
             service principals use the API (Admin portal > Tenant settings > Developer settings > Service principals \
             can call Fabric public APIs)",
        ),
        403 if says("embed token") && says("exceeded the amount") => fault(
            Code::Denied,
            "has no more free embed tokens for this workspace: assign the workspace to a capacity (Workspace settings \
             > License info)",
        )
        .retry_after(EXHAUSTED_FOR),
        400 | 403 => by_message(&says).map_or_else(
            || match reply.status.as_u16() {
                403 => fault(
                    Code::Denied,
                    "denied access: make the service principal a member of the workspace (Workspace > Manage access); \
                     Viewer is not enough, and a profile must belong to this service principal",
                ),
                _ => fault(Code::Rejected, "refused the request"),
            },
            |text| fault(Code::Rejected, text),
        ),
        404 if is("PowerBIFolderNotFound") => fault(
            Code::UpstreamNotFound,
            "knows no such workspace, or does not show it to the service principal: check workspace_id and Workspace \
             > Manage access",
        ),
        404 => fault(
            Code::UpstreamNotFound,
            "knows no such item in this workspace, or does not show it to the service principal: check the ids of the \
             embed and Workspace > Manage access",
        ),
        _ => fault(Code::Rejected, "refused the request"),
    }
}

/// The vendor gives these one code, so its words tell them apart; matched loosely, as they vary.
fn by_message(says: &impl Fn(&str) -> bool) -> Option<&'static str> {
    Some(if says("identity to be provided") {
        "requires an effective identity for this dataset (identity_required): it has row-level security; set rls for \
         the embed"
    } else if says("roles to be included") {
        "requires roles in the effective identity (roles_required): set rls.roles for the embed"
    } else if says("shouldn't have effective identity") || says("should not have effective identity") {
        "takes no effective identity for this dataset (identity_not_allowed): it has no row-level security; define \
         roles in the data model, or take rls out of the embed"
    } else if says("multiple identities") {
        "takes one effective identity only for this kind of item: name one dataset in rls.datasets"
    } else if says("principal name") {
        "requires the effective username to be the service principal itself (Azure Analysis Services): use \
         rls.custom_data for the viewer"
    } else if says("effective identity is not supported") {
        "does not support effective identities for this data source"
    } else {
        return None;
    })
}

/// What the vendor said. Its message may quote what we sent, so it is only looked into.
struct Said {
    code: Option<String>,
    /// In small letters.
    message: String,
    trace: String,
}

impl Said {
    fn of(reply: &Reply) -> Said {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let error = body.get("error");
        let text = |name: &str| error.and_then(|error| error.get(name)).and_then(Value::as_str);
        let inner = error.and_then(|error| error.pointer("/pbi.error/code")).and_then(Value::as_str);
        let code = text("code").or(inner).map(str::to_owned);
        // The typographic apostrophe is seen, too.
        let details = error.and_then(|error| error.pointer("/pbi.error/details")).and_then(Value::as_array);
        let details = details.into_iter().flatten().filter_map(|detail| detail.pointer("/detail/value")?.as_str());
        let message: Vec<&str> = text("message").into_iter().chain(details).collect();
        let message = message.join(" ").to_lowercase().replace('\u{2019}', "'");
        let trace = trace(reply.status, code.as_deref(), header(reply, "requestid"));
        Said { code, message, trace }
    }
}
