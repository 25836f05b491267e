//! `GET /api/2.0/lakeview/dashboards/{id}/published/tokeninfo` (databricks.md section 2).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Workspace;
use crate::emulator::faults::Plan;
use crate::emulator::wire::{Asked, Reply};

/// The scopes that an embedded dashboard needs, as three independent sources have them.
const SCOPE: &str = "dashboards.lakeview-embedded:read dashboards.query-execution settings:read sql.redash-config:read";

/// The vendor's limit for viewer id and value together, bytes.
const MAX_VIEWER: usize = 1024;

/// Fields that no client knows yet. All of tokeninfo has to be passed on when the scoped token is minted; a token
/// that was minted without these is refused by the dashboard, as one without `scope` is.
pub(super) const FUTURE_FIELDS: [&str; 2] = ["x_future", "n"];

/// The fields that a mint has to carry besides `authorization_details`.
pub(super) fn field_names() -> impl Iterator<Item = &'static str> {
    ["custom_claim", "scope"].into_iter().chain(FUTURE_FIELDS)
}

/// Answers for one dashboard.
pub(super) fn answer(workspace: &Workspace, asked: &Asked, dashboard: &str, plan: &Plan) -> Reply {
    if let Err(refused) = workspace.service_caller(asked) {
        return refused;
    }
    if workspace.dashboard(dashboard).is_none() {
        let message = format!("Dashboard {dashboard} does not exist or is not published.");
        return Reply::platform(StatusCode::NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", &message);
    }
    let parameter = |name| asked.query.get(name).map(String::as_str).unwrap_or_default();
    let (viewer, value) = (parameter("external_viewer_id"), parameter("external_value"));
    if viewer.len() + value.len() > MAX_VIEWER {
        let message = "external_viewer_id and external_value together exceed 1 KB.";
        return Reply::platform(StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE", message);
    }
    let mut info = Map::new();
    info.insert("authorization_details".to_owned(), rules(&workspace.settings.workspace_id, dashboard));
    if !plan.drop_custom_claim {
        let claim = format!("urn:aibi:external_data:{value}:{viewer}:{dashboard}");
        info.insert("custom_claim".to_owned(), json!(claim));
    }
    info.insert("scope".to_owned(), json!(SCOPE));
    info.insert("x_future".to_owned(), json!("keep-me"));
    info.insert("n".to_owned(), json!(5));
    Reply::json(StatusCode::OK, &Value::Object(info))
}

fn rules(workspace: &str, dashboard: &str) -> Value {
    json!([
        {
            "type": "workspace_rule_set",
            "resource_name": format!("workspaces/{workspace}"),
            "grant_rules": [{"permission_set": "permissionSets/workspace.workspace-access"}],
        },
        {
            "type": "workspace_rule_set",
            "resource_name": format!("workspaces/{workspace}"),
            "grant_rules": [{"permission_set": "permissionSets/workspace.dbsql-access"}],
        },
        {
            "type": "workspace_rule_set",
            "resource_name": format!("workspaces/{workspace}/dashboards/{dashboard}"),
            "resource_legacy_acl_path": format!("/dashboards/{dashboard}"),
            "grant_rules": [{"permission_set": "permissionSets/dashboard.runner"}],
        },
    ])
}
