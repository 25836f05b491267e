//! `upstreams`, as far as all kinds are alike.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{self, At, Kind};
use super::super::{Environment, LoadLimit, Retry, System, Timeouts, Upstream};
use super::{Problems, Section, bold_bi, databricks, power_bi};

pub(super) fn resolve(
    name: &str,
    file: &At<file::Upstream>,
    env: &Environment,
    problems: &mut Problems,
) -> Option<Upstream> {
    let before = problems.0.len();
    let mut section = Section { path: format!("upstreams.{name}"), place: file.place, problems };
    let given = &file.value;
    let system = match given.kind {
        Kind::Databricks => databricks::system(given, env, &mut section).map(System::Databricks),
        Kind::PowerBi => power_bi::system(given, env, &mut section).map(System::PowerBi),
        Kind::BoldBi => bold_bi::system(given, &mut section).map(System::BoldBi),
    };
    let limit = given.load_limit.as_ref();
    // Only Databricks says how many dashboards may start.
    let limited = limit.is_some() || given.kind == Kind::Databricks;
    let load_limit = load_limit(limit.map(|limit| &limit.value))
        .map_err(|message| section.add(limit.map(|limit| limit.place), "load_limit", message));
    if let Some(ca) = given.ca_file.as_ref().filter(|ca| !ca.value.is_file()) {
        section.add(Some(ca.place), "ca_file", format!("{} is not a file", ca.value.display()));
    }
    let attempts = given.retry.attempts.unwrap_or(4);
    if !(1..=10).contains(&attempts) {
        section.add(Some(file.place), "retry.attempts", "must be between 1 and 10");
    }
    let span = |span: Option<super::units::Span>, default| span.map_or(Duration::from_secs(default), |span| span.0);
    let timeouts = Timeouts { connect: span(given.timeouts.connect, 2), request: span(given.timeouts.request, 10) };
    if timeouts.connect.is_zero() || timeouts.request.is_zero() {
        section.add(Some(file.place), "timeouts", "must be above zero");
    }
    let system = system?;
    let opened = given.service_token_endpoint.as_ref().filter(|opened| opened.value);
    if let Some(opened) = opened.filter(|_| !system.has_service_token()) {
        section.add(Some(opened.place), "service_token_endpoint", "there is no service token to hand out");
    }
    let upstream = Upstream {
        name: name.to_owned(),
        system,
        load_limit: Some(load_limit.ok()?).filter(|_| limited),
        timeouts,
        retry: Retry { attempts, max_backoff: span(given.retry.max_backoff, 8) },
        ca_file: given.ca_file.as_ref().map(|ca| ca.value.clone()),
        service_token_endpoint: opened.is_some(),
    };
    (problems.0.len() == before).then_some(upstream)
}

/// Limits belong to a workspace, so upstreams of one workspace share one: it may be written at any
/// of them, and where it is written twice it must say the same.
pub(super) fn share_limits(
    upstreams: &mut BTreeMap<String, Arc<Upstream>>,
    files: &BTreeMap<String, At<file::Upstream>>,
    problems: &mut Problems,
) {
    let mut written: BTreeMap<String, (String, LoadLimit)> = BTreeMap::new();
    for (name, upstream) in upstreams.iter() {
        let Some(limit) = files.get(name).and_then(|file| file.value.load_limit.as_ref()) else {
            continue;
        };
        let Some(own) = &upstream.load_limit else { continue };
        match written.get(&upstream.system.workspace()) {
            Some((other, agreed)) if agreed != own => problems.add(
                Some(limit.place),
                &format!("upstreams.{name}.load_limit"),
                format!("differs from that of upstream `{other}`, which has the same host and so the same limit"),
            ),
            Some(_) => {}
            None => {
                written.insert(upstream.system.workspace(), (name.clone(), own.clone()));
            }
        }
    }
    for upstream in upstreams.values_mut() {
        if let Some((_, agreed)) = written.get(&upstream.system.workspace()) {
            Arc::make_mut(upstream).load_limit = Some(agreed.clone());
        }
    }
}

fn load_limit(given: Option<&file::LoadLimit>) -> Result<LoadLimit, String> {
    let default = file::LoadLimit::default();
    let given = given.unwrap_or(&default);
    let limit = LoadLimit {
        per_second: given.per_second.unwrap_or(20),
        window: given.window.map_or(Duration::from_secs(1), |window| window.0),
        max_wait: given.max_wait.map_or(Duration::from_secs(2), |wait| wait.0),
        max_waiting: given.max_waiting.unwrap_or(200),
        per_viewer_per_second: given.per_viewer_per_second.unwrap_or(5),
    };
    if !(1..=100_000).contains(&limit.per_second) {
        return Err("per_second must be between 1 and 100000".into());
    }
    if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&limit.window) {
        return Err("window must be between 1s and 1m".into());
    }
    if limit.per_viewer_per_second == 0 {
        return Err("per_viewer_per_second must be at least 1".into());
    }
    Ok(limit)
}
