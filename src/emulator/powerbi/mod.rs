//! Power BI: its REST API as far as embedding for customers goes, and the pages that are embedded.
//!
//! Described in powerbi-boldbi.md sections A and D. Callers are service principals only: what a master user may do is
//! left out. Where the vendor's answer is unknown, the choice is named beside the code.

mod embed_token;
pub(super) mod errors;
mod frame;
mod generate;
mod identity;
mod lookup;
mod request;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::HeaderName;
use http::{Method, StatusCode};

use super::entra::{Caller, Directory};
use super::faults::Plan;
use super::keys::Refused;
use super::operation::Operation;
use super::settings::{PowerBiDashboard, PowerBiDataset, PowerBiReport, PowerBiSettings};
use super::wire::{Asked, Reply, uuid};
use embed_token::Seal;

/// The resources of the clouds: the `aud` of the tokens that the API takes (powerbi-boldbi.md section A8).
pub(super) const RESOURCES: [&str; 6] = [
    "https://analysis.windows.net/powerbi/api",
    "https://analysis.usgovcloudapi.net/powerbi/api",
    "https://high.analysis.usgovcloudapi.net/powerbi/api",
    "https://mil.analysis.usgovcloudapi.net/powerbi/api",
    "https://analysis.chinacloudapi.cn/powerbi/api",
    "https://analysis.cloudapi.de/powerbi/api",
];

const PROFILE: HeaderName = HeaderName::from_static("x-powerbi-profile-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("requestid");

/// The state of Power BI.
#[derive(Debug)]
pub(super) struct PowerBi {
    settings: PowerBiSettings,
    seal: Seal,
    live: Mutex<Live>,
}

/// Settings that change while it runs.
#[derive(Debug)]
struct Live {
    on_capacity: bool,
    trial_allowance: u32,
    trial_used: u32,
    embed_life: Option<Duration>,
}

/// What a request is for, if it is one to Power BI.
pub(super) fn operation(asked: &Asked) -> Option<Operation> {
    let segments = asked.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments[..] {
        // Whether the vendor minds the letter case of the last word is unknown; clients write both.
        ["v1.0", "myorg", .., last] if last.eq_ignore_ascii_case("GenerateToken") => Some(Operation::GenerateToken),
        ["v1.0", "myorg", "groups", _, "reports", _] => Some(Operation::PowerBiReport),
        ["v1.0", "myorg", "groups", _, "datasets", _] => Some(Operation::PowerBiDataset),
        ["v1.0", "myorg", "groups", _, "dashboards", _] => Some(Operation::PowerBiDashboard),
        ["v1.0", "myorg", "groups", _, "dashboards", _, "tiles"] => Some(Operation::PowerBiDashboard),
        ["v1.0", "myorg", "groups", _, "dashboards", _, "tiles", _] => Some(Operation::PowerBiDashboard),
        ["v1.0", "myorg", "availableFeatures"] => Some(Operation::PowerBiFeatures),
        ["reportEmbed" | "rdlEmbed" | "dashboardEmbed" | "embed" | "qnaEmbed"] => Some(Operation::ReportFrame),
        ["emulator", "powerbi", "frame.js"] => Some(Operation::ReportFrame),
        ["emulator", "powerbi", "data"] => Some(Operation::ReportData),
        _ => None,
    }
}

/// Every answer of the API has this header, which the vendor's support asks for.
pub(super) fn stamped(reply: Reply) -> Reply {
    reply.with(REQUEST_ID, &uuid())
}

impl PowerBi {
    pub fn new(settings: PowerBiSettings) -> Self {
        let live = Live {
            on_capacity: settings.on_capacity,
            trial_allowance: settings.trial_allowance,
            trial_used: 0,
            embed_life: None,
        };
        Self { settings, seal: Seal::new(), live: Mutex::new(live) }
    }

    /// Answers one request.
    pub fn answer(&self, directory: &Directory, operation: Operation, asked: &Asked, plan: &Plan) -> Reply {
        let answered = match operation {
            Operation::ReportFrame => return frame::page(asked),
            Operation::ReportData => Ok(frame::data(self, asked)),
            Operation::GenerateToken if asked.method == Method::POST => {
                self.caller(directory, asked).and_then(|caller| generate::answer(self, asked, &caller, plan))
            }
            _ if operation == Operation::GenerateToken || asked.method != Method::GET => {
                Err(Reply::empty(StatusCode::METHOD_NOT_ALLOWED))
            }
            _ => self.caller(directory, asked).and_then(|_| match operation {
                Operation::PowerBiReport => lookup::report(self, asked),
                Operation::PowerBiDataset => lookup::dataset(self, asked),
                Operation::PowerBiDashboard => lookup::dashboard(self, asked),
                _ => Ok(lookup::features(self)),
            }),
        };
        let mut reply = answered.unwrap_or_else(|refused| refused);
        plan.add_fields(&mut reply);
        stamped(reply)
    }

    /// Who asks, and for which profile.
    fn caller(&self, directory: &Directory, asked: &Asked) -> Result<Caller, Reply> {
        let token = asked.bearer().ok_or_else(|| Reply::empty(StatusCode::UNAUTHORIZED))?;
        let caller = directory.caller(token).map_err(|why| match why {
            Refused::Expired => errors::expired(),
            Refused::Invalid => errors::not_authorised(StatusCode::UNAUTHORIZED),
        })?;
        if !RESOURCES.contains(&caller.audience.as_str()) {
            return Err(errors::not_authorised(StatusCode::UNAUTHORIZED));
        }
        let profile = asked.headers.get(PROFILE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let is_known = |profile: &str| self.settings.profiles.iter().any(|one| one.eq_ignore_ascii_case(profile));
        if profile.is_some_and(|profile| !is_known(&profile)) {
            // Unknown at the vendor: a profile of somebody else is likely to be a matter of permissions.
            return Err(errors::not_authorised(StatusCode::FORBIDDEN));
        }
        Ok(caller)
    }

    /// Whether the caller may work in this workspace. That a classic one refuses is documented, its status is not.
    fn check_workspace(&self, id: &str) -> Result<(), Reply> {
        let settings = &self.settings;
        let mut known = settings.other_workspaces.iter().chain([&settings.workspace_id]);
        if same(id, &settings.classic_workspace_id) {
            Err(errors::not_authorised(StatusCode::FORBIDDEN))
        } else if known.any(|one| same(one, id)) {
            Ok(())
        } else {
            Err(errors::no_workspace())
        }
    }

    fn report(&self, id: &str) -> Option<&PowerBiReport> {
        self.settings.reports.iter().find(|one| same(&one.id, id))
    }

    fn dataset(&self, id: &str) -> Option<&PowerBiDataset> {
        self.settings.datasets.iter().find(|one| same(&one.id, id))
    }

    fn dashboard(&self, id: &str) -> Option<&PowerBiDashboard> {
        self.settings.dashboards.iter().find(|one| same(&one.id, id))
    }

    /// Scheme and host of the embedded pages.
    fn app_url<'a>(&'a self, asked: &'a Asked) -> &'a str {
        self.settings.app_url.as_deref().unwrap_or(&asked.base_url)
    }

    pub fn settings(&self) -> &PowerBiSettings {
        &self.settings
    }

    pub fn set_on_capacity(&self, on_capacity: bool) {
        self.live().on_capacity = on_capacity;
    }

    pub fn set_trial_allowance(&self, allowance: u32) {
        let mut live = self.live();
        live.trial_allowance = allowance;
        live.trial_used = 0;
    }

    pub fn set_embed_life(&self, life: Option<Duration>) {
        self.live().embed_life = life;
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids are UUIDs, which have no letter case.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
