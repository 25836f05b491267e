//! `upstreams` and `embeds` of Bold BI.

use std::time::Duration;

use super::super::file::{self, At};
use super::super::{BoldBi, BoldBiItem, Flow, GroupAccess, Item, Origin, Parameter, ViewerField};
use super::url::{base_url, is_id};
use super::{Section, foreign, secret_ref};

pub(super) fn system(given: &file::Upstream, section: &mut Section<'_>) -> Option<BoldBi> {
    section.refuse_foreign("boldbi", &foreign::upstream_keys(given), &["url", "site", "flow"]);
    let url = match &given.url {
        None => {
            section.add(None, "url", "is missing: the server with its path, such as https://bi.example.com/bi");
            None
        }
        Some(url) => split(&url.value, given.allow_insecure_http)
            .map_err(|message| section.add(Some(url.place), "url", message))
            .ok(),
    };
    let site = given.site.as_ref();
    if site.is_none() {
        section.add(None, "site", "is missing: the site, such as site1; \"\" for Bold BI Cloud");
    }
    // The vendor's pages write the identifier, `site/site1`.
    let bare = |site: &str| site.strip_prefix("site/").unwrap_or(site).to_owned();
    if let Some(site) = site.filter(|site| !site.value.is_empty() && !is_id(&bare(&site.value))) {
        section.add(Some(site.place), "site", "must be a site's name, such as site1");
    }
    let Some(auth) = &given.auth else {
        section.add(None, "auth", "is missing: embed_secret_file or embed_secret_env");
        return None;
    };
    let secret = secret_ref(auth.value.embed_secret_file.as_deref(), auth.value.embed_secret_env.as_deref());
    let secret = match secret {
        Ok(Some(secret)) if auth.value.has_only_embed_secret() => Some(secret),
        Ok(_) => {
            section.add(Some(auth.place), "auth", "must be just one of embed_secret_file and embed_secret_env");
            None
        }
        Err(message) => {
            section.add(Some(auth.place), "auth", format!("embed_secret {message}"));
            None
        }
    };
    let (host, path) = url?;
    let flow = match given.flow.as_ref().map(|flow| flow.value).unwrap_or_default() {
        file::Flow::ObjectModel => Flow::ObjectModel,
        file::Flow::SignedQuery => Flow::SignedQuery,
    };
    Some(BoldBi { host, path, site: bare(&site?.value), secret: secret?, flow })
}

/// The server's host, and the path of the application on it.
fn split(url: &str, insecure_allowed: bool) -> Result<(super::super::BaseUrl, String), String> {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let slash = url.get(after_scheme..).and_then(|rest| rest.find('/')).map(|at| after_scheme + at);
    let (host, path) = url.split_at(slash.unwrap_or(url.len()));
    let path = path.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    if !path.chars().all(plain) || path.contains("//") || path.contains("..") {
        return Err("must be a host and a plain path, such as https://bi.example.com/bi".into());
    }
    Ok((base_url(host, insecure_allowed)?, path.to_owned()))
}

/// A shorter one would have each viewer's token minted again and again.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);

pub(super) fn item(given: &file::Embed, section: &mut Section<'_>) -> Option<Item> {
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
    if let Some(lifetime) = given.lifetime.as_ref().filter(|lifetime| lifetime.value.0 < SHORTEST_LIFE) {
        section.add(Some(lifetime.place), "lifetime", "must be at least 1m");
    }
    let group_access = given.group_access.as_ref().map(|access| GroupAccess {
        user: access.value.user.map_or(ViewerField::Id, field),
        provider: access.value.provider.clone(),
        import_users: access.value.import_users,
    });
    if let (Some(_), Some(group)) = (&group_access, &given.anonymous_group) {
        section.add(Some(group.place), "anonymous_group", "does not go together with group_access");
    }
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
    Some(Item::BoldBi(Box::new(BoldBiItem {
        dashboard_id: id?.value.clone(),
        email: given.email.as_ref().map_or(ViewerField::Id, |email| field(email.value)),
        anonymous_group: given.anonymous_group.as_ref().map(|group| group.value.clone()),
        group_access,
        custom_attributes,
        datasource_filters,
        dashboard_parameters,
        lifetime: given.lifetime.as_ref().map(|lifetime| lifetime.value.0),
    })))
}

/// How the older flow writes a list for a dashboard's parameter is told nowhere.
pub(super) fn check_flow(item: &BoldBiItem, flow: Flow, given: &file::Embed, section: &mut Section<'_>) {
    let beyond =
        |parameter: &Parameter| is_list(&parameter.value) || parameter.operator.is_some_and(|word| word != "=");
    if flow == Flow::SignedQuery && item.dashboard_parameters.iter().any(beyond) {
        let place = given.dashboard_parameters.as_ref().map(At::place);
        let message = "with flow signed_query each must be a single value: no list, and no operator but =";
        section.add(place, "dashboard_parameters", message);
    }
    let named = [
        ("custom_attributes", given.custom_attributes.as_ref().map(At::place), &item.custom_attributes),
        ("datasource_filters", given.datasource_filters.as_ref().map(At::place), &item.datasource_filters),
        ("dashboard_parameters", given.dashboard_parameters.as_ref().map(At::place), &item.dashboard_parameters),
    ];
    for (key, place, parameters) in named {
        if !parameters.iter().all(|parameter| is_sound(&parameter.value, flow)) {
            section.add(
                place,
                key,
                "a fixed value is empty, or holds what Bold BI takes for an operator or a delimiter",
            );
        }
    }
}

fn is_list(value: &Origin) -> bool {
    match value {
        Origin::Roles => true,
        Origin::Fixed(texts) => texts.len() != 1,
        Origin::Id | Origin::Value | Origin::Attribute(_) => false,
    }
}

fn is_sound(value: &Origin, flow: Flow) -> bool {
    match value {
        Origin::Fixed(texts) => !texts.is_empty() && texts.iter().all(|text| !text.is_empty() && flow.carries(text)),
        _ => true,
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
    if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
        return Err("a name must be of letters, digits, spaces, '-', '_' and '.'".into());
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
