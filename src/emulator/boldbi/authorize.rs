//! The object-model flow: the secret travels in a JSON body (powerbi-boldbi.md section C1).

use http::StatusCode;
use serde_json::{Map, Value};

use super::asked::{Entrance, Wanted, dashboard, viewer};
use super::filters::{Filters, attributes, filters};
use super::{Live, cut, failure, refused};
use crate::emulator::settings::BoldBiSite;
use crate::emulator::wire::{Asked, Reply};

/// The members of the body.
const MEMBERS: [&str; 10] = [
    "serverurl",
    "siteidentifier",
    "email",
    "embedsecret",
    "dashboard",
    "anonymous",
    "groupbasedauthorization",
    "datasourcefilters",
    "dashboardparameters",
    "customattributes",
];

/// Reads and checks a request.
pub(super) fn read(live: &Live, site: &BoldBiSite, asked: &Asked, notes: &mut Vec<String>) -> Result<Wanted, Reply> {
    let settings = &live.settings;
    if !settings.object_model {
        return Err(refused("EmbedCodeValidation failed: the request has no embed_signature"));
    }
    let body: Map<String, Value> = serde_json::from_slice(&asked.body)
        .map_err(|error| failure(StatusCode::BAD_REQUEST, &format!("The body cannot be read: {error}")))?;
    let body = Members::of(body)?;
    let unknown = body.0.keys().filter(|name| !MEMBERS.contains(&name.as_str()));
    notes.extend(unknown.map(|name| format!("there is no member {name}")));
    check_place(&body, site, notes)?;
    check_secret(live, body.required("embedsecret")?, notes)?;
    let email = body.required("email")?;
    let dashboard = match body.object("dashboard")? {
        Some(named) => Some(dashboard(settings, named.required("id")?)?),
        None if settings.dashboard_required => return Err(refused("dashboard is required")),
        None => None,
    };
    let (anonymous, groups) = (body.object("anonymous")?, body.object("groupbasedauthorization")?);
    let entrance = entrance(anonymous.as_ref(), groups.as_ref())?;
    let list = |name| body.0.get(name).filter(|value| !value.is_null());
    let filters = Filters {
        datasource: list("datasourcefilters").map_or(Ok(Vec::new()), |list| filters("datasourcefilters", list))?,
        parameters: list("dashboardparameters").map_or(Ok(Vec::new()), |list| filters("dashboardparameters", list))?,
        attributes: list("customattributes").map_or(Ok(Map::new()), attributes)?,
    };
    Ok(Wanted { viewer: viewer(settings, email, &entrance)?, dashboard, filters, life: None })
}

/// Both members are required. That they are right is not: the vendor may stand behind a proxy.
fn check_place(body: &Members, site: &BoldBiSite, notes: &mut Vec<String>) -> Result<(), Reply> {
    let server = body.required("serverurl")?;
    let Some((_, behind)) = server.split_once("://") else {
        return Err(refused("serverurl is no URL"));
    };
    let path = behind.split_once('/').map_or("", |(_, path)| path);
    if !same_path(path, &site.root) {
        notes.push(format!("serverurl is {server}, and the request went to {}/", site.root));
    }
    let identifier = body.0.get("siteidentifier").and_then(Value::as_str);
    let identifier = identifier.ok_or_else(|| refused("siteidentifier is required"))?;
    if !same_path(identifier, &site.identifier) {
        notes.push(format!("siteidentifier is '{identifier}', and the request went to '{}'", site.identifier));
    }
    Ok(())
}

fn same_path(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    cut(&one) == cut(&other)
}

fn check_secret(live: &Live, secret: &str, notes: &mut Vec<String>) -> Result<(), Reply> {
    if live.secrets().any(|one| one == secret) {
        return Ok(());
    }
    if live.replaced_secrets.iter().any(|one| one == secret) {
        notes.push("the embed secret was replaced".to_owned());
    }
    Err(refused("Invalid embed secret key"))
}

fn entrance<'a>(anonymous: Option<&'a Members>, groups: Option<&'a Members>) -> Result<Entrance<'a>, Reply> {
    let enabled = |members: Option<&'a Members>| match members {
        Some(members) if members.flag("isenabled")? => Ok(Some(members)),
        _ => Ok(None),
    };
    match (enabled(anonymous)?, enabled(groups)?) {
        (Some(_), Some(_)) => Err(refused("anonymous and groupbasedauthorization exclude each other")),
        (Some(members), None) => Ok(Entrance::Anonymous { group: members.required("groupname")? }),
        (None, Some(members)) => Ok(Entrance::Groups {
            user: members.required("userid")?,
            provider: members.required("authprovidername")?,
            import: members.flag("isenableduserimport")?,
        }),
        (None, None) => Ok(Entrance::User),
    }
}

/// The members of an object, by their names in lower case.
#[derive(Debug)]
pub(super) struct Members(pub Map<String, Value>);

impl Members {
    pub fn of(object: Map<String, Value>) -> Result<Self, Reply> {
        let mut members = Map::new();
        for (name, value) in object {
            if members.insert(name.to_lowercase(), value).is_some() {
                return Err(refused(&format!("{name} is given more than once")));
            }
        }
        Ok(Self(members))
    }

    /// A text that is there and not empty.
    pub fn required(&self, name: &str) -> Result<&str, Reply> {
        let text = self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| refused(&format!("{name} is required")))
    }

    fn flag(&self, name: &str) -> Result<bool, Reply> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(refused(&format!("{name} must be true or false"))),
        }
    }

    fn object(&self, name: &str) -> Result<Option<Self>, Reply> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Self::of(object.clone()).map(Some),
            Some(_) => Err(refused(&format!("{name} must be an object"))),
        }
    }
}
