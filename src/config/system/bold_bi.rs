//! Bold BI: a site, and what of it is shown.

use std::time::Duration;

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
    /// What of a signed query is signed.
    pub signed_text: SignedText,
}

impl BoldBi {
    /// The server's URL as the vendor's pages and requests have it.
    pub fn server_url(&self) -> String {
        format!("{}{}", self.host, self.path)
    }

    /// The site's URL, as the vendor's browser SDK has it.
    pub fn site_url(&self) -> String {
        let separator = if self.site.is_empty() { "" } else { "/" };
        format!("{}{separator}{}", self.server_url(), self.site_identifier())
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

/// What of a signed query is signed: the vendor does not say which of them its server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedText {
    /// The text as it is sent.
    Sent,
    /// The same, decoded. What could be taken for another member or encoding in it is not to be in values.
    Decoded,
}

impl SignedText {
    /// Whether a value is the same for whoever reads it decoded.
    pub fn carries(self, value: &str) -> bool {
        self == SignedText::Sent || !value.contains(['&', '#', '%', '+'])
    }
}

/// What a value is minted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintedAs {
    /// A custom attribute.
    Attribute,
    /// A filter of a data source, or a parameter of the dashboard.
    Filter,
}

impl Flow {
    /// Whether Bold BI would take this for a value, and for nothing else. It reads a text that begins with
    /// `IN(` as a list. The older flow has no way to write a delimiter: filters are bare texts, and lists
    /// of attributes too.
    pub fn carries(self, minted_as: MintedAs, is_list: bool, value: &str) -> bool {
        const OF_FILTERS: &[char] = &['&', '%', '+', '#', '=', '{', '}', '[', ']', '(', ')', '\'', '"', ',', ';', '\\'];
        const OF_LISTS: &[char] = &['(', ')', '\'', ','];
        let delimiters = match (self, minted_as) {
            (Flow::SignedQuery, MintedAs::Filter) => OF_FILTERS,
            (Flow::SignedQuery, MintedAs::Attribute) if is_list => OF_LISTS,
            _ => &[],
        };
        !is_operator(value) && !value.contains(delimiters)
    }
}

fn is_operator(text: &str) -> bool {
    let text = text.trim_start().to_ascii_uppercase();
    let rest = text.strip_prefix("NOT").map_or(text.as_str(), str::trim_start);
    rest.strip_prefix("IN").is_some_and(|rest| rest.trim_start().starts_with('('))
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
    /// A token is taken to live no longer than this, whatever the server says.
    pub lifetime: Option<Duration>,
}

impl BoldBiItem {
    /// All that is minted into a token besides who looks.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.custom_attributes.iter().chain(&self.datasource_filters).chain(&self.dashboard_parameters)
    }
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
