//! `embeds`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::file::{self, At};
use super::super::{Embed, Upstream};
use super::Problems;

/// The vendor's page client renews five minutes before the end and loops without pause when it
/// gets less (reference: aibi-client 1.0.3, 515 calls in 2.5 s).
const PAGE_CLIENT_MARGIN: Duration = Duration::from_secs(300);
const DEFAULT_MIN_TTL: Duration = Duration::from_secs(600);
const DEFAULT_STALE_UNTIL: Duration = Duration::from_secs(310);

pub(super) fn resolve(
    name: &str,
    file: &At<file::Embed>,
    upstreams: &BTreeMap<String, Arc<Upstream>>,
    upstream_is_written: bool,
    problems: &mut Problems,
) -> Option<Embed> {
    let before = problems.0.len();
    let key = |key: &str| format!("embeds.{name}.{key}");
    let given = &file.value;
    if !upstream_is_written {
        let message = format!("there is no upstream `{}`", given.upstream.value);
        problems.add(Some(given.upstream.place), &key("upstream"), message);
    }
    let id = &given.dashboard_id;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if id.value.is_empty() || id.value.len() > 128 || !id.value.bytes().all(plain) {
        problems.add(
            Some(id.place),
            &key("dashboard_id"),
            "must be the id from the dashboard's URL: letters, digits, '-' and '_'",
        );
    }
    let min_ttl = given.min_ttl.as_ref().map_or(DEFAULT_MIN_TTL, |at| at.value.0);
    let min_place = given.min_ttl.as_ref().map(|at| at.place);
    if min_ttl <= PAGE_CLIENT_MARGIN {
        let message = "must be over 5 minutes: with less, the vendor's page client asks in a tight loop";
        problems.add(min_place, &key("min_ttl"), message);
    } else if min_ttl > Duration::from_secs(24 * 3600) {
        problems.add(min_place, &key("min_ttl"), "must be at most 24h: no token lives longer");
    }
    let stale_until = given.stale_until.as_ref().map_or(DEFAULT_STALE_UNTIL.min(min_ttl), |at| at.value.0);
    if stale_until > min_ttl {
        let place = given.stale_until.as_ref().map(|at| at.place);
        problems.add(place, &key("stale_until"), "is above min_ttl: it says how far below it an outage may go");
    }
    let upstream = Arc::clone(upstreams.get(&given.upstream.value)?);
    (problems.0.len() == before).then(|| Embed {
        name: name.to_owned(),
        upstream,
        dashboard_id: id.value.clone(),
        min_ttl,
        stale_until,
    })
}
