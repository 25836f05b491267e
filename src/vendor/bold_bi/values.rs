//! What is minted into a token for one viewer: every value that the config names, or none at all. A
//! filter that is left out because the viewer lacks its value would show all rows.

use std::borrow::Cow;

use crate::config::{BoldBi, BoldBiItem, GroupAccess, MintedAs, Origin, Parameter, ViewerField};
use crate::model::{Code, Fault, Viewer};

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
    /// Where it comes from, for messages.
    source: &'static str,
}

/// One text, or several.
pub(super) enum Value<'a> {
    One(&'a str),
    Many(Cow<'a, [String]>),
}

/// Fills in a dashboard's fields.
pub(super) fn of<'a>(item: &'a BoldBiItem, viewer: &'a Viewer) -> Result<Values<'a>, Fault> {
    let fill = |parameters: &'a [Parameter]| parameters.iter().map(|one| filled(one, viewer)).collect();
    let group_access = match &item.group_access {
        Some(access) => Some((access, field(access.user, viewer)?)),
        None => None,
    };
    Ok(Values {
        dashboard_id: &item.dashboard_id,
        email: field(item.email, viewer)?,
        anonymous_group: item.anonymous_group.as_deref(),
        group_access,
        custom_attributes: Result::from_iter::<Vec<_>>(fill(&item.custom_attributes))?,
        datasource_filters: Result::from_iter::<Vec<_>>(fill(&item.datasource_filters))?,
        dashboard_parameters: Result::from_iter::<Vec<_>>(fill(&item.dashboard_parameters))?,
    })
}

fn field(field: ViewerField, viewer: &Viewer) -> Result<&str, Fault> {
    match field {
        ViewerField::Id => Ok(&viewer.id),
        ViewerField::Value => viewer.value.as_deref().ok_or_else(|| lacks("viewer.value")),
    }
}

fn filled<'a>(parameter: &'a Parameter, viewer: &'a Viewer) -> Result<Filled<'a>, Fault> {
    let (value, source) = match &parameter.value {
        Origin::Id => (Value::One(&viewer.id), "viewer.id"),
        Origin::Value => (Value::One(viewer.value.as_deref().ok_or_else(|| lacks("viewer.value"))?), "viewer.value"),
        Origin::Roles if viewer.roles.is_empty() => return Err(lacks("viewer.roles")),
        Origin::Roles => {
            // A set, sent as one, so that its order makes no other token.
            let mut roles = viewer.roles.clone();
            roles.sort_unstable();
            roles.dedup();
            (Value::Many(Cow::Owned(roles)), "viewer.roles")
        }
        Origin::Attribute(name) => {
            let value = viewer.attributes.get(name).map(String::as_str);
            let value = value.ok_or_else(|| lacks(&format!("viewer.attributes.{name}")))?;
            (Value::One(value), "an attribute of the viewer")
        }
        Origin::Fixed(texts) => match texts.as_slice() {
            [text] => (Value::One(text), "a fixed value"),
            texts => (Value::Many(Cow::Borrowed(texts)), "a fixed value"),
        },
    };
    Ok(Filled { name: &parameter.name, operator: parameter.operator, value, source })
}

fn lacks(what: &str) -> Fault {
    Fault::new(Code::InvalidViewer, format!("{what} is missing, and the embed mints it into the token"))
}

/// Refuses a viewer whose values are not all there, or would mean something else to Bold BI, before
/// any work.
///
/// # Errors
/// [`Code::InvalidViewer`].
pub fn check_values(item: &BoldBiItem, site: &BoldBi, viewer: &Viewer) -> Result<(), Fault> {
    let values = of(item, viewer)?;
    if values.email.is_empty() || values.group_access.is_some_and(|(_, user)| user.is_empty()) {
        return Err(Fault::new(Code::InvalidViewer, "viewer.value is empty, and the embed takes the user from it"));
    }
    let user = values.group_access.map(|(_, user)| user);
    if ![Some(values.email), user].into_iter().flatten().all(|text| site.signed_text.carries(text)) {
        return Err(Fault::new(Code::InvalidViewer, format!("who looks {AMBIGUOUS}")));
    }
    let attributes = values.custom_attributes.iter().map(|filled| (filled, MintedAs::Attribute));
    let filters = values.datasource_filters.iter().chain(&values.dashboard_parameters);
    let mut all = attributes.chain(filters.map(|filled| (filled, MintedAs::Filter)));
    all.try_for_each(|(filled, minted_as)| filled.check(site, minted_as))
}

impl Filled<'_> {
    fn check(&self, site: &BoldBi, minted_as: MintedAs) -> Result<(), Fault> {
        let (is_list, texts): (bool, Vec<&str>) = match &self.value {
            Value::One(text) => (false, vec![text]),
            Value::Many(texts) => (true, texts.iter().map(String::as_str).collect()),
        };
        let refused = |what: &str| {
            let (name, source) = (self.name, self.source);
            Err(Fault::new(Code::InvalidViewer, format!("{source}, which the embed mints as `{name}`, {what}")))
        };
        if texts.iter().any(|text| text.is_empty()) {
            return refused("is empty");
        }
        if !texts.iter().all(|text| site.flow.carries(minted_as, is_list, text)) {
            return refused(
                "holds what Bold BI would take for an operator (IN(...)) or, in a signed query, a delimiter",
            );
        }
        if !texts.iter().all(|text| site.signed_text.carries(text)) {
            return refused(AMBIGUOUS);
        }
        Ok(())
    }
}

const AMBIGUOUS: &str =
    "holds one of & # % +, which mean something else in a query that is signed decoded (signed_text)";
