//! `embeds`, as far as all kinds are alike.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{self, At, Kind};
use super::super::{Embed, Item, System, Upstream};
use super::{Problems, Section, bold_bi, databricks, power_bi};

/// No token lives longer.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(super) fn resolve(
    name: &str,
    file: &At<file::Embed>,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    kind: Option<Kind>,
    problems: &mut Problems,
) -> Option<Embed> {
    let before = problems.0.len();
    let given = &file.value;
    let mut section = Section { path: format!("embeds.{name}"), place: file.place, problems };
    // An embed is judged even if its upstream is in disorder: all problems are told at once.
    let Some(kind) = kind else {
        let message = format!("there is no upstream `{}`", given.upstream.value);
        section.add(Some(given.upstream.place), "upstream", message);
        return None;
    };
    let (min_ttl, stale_until) = lives(given, kind, &mut section);
    let item = match kind {
        Kind::Databricks => databricks::item(given, &mut section),
        Kind::PowerBi => power_bi::item(given, &mut section),
        Kind::BoldBi => bold_bi::item(given, &mut section),
    }?;
    let upstream = Arc::clone(upstreams.get(&given.upstream.value)?);
    if let (Item::BoldBi(item), System::BoldBi(system)) = (&item, &upstream.system) {
        bold_bi::check_flow(item, system, given, &mut section);
    }
    (problems.0.len() == before).then(|| Embed { name: name.to_owned(), upstream, item, min_ttl, stale_until })
}

/// `min_ttl` and `stale_until`.
fn lives(given: &file::Embed, kind: Kind, section: &mut Section<'_>) -> (Duration, Duration) {
    // Of tokens that are to live shortly, half of the life is promised.
    let lifetime = given.lifetime.as_ref().map(|at| at.value.0).filter(|lifetime| !lifetime.is_zero());
    let half = lifetime.map_or(Duration::MAX, |lifetime| lifetime / 2);
    let (default_min_ttl, default_stale_until) = match kind {
        Kind::Databricks => (Duration::from_secs(600), Duration::from_secs(310)),
        Kind::BoldBi => (Duration::from_secs(600).min(half), Duration::from_secs(60)),
        Kind::PowerBi => (Duration::from_secs(900).min(half), Duration::from_secs(60)),
    };
    let min_ttl = given.min_ttl.as_ref().map_or(default_min_ttl, |at| at.value.0);
    let min_place = given.min_ttl.as_ref().map(At::place);
    if kind == Kind::Databricks && min_ttl <= databricks::PAGE_CLIENT_MARGIN {
        let message = "must be over 5 minutes: with less, the vendor's page client asks in a tight loop";
        section.add(min_place, "min_ttl", message);
    } else if min_ttl > LONGEST {
        section.add(min_place, "min_ttl", "must be at most 24h: no token lives longer");
    }
    let stale_until = given.stale_until.as_ref().map_or(default_stale_until.min(min_ttl), |at| at.value.0);
    if stale_until > min_ttl {
        let place = given.stale_until.as_ref().map(At::place);
        section.add(place, "stale_until", "is above min_ttl: it says how far below it an outage may go");
    }
    (min_ttl, stale_until)
}
