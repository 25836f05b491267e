//! The shapes of `embeds`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{At, OneOrMany};
use crate::config::units::Span;

/// `embeds.*.access_level`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLevel {
    /// Look.
    #[default]
    View,
    /// Change the report.
    Edit,
    /// Make a new report on a dataset.
    Create,
}

/// `embeds.*`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embed {
    /// The upstream that shows it.
    pub upstream: At<String>,
    /// A published databricks dashboard, or a powerbi or boldbi dashboard.
    #[serde(default)]
    pub dashboard_id: Option<At<String>>,
    /// powerbi: the workspace that it is in.
    #[serde(default)]
    pub workspace_id: Option<At<String>>,
    /// powerbi: a report.
    #[serde(default)]
    pub report_id: Option<At<String>>,
    /// powerbi: more reports that the same token is for.
    #[serde(default)]
    pub report_ids: Option<At<Vec<String>>>,
    /// powerbi: a tile of the dashboard.
    #[serde(default)]
    pub tile_id: Option<At<String>>,
    /// powerbi: a dataset, for questions on it (Q&A) or, with `create`, for a new report.
    #[serde(default)]
    pub dataset_id: Option<At<String>>,
    /// powerbi: the datasets that a report's token is for; left out, the report's own is looked up. Of a
    /// dashboard or tile, those that `rls` holds for.
    #[serde(default)]
    pub dataset_ids: Option<At<Vec<String>>>,
    /// powerbi: whether other datasets may query these (composite models, paginated reports); default false.
    #[serde(default)]
    pub xmla_read_only: Option<At<bool>>,
    /// powerbi: for a new report on `dataset_id`; default false.
    #[serde(default)]
    pub create: Option<At<bool>>,
    /// powerbi: view, edit or create; default view.
    #[serde(default)]
    pub access_level: Option<At<AccessLevel>>,
    /// powerbi: whether the report may be saved under another name; default false.
    #[serde(default)]
    pub allow_save_as: Option<At<bool>>,
    /// The longest life of a token. powerbi: in whole minutes; default that of the service token. boldbi: no
    /// token is kept longer, whatever the server says of it; default 24h.
    #[serde(default)]
    pub lifetime: Option<At<Span>>,
    /// powerbi: the service principal profile (`X-PowerBI-Profile-Id`).
    #[serde(default)]
    pub profile_id: Option<At<String>>,
    /// powerbi: row-level security; default none, which shows every viewer the same rows.
    #[serde(default)]
    pub rls: Option<At<Rls>>,
    /// boldbi: what Bold BI takes for the viewer's e-mail address; default viewer.id.
    #[serde(default)]
    pub email: Option<At<ViewerField>>,
    /// boldbi: the group whose rights a viewer has who need not exist there.
    #[serde(default)]
    pub anonymous_group: Option<At<String>>,
    /// boldbi: rights by the groups of another identity provider.
    #[serde(default)]
    pub group_access: Option<At<GroupAccess>>,
    /// boldbi: custom attributes by name.
    #[serde(default)]
    pub custom_attributes: Option<At<BTreeMap<String, Origin>>>,
    /// boldbi: filters of data sources.
    #[serde(default)]
    pub datasource_filters: Option<At<Vec<Filter>>>,
    /// boldbi: parameters of the dashboard.
    #[serde(default)]
    pub dashboard_parameters: Option<At<Vec<Filter>>>,
    /// Never hand out a token with less life left; default 10m (databricks: over 5m), 15m for powerbi.
    #[serde(default)]
    pub min_ttl: Option<At<Span>>,
    /// In an outage, tokens are served down to this; default 310s for databricks, else 60s.
    #[serde(default)]
    pub stale_until: Option<At<Span>>,
}

/// `embeds.*.rls`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rls {
    /// What the data model sees as `USERNAME()`.
    pub username: ViewerField,
    /// Roles of the data model, or `viewer.roles`; default none.
    #[serde(default)]
    pub roles: Option<Roles>,
    /// The most that `viewer.roles` may ask for.
    #[serde(default)]
    pub allowed_roles: Option<Vec<String>>,
    /// What the data model sees as `CUSTOMDATA()`; default nothing.
    #[serde(default)]
    pub custom_data: Option<ViewerField>,
    /// The datasets that this holds for; default all that the token is for.
    #[serde(default)]
    pub datasets: Option<Vec<String>>,
}

/// `embeds.*.group_access`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupAccess {
    /// The viewer's id at the provider; default viewer.id.
    #[serde(default)]
    pub user: Option<ViewerField>,
    /// The provider's name in Bold BI.
    pub provider: String,
    /// Whether users that Bold BI does not know are made; default false.
    #[serde(default)]
    pub import_users: bool,
}

/// A filter or parameter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: Origin,
    /// How it compares; default what Bold BI takes: equal, or one of a list.
    #[serde(default)]
    pub operator: Option<Operator>,
}

/// How a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Operator {
    /// Equal.
    #[serde(rename = "=")]
    Equal,
    /// One of a list.
    #[serde(rename = "IN")]
    In,
    /// None of a list.
    #[serde(rename = "NOT IN")]
    NotIn,
}

/// Where a value comes from: `viewer.id`, `viewer.value`, `viewer.roles`, `viewer.attributes.<name>`,
/// or `{fixed: ...}`. A bare text is never taken as it is: a misspelt field must not become a filter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a value must be viewer.id, viewer.value, viewer.roles, viewer.attributes.<name> or {fixed: ...}"
)]
pub enum Origin {
    /// A field of the viewer.
    Field(String),
    /// The same for every viewer.
    Fixed(Fixed),
}

/// `{fixed: ...}`
#[derive(Clone, Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// A text or a list of texts.
    pub fixed: OneOrMany,
}

/// Derived, it would take a list for its fields in their order: `[viewer.value]` would be that text for
/// every viewer.
impl<'de> Deserialize<'de> for Fixed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fixed, D::Error> {
        let mut members = BTreeMap::<String, OneOrMany>::deserialize(deserializer)?;
        match (members.remove("fixed"), members.is_empty()) {
            (Some(fixed), true) => Ok(Fixed { fixed }),
            _ => Err(serde::de::Error::custom("must be {fixed: ...}")),
        }
    }
}

/// A field of a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ViewerField {
    /// The viewer's id.
    #[serde(rename = "viewer.id")]
    Id,
    /// The viewer's value.
    #[serde(rename = "viewer.value")]
    Value,
}

/// `embeds.*.rls.roles`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "roles must be a list of names, or viewer.roles")]
pub enum Roles {
    /// The same for every viewer.
    Fixed(Vec<String>),
    /// The viewer's own.
    OfViewer(ViewerRoles),
}

/// The words for the viewer's own roles.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub enum ViewerRoles {
    /// As the request names them.
    #[serde(rename = "viewer.roles")]
    Roles,
}
