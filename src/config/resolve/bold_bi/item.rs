//! `embeds` of Bold BI.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::file::{self, At};
use crate::config::resolve::url::is_id;
use crate::config::resolve::{Section, foreign};
use crate::config::{BoldBi, BoldBiItem, Flow, GroupAccess, Item, MintedAs, Origin, Parameter, ViewerField};

/// With a shorter one each viewer's token would be minted again and again; no token is kept longer.
const LIVES: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(24 * 3600);

pub(in crate::config) fn item(given: &file::Embed, section: &mut Section<'_>) -> Option<Item> {
    const OURS: [&str; 8] = [
        "dashboard_id",
        "email",
        "anonymous_group",
        "group_access",
        "custom_attributes",
        "datasource_filters",
        "dashboard_parameters",
        "lifetime",
    ];
    section.refuse_foreign("boldbi", &foreign::embed_keys(given), &OURS);
    let id = given.dashboard_id.as_ref();
    if id.is_none_or(|id| !is_id(&id.value)) {
        section.add(id.map(At::place), "dashboard_id", "must be the id from the dashboard's URL");
    }
    check_texts(given, section);
    let group_access = given.group_access.as_ref().map(|access| GroupAccess {
        user: access.value.user.map_or(ViewerField::Id, field),
        provider: access.value.provider.clone(),
        import_users: access.value.import_users,
    });
    let attributes = given.custom_attributes.as_ref();
    let custom_attributes = attributes.into_iter().flat_map(|all| &all.value).filter_map(|(name, from)| {
        parameter(name, None, from)
            .map_err(|message| section.add(attributes.map(At::place), "custom_attributes", message))
            .ok()
    });
    let custom_attributes = custom_attributes.collect();
    let mut filters = |key: &str, given: Option<&At<Vec<file::Filter>>>| -> Vec<Parameter> {
        let resolved = given.into_iter().flat_map(|all| &all.value).filter_map(|filter| {
            let found = parameter(&filter.name, filter.operator, &filter.value);
            found.map_err(|message| section.add(given.map(At::place), key, message)).ok()
        });
        resolved.collect()
    };
    let datasource_filters = filters("datasource_filters", given.datasource_filters.as_ref());
    let dashboard_parameters = filters("dashboard_parameters", given.dashboard_parameters.as_ref());
    let item = BoldBiItem {
        dashboard_id: id?.value.clone(),
        email: given.email.as_ref().map_or(ViewerField::Id, |email| field(email.value)),
        anonymous_group: given.anonymous_group.as_ref().map(|group| group.value.clone()),
        group_access,
        custom_attributes,
        datasource_filters,
        dashboard_parameters,
        lifetime: given.lifetime.as_ref().map(|lifetime| lifetime.value.0).filter(|lifetime| !lifetime.is_zero()),
    };
    check_names(&item, given, section);
    Some(Item::BoldBi(Box::new(item)))
}

/// What is wrong whatever the flow.
fn check_texts(given: &file::Embed, section: &mut Section<'_>) {
    let lifetime = given.lifetime.as_ref().filter(|lifetime| !lifetime.value.0.is_zero());
    if let Some(lifetime) = lifetime.filter(|lifetime| !LIVES.contains(&lifetime.value.0)) {
        section.add(Some(lifetime.place), "lifetime", "must be from 1m to 24h");
    }
    if let Some(group) = given.anonymous_group.as_ref().filter(|group| group.value.trim().is_empty()) {
        section.add(Some(group.place), "anonymous_group", "is empty: leave it out, or name a group");
    }
    if let Some(access) = given.group_access.as_ref().filter(|access| access.value.provider.trim().is_empty()) {
        section.add(Some(access.place), "group_access", "has an empty provider: such as AzureAD or TenantOpenID");
    }
    if let (Some(_), Some(group)) = (&given.group_access, &given.anonymous_group) {
        section.add(Some(group.place), "anonymous_group", "does not go together with group_access");
    }
}

/// How the older flow writes a list for a dashboard's parameter is told nowhere.
pub(in crate::config) fn check_flow(item: &BoldBiItem, site: &BoldBi, given: &file::Embed, section: &mut Section<'_>) {
    let beyond =
        |parameter: &Parameter| is_list(&parameter.value) || parameter.operator.is_some_and(|word| word != "=");
    if site.flow == Flow::SignedQuery && item.dashboard_parameters.iter().any(beyond) {
        let place = given.dashboard_parameters.as_ref().map(At::place);
        let message = "with flow signed_query each must be a single value: no list, and no operator but =";
        section.add(place, "dashboard_parameters", message);
    }
    let group = item.anonymous_group.as_deref().filter(|group| !site.signed_text.carries(group));
    let provider = item.group_access.as_ref().filter(|access| !site.signed_text.carries(&access.provider));
    for (key, is_wrong) in [("anonymous_group", group.is_some()), ("group_access", provider.is_some())] {
        if is_wrong {
            section.add(None, key, "holds one of & # % +, which mean something else with signed_text: decoded");
        }
    }
    check_one_query(item, site, given, section);
    let (attributes, filters) = (given.custom_attributes.as_ref(), given.datasource_filters.as_ref());
    let parameters = given.dashboard_parameters.as_ref().map(At::place);
    let named = [
        ("custom_attributes", attributes.map(At::place), MintedAs::Attribute, &item.custom_attributes),
        ("datasource_filters", filters.map(At::place), MintedAs::Filter, &item.datasource_filters),
        ("dashboard_parameters", parameters, MintedAs::Filter, &item.dashboard_parameters),
    ];
    for (key, place, minted_as, parameters) in named {
        if !parameters.iter().all(|parameter| is_sound(&parameter.value, site, minted_as)) {
            section.add(
                place,
                key,
                "a fixed value is empty, or holds what Bold BI takes for an operator or, in a signed query, a delimiter",
            );
        }
    }
}

/// In a signed query filters and parameters are one text.
fn check_one_query(item: &BoldBiItem, site: &BoldBi, given: &file::Embed, section: &mut Section<'_>) {
    let filters: BTreeSet<String> = item.datasource_filters.iter().map(|filter| filter.name.to_lowercase()).collect();
    let is_there = |parameter: &Parameter| filters.contains(&parameter.name.to_lowercase());
    if site.flow == Flow::SignedQuery && item.dashboard_parameters.iter().any(is_there) {
        let place = given.dashboard_parameters.as_ref().map(At::place);
        section.add(
            place,
            "dashboard_parameters",
            "has a name of datasource_filters, which are the same in a signed query",
        );
    }
}

/// Names have no letter case there, and of two of one name one would be dropped, whichever that is.
fn check_names(item: &BoldBiItem, given: &file::Embed, section: &mut Section<'_>) {
    let lists = [
        ("custom_attributes", given.custom_attributes.as_ref().map(At::place), &item.custom_attributes),
        ("datasource_filters", given.datasource_filters.as_ref().map(At::place), &item.datasource_filters),
        ("dashboard_parameters", given.dashboard_parameters.as_ref().map(At::place), &item.dashboard_parameters),
    ];
    for (key, place, parameters) in lists {
        let names: BTreeSet<String> = parameters.iter().map(|parameter| parameter.name.to_lowercase()).collect();
        if names.len() < parameters.len() {
            section.add(place, key, "has a name twice: upper and lower case make no difference there");
        }
    }
}

fn is_sound(value: &Origin, site: &BoldBi, minted_as: MintedAs) -> bool {
    let Origin::Fixed(texts) = value else { return true };
    let is_sound = |text: &String| {
        !text.is_empty() && site.flow.carries(minted_as, is_list(value), text) && site.signed_text.carries(text)
    };
    !texts.is_empty() && texts.iter().all(is_sound)
}

fn is_list(value: &Origin) -> bool {
    match value {
        Origin::Roles => true,
        Origin::Fixed(texts) => texts.len() != 1,
        Origin::Id | Origin::Value | Origin::Attribute(_) => false,
    }
}

fn field(field: file::ViewerField) -> ViewerField {
    match field {
        file::ViewerField::Id => ViewerField::Id,
        file::ViewerField::Value => ViewerField::Value,
    }
}

fn parameter(name: &str, operator: Option<file::Operator>, from: &file::Origin) -> Result<Parameter, String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    if name.is_empty() || name.len() > 128 || !name.chars().all(plain) || name.trim() != name {
        return Err("a name must be of letters, digits, '-', '_', '.' and spaces within".into());
    }
    let operator = operator.map(|operator| match operator {
        file::Operator::Equal => "=",
        file::Operator::In => "IN",
        file::Operator::NotIn => "NOT IN",
    });
    let value = match from {
        file::Origin::Fixed(fixed) => Origin::Fixed(match &fixed.fixed {
            file::OneOrMany::One(text) => vec![text.clone()],
            file::OneOrMany::Many(texts) => texts.clone(),
        }),
        file::Origin::Field(text) => match (text.as_str(), text.strip_prefix("viewer.attributes.")) {
            ("viewer.id", _) => Origin::Id,
            ("viewer.value", _) => Origin::Value,
            ("viewer.roles", _) => Origin::Roles,
            (_, Some(name)) if !name.is_empty() => Origin::Attribute(name.to_owned()),
            _ => {
                return Err(format!(
                    "the value of `{name}` is neither viewer.id, viewer.value, viewer.roles, viewer.attributes.<name> \
                     nor {{fixed: ...}}"
                ));
            }
        },
    };
    if operator == Some("=") && is_list(&value) {
        return Err(format!("the value of `{name}` is a list, whose operator is IN or NOT IN"));
    }
    Ok(Parameter { name: name.to_owned(), operator, value })
}
