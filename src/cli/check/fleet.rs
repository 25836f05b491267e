//! The Redis in which the replicas keep their limit.

use std::time::Duration;

use super::{say, way};
use crate::app;
use crate::config::{Environment, Fleet};
use crate::limit::fleet::{Link, Lost, Trial};

const PATIENCE: Duration = Duration::from_secs(2);
/// No limit is kept under it.
const KEY: &str = "sidemint:check";

/// The way to it, and the limit's own script once.
pub(super) async fn walk(fleet: &Fleet, environment: Environment) -> bool {
    say(&format!("\nfleet ({})", fleet.address));
    if !way::way_to(&fleet.address.authority(), PATIENCE).await {
        return false;
    }
    let step = match (fleet.address.tls, fleet.password.is_some()) {
        (true, true) => "TLS and password",
        (true, false) => "TLS",
        (false, true) => "password",
        (false, false) => "first answer",
    };
    let link = match app::fleet_link(fleet, environment).await {
        Ok(link) => link,
        Err(message) => {
            say(&format!("FAIL  {step}: {message}"));
            return false;
        }
    };
    say(&format!("ok    {step}"));
    link.seen.cautions().iter().for_each(|caution| say(&format!("warn  {caution}")));
    let answer = tokio::time::timeout(PATIENCE, try_script(&link)).await.unwrap_or(Err(Lost::Timeout));
    match &answer {
        Ok(_) => say("ok    script"),
        Err(lost) => say(&format!("FAIL  script: {lost}")),
    }
    answer.is_ok()
}

/// All that the script ever does, so that a right that is missing shows here and not at night.
async fn try_script(link: &Link) -> Result<(), Lost> {
    let clock = link.run(KEY, &Trial::CLOCK).await?;
    for call in Trial::of(&clock).iter().flat_map(Trial::calls) {
        link.run(KEY, &call).await?;
    }
    Ok(())
}
