//! The body of the object-model flow (v14.1 and later). Source: the vendor's page "Embed Token
//! Generation".

use serde::Serialize;

use super::values::{Filled, Value, Values};
use crate::config;
use crate::model::Secret;

/// What is posted to `…/embed/authorize`.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    serverurl: String,
    siteidentifier: String,
    email: &'a str,
    embedsecret: &'a str,
    dashboard: Dashboard<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous: Option<Anonymous<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groupbasedauthorization: Option<GroupBased<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    datasourcefilters: Vec<Parameter<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dashboardparameters: Vec<Parameter<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    customattributes: Vec<Parameter<'a>>,
}

#[derive(Serialize)]
struct Dashboard<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Anonymous<'a> {
    isenabled: bool,
    groupname: &'a str,
}

#[derive(Serialize)]
struct GroupBased<'a> {
    isenabled: bool,
    userid: &'a str,
    authprovidername: &'a str,
    isenableduserimport: bool,
}

#[derive(Serialize)]
struct Parameter<'a> {
    name: &'a str,
    value: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    One(&'a str),
    List([&'a str; 1]),
    Many(&'a [String]),
}

pub(super) fn of<'a>(site: &config::BoldBi, secret: &'a Secret, values: &'a Values<'a>) -> Body<'a> {
    let group = |group| Anonymous { isenabled: true, groupname: group };
    Body {
        serverurl: site.server_url(),
        siteidentifier: site.site_identifier(),
        email: values.email,
        embedsecret: secret.expose(),
        dashboard: Dashboard { id: values.dashboard_id },
        anonymous: values.anonymous_group.map(group),
        groupbasedauthorization: values.group_access.map(|(access, user)| GroupBased {
            isenabled: true,
            userid: user,
            authprovidername: &access.provider,
            isenableduserimport: access.import_users,
        }),
        datasourcefilters: values.datasource_filters.iter().map(parameter).collect(),
        dashboardparameters: values.dashboard_parameters.iter().map(parameter).collect(),
        customattributes: values.custom_attributes.iter().map(parameter).collect(),
    }
}

fn parameter<'a>(filled: &'a Filled<'a>) -> Parameter<'a> {
    let value = match &filled.value {
        // A list of one: a text might be taken apart at its commas.
        Value::One(text) if filled.operator.is_some_and(|operator| operator != "=") => Content::List([text]),
        Value::One(text) => Content::One(text),
        Value::Many(texts) => Content::Many(texts),
    };
    Parameter { name: filled.name, value, operator: filled.operator }
}
