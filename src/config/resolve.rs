//! File and environment to a [`Config`], or to all the problems at once, each with its place.

mod bold_bi;
mod databricks;
mod embed;
mod fleet;
mod foreign;
mod power_bi;
mod route;
mod server;
mod upstream;
mod url;
mod viewers;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file::{self, File};
use super::{Cache, Config, Environment, Listen, Log, Problem, SecretRef, units};

/// Resolves the text of a config file.
///
/// # Errors
/// All that is wrong with it.
pub fn from_text(text: &str, env: &Environment) -> Result<Config, Vec<Problem>> {
    let file = file::parse(text).map_err(|problem| vec![problem])?;
    resolve(&file, env)
}

/// Resolves a config from the variables of the vendor's own example app, with one upstream and
/// one embed named `default`.
///
/// # Errors
/// All that is missing or wrong.
pub fn from_environment(env: &Environment) -> Result<Config, Vec<Problem>> {
    const HOST: [&str; 2] = ["DATABRICKS_HOST", "INSTANCE_URL"];
    let mut problems = Problems::default();
    let host = env.first(&HOST).map(|(_, host)| host);
    let dashboard = env.get("DASHBOARD_ID");
    if host.is_none() || dashboard.is_none() {
        problems.add(
            None,
            "",
            format!(
                "neither --config nor SIDEMINT_CONFIG is given, and without them {} must be set",
                match (host, dashboard) {
                    (None, None) => "DATABRICKS_HOST (or INSTANCE_URL) and DASHBOARD_ID",
                    (None, _) => "DATABRICKS_HOST (or INSTANCE_URL)",
                    _ => "DASHBOARD_ID",
                }
            ),
        );
        return Err(problems.0);
    }
    let at = |value: &str| file::At { value: value.to_owned(), place: (0, 0) };
    let host = host.unwrap_or_default();
    // The SDKs take a host name without a scheme, too.
    let host = if host.contains("://") { host.to_owned() } else { format!("https://{host}") };
    let upstream = file::Upstream {
        host: Some(at(&host)),
        workspace_id: env.get("WORKSPACE_ID").map(at),
        ..file::Upstream::of(file::Kind::Databricks)
    };
    let embed = file::Embed { upstream: at("default"), dashboard_id: dashboard.map(at), ..file::Embed::default() };
    let file = File {
        upstreams: [("default".into(), file::At { value: upstream, place: (0, 0) })].into(),
        embeds: [("default".into(), file::At { value: embed, place: (0, 0) })].into(),
        ..File::default()
    };
    resolve(&file, env)
}

fn resolve(file: &File, env: &Environment) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::default();
    let server = server::server(&file.server, env, &mut problems);
    let admin = server::admin(&file.admin, env, &mut problems);
    if server.listen.contains(&Listen::Tcp(admin.listen)) && admin.listen.port() != 0 {
        problems.add(Some(file.admin.place), "admin.listen", "is the same address as server.listen");
    }
    let mut upstreams = BTreeMap::new();
    for (name, upstream) in &file.upstreams {
        check_name("upstreams", name, upstream.place, &mut problems);
        if let Some(resolved) = upstream::resolve(name, upstream, env, &mut problems) {
            upstreams.insert(name.clone(), Arc::new(resolved));
        }
    }
    upstream::share_limits(&mut upstreams, &file.upstreams, &mut problems);
    let mut embeds = BTreeMap::new();
    for (name, embed) in &file.embeds {
        check_name("embeds", name, embed.place, &mut problems);
        let kind = file.upstreams.get(&embed.value.upstream.value).map(|upstream| upstream.value.kind);
        if let Some(resolved) = embed::resolve(name, embed, &upstreams, kind, &mut problems) {
            embeds.insert(name.clone(), Arc::new(resolved));
        }
    }
    let mut routes = BTreeMap::new();
    for (name, route) in &file.routes {
        check_name("routes", name, route.place, &mut problems);
        let named = file.upstreams.get(&route.value.upstream.value);
        if let Some(resolved) = route::resolve(name, route, &upstreams, named, &mut problems) {
            routes.insert(name.clone(), Arc::new(resolved));
        }
    }
    let (id_privacy, hmac_key) = viewers::ids(&file.viewers, &mut problems);
    let issuer = viewers::issuer(&file.viewers, &mut problems);
    if let Some(issuer) = &issuer {
        let placed = embeds.iter().filter_map(|(name, embed)| Some((embed, file.embeds.get(name)?.place)));
        placed.for_each(|(embed, place)| viewers::check_embed(issuer, embed, place, &mut problems));
    }
    let fleet = fleet::fleet(file.fleet.as_ref(), &mut problems);
    fleet::check(fleet.as_ref(), &upstreams, &mut problems);
    let config = Config {
        hmac_key,
        issuer: issuer.map(Arc::new),
        server,
        admin,
        log: log(&file.log, env, &mut problems),
        cache: cache(&file.cache),
        id_privacy,
        fleet: fleet.map(Arc::new),
        upstreams,
        embeds,
        routes,
    };
    if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
}

fn log(log: &file::Log, env: &Environment, problems: &mut Problems) -> Log {
    let level = env.get("SIDEMINT_LOG").or(log.level.as_deref()).unwrap_or("info").to_owned();
    // A bare unknown word would be taken as the name of a module, and everything else fall silent.
    let word = |part: &str| part.contains('=') || ["off", "error", "warn", "info", "debug", "trace"].contains(&part);
    let words = level.split(',').all(|part| word(part.trim()));
    if !words || level.parse::<tracing_subscriber::filter::Targets>().is_err() {
        problems.add(None, "log.level", "(or SIDEMINT_LOG) is neither a level (error, warn, info, debug, trace) nor directives such as `info,sidemint::upstream=debug`");
    }
    Log { level, format: log.format.unwrap_or_default(), audit: log.audit.unwrap_or(true) }
}

fn cache(cache: &file::Cache) -> Cache {
    const DEFAULT: units::Bytes = units::Bytes(64 << 20);
    Cache {
        max_size: cache.max_size.unwrap_or(DEFAULT).0,
        idle: cache.idle.map_or(std::time::Duration::from_secs(30 * 60), |idle| idle.0),
    }
}

/// Names go into URLs, metric labels and file names.
fn check_name(section: &str, name: &str, place: (u64, u64), problems: &mut Problems) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || name.len() > 63 || !name.chars().all(plain) {
        let message = "a name is up to 63 letters, digits, '-', '_' and '.', and begins with a letter or digit";
        problems.add(Some(place), section, message);
    }
}

/// Exactly one of a file and a variable.
fn secret_ref(file: Option<&std::path::Path>, variable: Option<&str>) -> Result<Option<SecretRef>, &'static str> {
    match (file, variable) {
        (Some(_), Some(_)) => Err("is given as a file and as a variable: keep one of them"),
        (Some(file), None) => Ok(Some(SecretRef::File(file.to_owned()))),
        (None, Some(variable)) => Ok(Some(SecretRef::Env(variable.to_owned()))),
        (None, None) => Ok(None),
    }
}

/// What was found so far.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, place: Option<(u64, u64)>, key: &str, message: impl Into<String>) {
        let place = place.filter(|place| *place != (0, 0));
        self.0.push(Problem { place, key: key.to_owned(), message: message.into() });
    }
}

/// One section of the file, and what is wrong with it.
struct Section<'a> {
    /// Such as `upstreams.acme`.
    path: String,
    place: (u64, u64),
    problems: &'a mut Problems,
}

impl Section<'_> {
    /// Notes a problem with a key; without a place of its own, the section's is given.
    fn add(&mut self, place: Option<(u64, u64)>, key: &str, message: impl Into<String>) {
        let key = format!("{}.{key}", self.path);
        self.problems.add(place.or(Some(self.place)), &key, message);
    }

    /// Refuses keys that are not among those of the kind.
    fn refuse_foreign(&mut self, kind: &str, keys: &[foreign::Key], ours: &[&str]) {
        for (key, place) in keys.iter().filter(|(key, place)| place.is_some() && !ours.contains(key)) {
            self.add(*place, key, format!("is no key of kind {kind}"));
        }
    }
}

#[cfg(test)]
mod tests;
