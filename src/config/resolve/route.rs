//! `routes`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{self, At};
use super::super::{Route, RouteTimeouts, System, Upstream};
use super::url::{base_url, is_id};
use super::{Problems, Section};
use crate::model::path::AllowRule;

pub(super) fn resolve(
    name: &str,
    file: &At<file::Route>,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    named: Option<&At<file::Upstream>>,
    problems: &mut Problems,
) -> Option<Route> {
    let before = problems.0.len();
    let given = &file.value;
    let mut section = Section { path: format!("routes.{name}"), place: file.place, problems };
    if named.is_none() {
        let message = format!("there is no upstream `{}`", given.upstream.value);
        section.add(Some(given.upstream.place), "upstream", message);
    }
    let upstream = upstreams.get(&given.upstream.value);
    if upstream.is_some_and(|upstream| !upstream.system.has_service_token()) {
        section.add(Some(given.upstream.place), "upstream", "has no service token that could be injected");
    }
    let insecure = named.is_some_and(|upstream| upstream.value.allow_insecure_http);
    let target = base_url(&given.target.value, insecure)
        .map_err(|message| section.add(Some(given.target.place), "target", message))
        .ok();
    let is_databricks = upstream.is_some_and(|upstream| matches!(upstream.system, System::Databricks(_)));
    if let Some(audience) = given.audience.as_ref().filter(|audience| !is_databricks || !is_id(&audience.value)) {
        section.add(Some(audience.place), "audience", "must be the OAuth client id of a Databricks App");
    }
    let rules = given.allow.iter().flat_map(|rules| rules.value.iter().map(|rule| (rules.place, rule)));
    let allow = rules.filter_map(|(place, rule)| {
        AllowRule::parse(rule).map_err(|message| section.add(Some(place), "allow", message)).ok()
    });
    let allow = allow.collect();
    let timeouts = given.timeouts.unwrap_or_default();
    let span = |given: Option<crate::config::units::Span>, default: u64| {
        given.map_or(Duration::from_secs(default), |span| span.0)
    };
    let timeouts = RouteTimeouts {
        connect: span(timeouts.connect, 2),
        response_headers: span(timeouts.response_headers, 60),
        idle: span(timeouts.idle, 300),
    };
    for (key, span) in [
        ("timeouts.connect", timeouts.connect),
        ("timeouts.response_headers", timeouts.response_headers),
        ("timeouts.idle", timeouts.idle),
    ] {
        if span.is_zero() {
            section.add(None, key, "must be above zero");
        }
    }
    let (upstream, target) = (Arc::clone(upstream?), target?);
    (problems.0.len() == before).then(|| Route {
        name: name.to_owned(),
        upstream,
        target,
        audience: given.audience.as_ref().map(|audience| audience.value.clone()),
        allow,
        require_header: given.require_header.unwrap_or(true),
        websocket: given.websocket.unwrap_or(true),
        timeouts,
    })
}
