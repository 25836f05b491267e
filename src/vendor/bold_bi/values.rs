//! What is minted into a token for one viewer: every value that the config names, or none at all. A
//! filter that is left out because the viewer lacks its value would show all rows.

use std::borrow::Cow;

use crate::config::{BoldBiItem, Flow, GroupAccess, Origin, Parameter, ViewerField};
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

impl Values<'_> {
    /// All that the vendor learns of the viewer, and so could quote.
    pub(super) fn texts(&self) -> Vec<&str> {
        let all = [&self.custom_attributes, &self.datasource_filters, &self.dashboard_parameters];
        let filled = all.into_iter().flatten().flat_map(Filled::texts);
        let user = self.group_access.map(|(_, user)| user);
        [self.email].into_iter().chain(user).chain(filled).collect()
    }
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
    let value = match &parameter.value {
        Origin::Id => Value::One(&viewer.id),
        Origin::Value => Value::One(viewer.value.as_deref().ok_or_else(|| lacks("viewer.value"))?),
        Origin::Roles if viewer.roles.is_empty() => return Err(lacks("viewer.roles")),
        Origin::Roles => {
            // A set, sent as one, so that its order makes no other token.
            let mut roles = viewer.roles.clone();
            roles.sort_unstable();
            roles.dedup();
            Value::Many(Cow::Owned(roles))
        }
        Origin::Attribute(name) => {
            let value = viewer.attributes.get(name).map(String::as_str);
            Value::One(value.ok_or_else(|| lacks("an attribute in viewer.attributes"))?)
        }
        Origin::Fixed(texts) => match texts.as_slice() {
            [text] => Value::One(text),
            texts => Value::Many(Cow::Borrowed(texts)),
        },
    };
    Ok(Filled { name: &parameter.name, operator: parameter.operator, value })
}

fn lacks(what: &str) -> Fault {
    Fault::new(Code::InvalidViewer, format!("{what} is missing, and the embed mints it into the token"))
}

/// Refuses a viewer whose values are not all there, or would mean something else to Bold BI, before
/// any work.
///
/// # Errors
/// [`Code::InvalidViewer`].
pub fn check_values(item: &BoldBiItem, flow: Flow, viewer: &Viewer) -> Result<(), Fault> {
    let values = of(item, viewer)?;
    if values.email.is_empty() || values.group_access.is_some_and(|(_, user)| user.is_empty()) {
        return Err(Fault::new(Code::InvalidViewer, "viewer.value is empty, and the embed takes the user from it"));
    }
    let all = [&values.custom_attributes, &values.datasource_filters, &values.dashboard_parameters];
    all.into_iter().flatten().try_for_each(|filled| filled.check(flow))
}

impl Filled<'_> {
    fn texts(&self) -> Vec<&str> {
        match &self.value {
            Value::One(text) => vec![text],
            Value::Many(texts) => texts.iter().map(String::as_str).collect(),
        }
    }

    fn check(&self, flow: Flow) -> Result<(), Fault> {
        let texts = self.texts();
        let refused = |message: &'static str| Err(Fault::new(Code::InvalidViewer, message));
        if texts.iter().any(|text| text.is_empty()) {
            return refused("a value that is minted into the token is empty");
        }
        if !texts.iter().all(|text| flow.carries(text)) {
            return refused(
                "a value that is minted into the token holds what Bold BI would take for an operator or a delimiter",
            );
        }
        Ok(())
    }
}
