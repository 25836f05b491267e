//! Who vouches for viewers.

use std::sync::Arc;
use std::time::Duration;

use super::{say, step, way};
use crate::app;
use crate::config::{Issuer, KeysFrom};

const PATIENCE: Duration = Duration::from_secs(2);

/// The way to the issuer's keys, and what they are good for.
pub(super) async fn walk(issuer: &Arc<Issuer>) -> bool {
    say(&format!("\nviewers ({})", issuer.name));
    if let KeysFrom::Discovery(url) | KeysFrom::Url(url) = &issuer.keys
        && !way::way(&url.base, PATIENCE).await
    {
        return false;
    }
    let keys = match app::issuer_keys(issuer).await {
        Ok(keys) => keys,
        Err(fault) => return step("keys of the viewers' issuer", Err(fault)),
    };
    let (usable, skipped) = keys.size();
    say(&format!("ok    keys of the viewers' issuer: {usable} usable, {skipped} left out"));
    if !keys.fit_any(&issuer.algorithms) {
        let names: Vec<&str> = issuer.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        say(&format!("FAIL  no key is for {}: see viewers.jwt.algorithms", names.join(" or ")));
        return false;
    }
    true
}
