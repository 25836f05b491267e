//! The live check of a route: whether there is an HTTP server at its target, and a token for it.

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use super::live::Walk;
use super::{say, step, way};
use crate::config::Route;
use crate::lifecycle::Tasks;
use crate::model::{Code, Fault, Urgency};
use crate::upstream::pool::{Outgoing, Pool, Sending};

/// Nothing that could be a call of the app: the check does not know what its paths do.
const PATH: &str = "/";

pub(super) async fn walk(walk: &Walk<'_>, route: &Route) -> bool {
    let name = &route.name;
    say(&format!("route {name} ({})", route.target));
    if !way::way(&route.target, route.timeouts.connect).await {
        return false;
    }
    if !step("TLS and HTTP", reach(route).await) {
        return false;
    }
    let Some(audience) = &route.audience else { return true };
    let token = walk.vendor.narrowed_token(walk.service.as_ref(), Some(audience), None, Urgency::Waited).await;
    step("token of the app", token.map(drop).map_err(Fault::from))
}

/// Any answer will do, and no token goes out: without one the vendor's front sends to its login.
async fn reach(route: &Route) -> Result<(), Fault> {
    let pool = Pool::new(&route.target, route.upstream.ca_file.as_deref(), route.timeouts, Tasks::new());
    let pool = pool.map_err(|error| Fault::new(Code::Internal, error))?;
    let outgoing = Outgoing {
        method: Method::GET,
        path: PathAndQuery::from_static(PATH),
        headers: HeaderMap::new,
        upgrade: false,
    };
    pool.send(&outgoing, Sending::Whole(Default::default())).await.map(drop)
}
