//! Bold BI: embed tokens by both flows, and the page that is embedded (powerbi-boldbi.md section C).
//!
//! ```text
//! authorize   the object-model flow: the secret in a JSON body
//! query       the signed-query flow: HMAC over the query
//! asked       what both ask for: user, dashboard, filters
//! filters     filters and custom attributes, and the rows that they let through
//! token       the JWT and the answer around it
//! frame       the page, and its rows
//! ```
//!
//! The vendor documents neither its errors nor several details of its answers. What was chosen here:
//!
//! * A refusal is 200 with `{"Status": false, "Message": "…"}`, the one shape that the vendor's script reads; so is a
//!   dashboard that does not exist, in the words that the script knows. A site that does not exist is an empty 404,
//!   another content type 415, another method 405, and a body that is no JSON object 400.
//! * Names of members and parameters, and paths, have no letter case, as in ASP.NET. Two members that differ in letter
//!   case only are one given twice, and refused.
//! * Members that are not known are noted in the journal and otherwise ignored; so is a `serverurl` or `siteidentifier`
//!   that is not where the request went.
//! * Tokens are signed with a key of the server's own, so that a new embed secret leaves old tokens valid.
//! * A token opens all dashboards of its site, whichever one the request named.
//! * Filters travel in claims of the emulator's own, `datasource_filter` and `dashboard_parameter`, written like the
//!   vendor's `custom_attribute`: JSON in a string.

mod asked;
mod authorize;
mod filters;
mod frame;
mod query;
mod token;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::json;

use super::faults::Plan;
use super::operation::Operation;
use super::settings::{BoldBiSettings, BoldBiSite};
use super::wire::{Asked, Reply, header};
use token::Seal;

/// A script that shows dashboards knows these words for one that does not exist (powerbi-boldbi.md section C4).
const NO_OBJECT: &str = "Object reference not set to an instance of an object.";

/// Used nonces are forgotten when there are this many, so that a long load test does not fill the memory.
const MOST_NONCES: usize = 100_000;

/// The state of the server.
#[derive(Debug)]
pub(super) struct BoldBi {
    started_with: BoldBiSettings,
    live: Mutex<Live>,
}

/// What changes while it runs.
#[derive(Debug)]
struct Live {
    settings: BoldBiSettings,
    replaced_secrets: Vec<String>,
    nonces: HashSet<String>,
    seal: Seal,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// The endpoint for tokens, of a site if it exists.
    Authorize(Option<&'a BoldBiSite>),
    Page(&'a BoldBiSite),
    Script,
    Data(&'a BoldBiSite),
}

impl BoldBi {
    pub fn new(settings: BoldBiSettings) -> Self {
        let live = Live {
            settings: settings.clone(),
            replaced_secrets: Vec::new(),
            nonces: HashSet::new(),
            seal: Seal::new(),
        };
        Self { started_with: settings, live: Mutex::new(live) }
    }

    /// What a request is for, if it is one to Bold BI.
    pub fn operation(&self, asked: &Asked) -> Option<Operation> {
        let live = self.live();
        Some(match place(&live.settings.sites, asked)? {
            Place::Authorize(_) => Operation::BoldBiAuthorize,
            Place::Page(_) | Place::Script => Operation::BoldBiFrame,
            Place::Data(_) => Operation::BoldBiData,
        })
    }

    /// Answers one request.
    pub fn answer(&self, asked: &Asked, plan: &Plan, notes: &mut Vec<String>) -> Reply {
        let mut live = self.live();
        let sites = live.settings.sites.clone();
        let Some(place) = place(&sites, asked) else {
            return Reply::empty(StatusCode::NOT_FOUND);
        };
        let mut reply = match place {
            Place::Authorize(None) => Reply::empty(StatusCode::NOT_FOUND),
            Place::Authorize(Some(site)) => live.authorize(site, asked, plan, notes).unwrap_or_else(|refused| refused),
            _ if asked.method != Method::GET => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
            Place::Page(_) => frame::page(),
            Place::Script => frame::script(),
            Place::Data(site) => frame::data(&live, site, asked).unwrap_or_else(|refused| refused),
        };
        plan.add_fields(&mut reply);
        reply
    }

    pub fn settings(&self) -> &BoldBiSettings {
        &self.started_with
    }

    pub fn change(&self, change: impl FnOnce(&mut BoldBiSettings)) {
        change(&mut self.live().settings);
    }

    pub fn set_secret(&self, secret: &str) {
        let mut live = self.live();
        let old = std::mem::replace(&mut live.settings.embed_secret, secret.to_owned());
        live.replaced_secrets.push(old);
    }

    pub fn revoke_tokens(&self) {
        self.live().seal = Seal::new();
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// Either flow: which one is a matter of method and content type.
    fn authorize(
        &mut self,
        site: &BoldBiSite,
        asked: &Asked,
        plan: &Plan,
        notes: &mut Vec<String>,
    ) -> Result<Reply, Reply> {
        let kind = header(&asked.headers, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        let wanted = match asked.method {
            Method::GET => query::read(self, &asked.raw_query, notes)?,
            // Long filters do not fit into an address; whether they go into the body then is not documented.
            Method::POST if kind.starts_with("application/x-www-form-urlencoded") => {
                let text = std::str::from_utf8(&asked.body).map_err(|_| refused("The query is not UTF-8"))?;
                query::read(self, text, notes)?
            }
            Method::POST if asked.body.is_empty() && !asked.raw_query.is_empty() => {
                query::read(self, &asked.raw_query, notes)?
            }
            Method::POST if kind.starts_with("application/json") => authorize::read(self, site, asked, notes)?,
            Method::POST => return Err(Reply::empty(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
            _ => return Err(Reply::empty(StatusCode::METHOD_NOT_ALLOWED)),
        };
        let issuer = url(&asked.base_url, site);
        Ok(token::issue(&self.settings, &self.seal, &issuer, &wanted, plan))
    }

    /// The secrets that are accepted.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        self.settings.other_secrets.iter().chain([&self.settings.embed_secret]).map(String::as_str)
    }
}

/// A refusal, in the one shape that the vendor's script reads.
fn refused(message: &str) -> Reply {
    failure(StatusCode::OK, message)
}

fn failure(status: StatusCode, message: &str) -> Reply {
    Reply::json(status, &json!({"Status": false, "Message": message}))
}

/// The address of a site: `iss` and `aud` of its tokens.
fn url(base_url: &str, site: &BoldBiSite) -> String {
    let identifier = site.identifier.trim_matches('/');
    let slash = if identifier.is_empty() { "" } else { "/" };
    format!("{base_url}{}{slash}{identifier}", site.root.trim_end_matches('/'))
}

/// Empty segments are passed over: samples of the vendor write `/api//embed/authorize` where there is no identifier.
fn place<'a>(sites: &'a [BoldBiSite], asked: &Asked) -> Option<Place<'a>> {
    let segments: Vec<String> = asked.segments().iter().map(|segment| segment.to_lowercase()).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if segments == ["emulator", "boldbi", "frame.js"] {
        return Some(Place::Script);
    }
    sites.iter().find_map(|site| place_in(site, &segments)).or_else(|| {
        let somewhere = segments.contains(&"api") && segments.ends_with(&["embed", "authorize"]);
        somewhere.then_some(Place::Authorize(None))
    })
}

fn place_in<'a>(site: &'a BoldBiSite, segments: &[&str]) -> Option<Place<'a>> {
    let (root, identifier) = (site.root.to_lowercase(), site.identifier.to_lowercase());
    let behind = segments.strip_prefix(cut(&root).as_slice())?;
    let identifier = cut(&identifier);
    if let ["api", behind @ ..] = behind {
        let inside = behind.strip_prefix(identifier.as_slice())?;
        return (inside == ["embed", "authorize"]).then_some(Place::Authorize(Some(site)));
    }
    match behind.strip_prefix(identifier.as_slice())? {
        ["embed", "dashboards", _] => Some(Place::Page(site)),
        ["embed", "data"] => Some(Place::Data(site)),
        _ => None,
    }
}

fn cut(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::*;

    fn at(path: &str) -> Option<(Operation, StatusCode)> {
        let (parts, ()) = Request::get(path).body(()).expect("a request").into_parts();
        let asked = Asked::new(&parts, Bytes::new(), "http://emulator");
        let server = BoldBi::new(BoldBiSettings::default());
        let operation = server.operation(&asked)?;
        Some((operation, server.answer(&asked, &Plan::default(), &mut Vec::new()).status))
    }

    #[test]
    fn sites_are_found_at_their_paths() {
        let token = Some((Operation::BoldBiAuthorize, StatusCode::OK));
        assert_eq!(at("/bi/api/site/site1/embed/authorize"), token);
        assert_eq!(at("/BI/api/Site/Site1/Embed/Authorize"), token);
        assert_eq!(at("/bi/api/embed/authorize"), token);
        assert_eq!(at("/api//embed/authorize"), token);
        assert_eq!(at("/bi/api/site/site2/embed/authorize"), Some((Operation::BoldBiAuthorize, StatusCode::NOT_FOUND)));
        assert_eq!(at("/bi/site/site1/embed/dashboards/1"), Some((Operation::BoldBiFrame, StatusCode::OK)));
        assert_eq!(at("/embed/data"), Some((Operation::BoldBiData, StatusCode::UNAUTHORIZED)));
        assert_eq!(at("/bi/site/site2/embed/dashboards/1"), None);
        assert_eq!(at("/embed/dashboardsv3/1"), None);
    }
}
