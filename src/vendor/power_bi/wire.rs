//! Requests to the REST API. `GenerateToken` has six forms: one for many items at once ("V2"), and
//! five for one item each ("V1"), of which dashboards, tiles and new reports know no other.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use serde::Serialize;

use super::body;
use super::reply::Report;
use crate::config::{PowerBiItem, Shown};
use crate::model::{Code, Fault, Token};
use crate::telemetry::metrics::Operation;
use crate::upstream::{Call, sensitive};
use crate::vendor::Mint;

const PROFILE: HeaderName = HeaderName::from_static("x-powerbi-profile-id");

/// `POST …/GenerateToken`, in the form that the item asks for.
pub(super) fn generate_call(
    service: &Token,
    item: &PowerBiItem,
    reports: &[Report],
    mint: &Mint<'_>,
) -> Result<Call, Fault> {
    let identities = body::identities(item, reports, mint)?;
    let group = format!("/groups/{}", item.workspace_id);
    let (place, json) = match &item.shown {
        // The one right that the form for many cannot give without opening the whole workspace.
        Shown::Reports(ids) if ids.len() == 1 && item.allow_save_as && !body::needs_form_of_many(item, reports) => {
            (format!("{group}/reports/{}", item.shown.id()), json(&body::of_one(item, identities)))
        }
        Shown::Reports(_) => (String::new(), json(&body::of_many(item, reports, identities))),
        Shown::Dashboard(id) => (format!("{group}/dashboards/{id}"), json(&body::of_one(item, identities))),
        Shown::Tile { dashboard, tile } => {
            (format!("{group}/dashboards/{dashboard}/tiles/{tile}"), json(&body::of_one(item, identities)))
        }
        Shown::Questions(id) => (format!("{group}/datasets/{id}"), json(&body::of_one(item, identities))),
        Shown::NewReport(_) => (format!("{group}/reports"), json(&body::of_one(item, identities))),
    };
    let mut headers = headers(service, item)?;
    headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    let path = format!("/v1.0/myorg{place}/GenerateToken");
    Ok(Call { operation: Operation::Mint, method: Method::POST, path, headers, body: json?.into() })
}

/// `GET …/reports/{id}`
pub(super) fn report_call(service: &Token, item: &PowerBiItem, id: &str) -> Result<Call, Fault> {
    look_up_call(service, item, &format!("reports/{id}"))
}

/// `GET …/datasets/{id}`
pub(super) fn dataset_call(service: &Token, item: &PowerBiItem, id: &str) -> Result<Call, Fault> {
    look_up_call(service, item, &format!("datasets/{id}"))
}

fn look_up_call(service: &Token, item: &PowerBiItem, place: &str) -> Result<Call, Fault> {
    Ok(Call {
        operation: Operation::TokenInfo,
        method: Method::GET,
        path: format!("/v1.0/myorg/groups/{}/{place}", item.workspace_id),
        headers: headers(service, item)?,
        body: bytes::Bytes::new(),
    })
}

fn headers(service: &Token, item: &PowerBiItem) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
    let mut headers = vec![(AUTHORIZATION, sensitive(&format!("Bearer {}", service.expose()))?)];
    if let Some(id) = &item.profile_id {
        // Without it we would act with the rights of the principal itself.
        let id = HeaderValue::try_from(id).map_err(|_| Fault::new(Code::Internal, "profile_id fits into no header"))?;
        headers.push((PROFILE, id));
    }
    Ok(headers)
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(body).map_err(|_| Fault::new(Code::Internal, "a request to the vendor could not be written"))
}
