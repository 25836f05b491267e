//! Bold BI: a site, and what of it is shown.

use super::ViewerField;
use crate::config::{BaseUrl, SecretRef};

/// A site of Bold BI.
#[derive(Clone, Debug, PartialEq)]
pub struct BoldBi {
    /// The server's host.
    pub host: BaseUrl,
    /// The path of the application on it, such as `/bi`, without a slash at its end.
    pub path: String,
    /// The site, such as `site1`; empty for Bold BI Cloud.
    pub site: String,
    /// The embed secret.
    pub secret: SecretRef,
    /// How tokens are asked for.
    pub flow: Flow,
}

impl BoldBi {
    /// The server's URL as the vendor's pages and requests have it.
    pub fn server_url(&self) -> String {
        format!("{}{}", self.host, self.path)
    }

    /// The site's identifier on the wire: `site/site1`, or nothing for Bold BI Cloud.
    pub fn site_identifier(&self) -> String {
        if self.site.is_empty() { String::new() } else { format!("site/{}", self.site) }
    }
}

/// How Bold BI is asked for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A JSON object with the secret in it, since v14.1.
    ObjectModel,
    /// A query that is signed with the secret.
    SignedQuery,
}

/// A dashboard of Bold BI, and what is minted into its tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct BoldBiItem {
    /// The dashboard.
    pub dashboard_id: String,
    /// Who looks, in the eyes of Bold BI.
    pub email: ViewerField,
    /// The group whose rights a viewer has who need not exist in Bold BI.
    pub anonymous_group: Option<String>,
    /// Rights by the groups of another identity provider.
    pub group_access: Option<GroupAccess>,
    /// Custom attributes, by name.
    pub custom_attributes: Vec<Parameter>,
    /// Filters of data sources.
    pub datasource_filters: Vec<Parameter>,
    /// Parameters of the dashboard.
    pub dashboard_parameters: Vec<Parameter>,
}

/// Rights by the groups of another identity provider.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupAccess {
    /// The viewer's id there.
    pub user: ViewerField,
    /// The provider's name in Bold BI.
    pub provider: String,
    /// Whether unknown users are made.
    pub import_users: bool,
}

/// Something that is minted into a token under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name.
    pub name: String,
    /// How it compares, where it is a filter.
    pub operator: Option<&'static str>,
    /// Where its value comes from.
    pub value: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// `viewer.id`
    Id,
    /// `viewer.value`
    Value,
    /// `viewer.roles`, a list
    Roles,
    /// `viewer.attributes.<name>`
    Attribute(String),
    /// The same for every viewer.
    Fixed(Vec<String>),
}
