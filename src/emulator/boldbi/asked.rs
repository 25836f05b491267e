//! What either flow asks for.

use std::time::Duration;

use super::filters::Filters;
use super::{NO_OBJECT, refused};
use crate::emulator::settings::{BoldBiDashboard, BoldBiSettings};
use crate::emulator::wire::Reply;

/// A request that was read and found right.
#[derive(Debug)]
pub(super) struct Wanted {
    pub viewer: Viewer,
    pub dashboard: Option<BoldBiDashboard>,
    pub filters: Filters,
    /// The life that was asked for.
    pub life: Option<Duration>,
}

/// Who is to see it.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub email: String,
    pub name: String,
}

/// How the viewer comes to be allowed in.
#[derive(Debug)]
pub(super) enum Entrance<'a> {
    /// As a user of the server.
    User,
    /// As nobody, with the rights of a group.
    Anonymous { group: &'a str },
    /// As a user of third-party groups.
    Groups { user: &'a str, provider: &'a str, import: bool },
}

/// Finds the viewer. Only a user of the server has to be known to it; one of third-party groups does unless the request
/// has them imported, which is a choice: the vendor does not say.
pub(super) fn viewer(settings: &BoldBiSettings, email: &str, entrance: &Entrance<'_>) -> Result<Viewer, Reply> {
    let known = |list: &[String], name: &str| list.iter().any(|one| one.eq_ignore_ascii_case(name));
    match entrance {
        Entrance::Anonymous { group } if !known(&settings.groups, group) => return Err(refused("Group not found")),
        Entrance::Anonymous { .. } => return Ok(Viewer { email: email.to_owned(), name: "Anonymous".to_owned() }),
        Entrance::Groups { provider, .. } if !known(&settings.auth_providers, provider) => {
            return Err(refused("Authentication provider not found"));
        }
        Entrance::Groups { user, import: true, .. } => {
            return Ok(Viewer { email: email.to_owned(), name: (*user).to_owned() });
        }
        Entrance::Groups { .. } | Entrance::User => {}
    }
    let user = settings.users.iter().find(|user| user.email.eq_ignore_ascii_case(email));
    let user = user.ok_or_else(|| refused("User not found"))?;
    Ok(Viewer { email: user.email.clone(), name: user.name.clone() })
}

/// Finds a dashboard by its id.
pub(super) fn dashboard(settings: &BoldBiSettings, id: &str) -> Result<BoldBiDashboard, Reply> {
    found(settings, |one| one.id.eq_ignore_ascii_case(id))
}

/// Finds a dashboard by its path, `/Category/Name`.
pub(super) fn dashboard_at(settings: &BoldBiSettings, path: &str) -> Result<BoldBiDashboard, Reply> {
    let path = path.trim_start_matches('/');
    found(settings, |one| format!("{}/{}", one.category, one.name).eq_ignore_ascii_case(path))
}

fn found(settings: &BoldBiSettings, is_it: impl Fn(&BoldBiDashboard) -> bool) -> Result<BoldBiDashboard, Reply> {
    settings.dashboards.iter().find(|one| is_it(one)).cloned().ok_or_else(|| refused(NO_OBJECT))
}
