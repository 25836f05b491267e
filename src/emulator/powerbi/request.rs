//! The bodies of the six forms, and the limits that hold whatever they are for (powerbi-boldbi.md sections A2, A3).

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::errors;
use crate::emulator::wire::{Asked, Reply, header};

const MOST_ITEMS: usize = 50;
const MOST_ROLES: usize = 50;
const LONGEST_ROLE: usize = 50;
const LONGEST_USERNAME: usize = 256;

/// For one item.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct One {
    pub access_level: Option<String>,
    pub dataset_id: Option<String>,
    pub identities: Option<Vec<Identity>>,
    pub lifetime_in_minutes: Option<i64>,
}

/// For several.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Many {
    pub datasets: Option<Vec<DatasetItem>>,
    pub reports: Option<Vec<ReportItem>>,
    pub target_workspaces: Option<Vec<WorkspaceItem>>,
    pub identities: Option<Vec<Identity>>,
    pub datasource_identities: Option<Vec<DatasourceIdentity>>,
    pub lifetime_in_minutes: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DatasetItem {
    pub id: String,
    pub xmla_permissions: Option<Xmla>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Xmla {
    Off,
    ReadOnly,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportItem {
    pub id: String,
    pub allow_edit: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WorkspaceItem {
    pub id: String,
}

/// A token for a data source. All of it is required, though nothing is done with it here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DatasourceIdentity {
    pub identity_blob: String,
    pub datasources: Vec<Datasource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read so that a request without them is refused")]
pub(super) struct Datasource {
    datasource_type: String,
    connection_details: Map<String, Value>,
}

/// An effective identity. `username` is required by the schema, and left out by its own examples.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Identity {
    pub username: Option<String>,
    pub roles: Option<Vec<String>>,
    pub datasets: Option<Vec<String>>,
    pub reports: Option<Vec<String>>,
    pub custom_data: Option<String>,
    pub identity_blob: Option<Blob>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Blob {
    pub value: String,
}

impl Identity {
    pub fn username(&self) -> &str {
        self.username.as_deref().unwrap_or_default()
    }

    pub fn roles(&self) -> &[String] {
        self.roles.as_deref().unwrap_or_default()
    }

    pub fn datasets(&self) -> &[String] {
        self.datasets.as_deref().unwrap_or_default()
    }

    pub fn reports(&self) -> &[String] {
        self.reports.as_deref().unwrap_or_default()
    }

    /// A blob that is there and not empty.
    pub fn has_blob(&self) -> bool {
        self.identity_blob.as_ref().is_some_and(|blob| !blob.value.is_empty())
    }
}

/// Reads a body. A request without a content type was seen to be refused in words of its own.
pub(super) fn read<T: DeserializeOwned>(asked: &Asked) -> Result<T, Reply> {
    let kind = header(&asked.headers, CONTENT_TYPE).unwrap_or("application/octet-stream");
    if !kind.to_ascii_lowercase().starts_with("application/json") {
        let message = format!(
            "The request contains an entity body but no Content-Type header. The inferred media type '{kind}' is not \
             supported for this resource."
        );
        return Err(Reply::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!({"message": message})));
    }
    // A struct could be read from an array too.
    let object: serde_json::Result<Map<String, Value>> = serde_json::from_slice(&asked.body);
    object
        .and_then(|body| serde_json::from_value(Value::Object(body)))
        .map_err(|error| errors::invalid(&format!("The body cannot be read: {error}")))
}

impl Many {
    /// At most fifty of each.
    pub fn check(&self) -> Result<(), Reply> {
        let counts = [
            ("reports", self.reports.as_ref().map_or(0, Vec::len)),
            ("datasets", self.datasets.as_ref().map_or(0, Vec::len)),
            ("targetWorkspaces", self.target_workspaces.as_ref().map_or(0, Vec::len)),
        ];
        match counts.into_iter().find(|(_, count)| *count > MOST_ITEMS) {
            Some((name, count)) => Err(errors::invalid(&format!("{name} has {count} items, {MOST_ITEMS} are allowed"))),
            None if counts.iter().all(|(_, count)| *count == 0) => {
                Err(errors::invalid("At least one report, dataset or target workspace is required"))
            }
            None => Ok(()),
        }
    }
}

/// The lengths of names.
pub(super) fn check_identities(identities: &[Identity]) -> Result<(), Reply> {
    for identity in identities {
        if identity.username().chars().count() > LONGEST_USERNAME {
            return Err(errors::invalid(&format!("username is longer than {LONGEST_USERNAME} characters")));
        }
        if identity.roles().len() > MOST_ROLES {
            return Err(errors::invalid(&format!("an effective identity has at most {MOST_ROLES} roles")));
        }
        if let Some(role) =
            identity.roles().iter().find(|role| role.chars().count() > LONGEST_ROLE || role.contains(','))
        {
            let why = format!("role '{role}' is longer than {LONGEST_ROLE} characters or has a comma");
            return Err(errors::invalid(&why));
        }
    }
    Ok(())
}

/// The life asked for, in minutes. None and 0 are the default; it can only be shortened.
pub(super) fn minutes(asked: Option<i64>) -> Result<Option<i64>, Reply> {
    match asked.unwrap_or(0) {
        0 => Ok(None),
        minutes @ 1.. => Ok(Some(minutes)),
        _ => Err(errors::invalid("lifetimeInMinutes must be positive")),
    }
}
