//! What is minted into a token for one viewer: every value that the config names, or none at all. A
//! filter that is left out because the viewer lacks its value would show all rows.

use std::borrow::Cow;

use crate::config::{BoldBiItem, GroupAccess, Origin, Parameter, ViewerField};
use crate::model::{Code, Fault, Viewer};
use crate::vendor::Mint;

/// A dashboard's fields, filled in for one viewer.
pub(super) struct Values<'a> {
    pub(super) dashboard_id: &'a str,
    pub(super) email: &'a str,
    pub(super) anonymous_group: Option<&'a str>,
    /// The viewer's id at the provider.
    pub(super) group_access: Option<(&'a GroupAccess, &'a str)>,
    pub(super) custom_attributes: Vec<Filled<'a>>,
    pub(super) datasource_filters: Vec<Filled<'a>>,
    pub(super) dashboard_parameters: Vec<Filled<'a>>,
}

/// A parameter with its value.
pub(super) struct Filled<'a> {
    pub(super) name: &'a str,
    pub(super) operator: Option<&'static str>,
    pub(super) value: Value<'a>,
}

/// One text, or several.
pub(super) enum Value<'a> {
    One(&'a str),
    Many(Cow<'a, [String]>),
}

/// Fills in a dashboard's fields.
pub(super) fn of<'a>(item: &'a BoldBiItem, mint: &Mint<'a>) -> Result<Values<'a>, Fault> {
    let fill = |parameters: &'a [Parameter]| parameters.iter().map(|one| filled(one, mint)).collect();
    let group_access = match &item.group_access {
        Some(access) => Some((access, field(access.user, mint)?)),
        None => None,
    };
    Ok(Values {
        dashboard_id: &item.dashboard_id,
        email: field(item.email, mint)?,
        anonymous_group: item.anonymous_group.as_deref(),
        group_access,
        custom_attributes: Result::from_iter::<Vec<_>>(fill(&item.custom_attributes))?,
        datasource_filters: Result::from_iter::<Vec<_>>(fill(&item.datasource_filters))?,
        dashboard_parameters: Result::from_iter::<Vec<_>>(fill(&item.dashboard_parameters))?,
    })
}
