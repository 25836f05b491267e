//! What the host app knows of each vendor: one entry in a table for one kind of embed. The page has a table of its own
//! in page/vendors.js.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::Full;
use serde::Serialize;
use serde_json::Value;

use crate::emulator::{Emulator, Operation};

/// The vendor of an embed; `embed.kind` in the sidecar's replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Databricks AI/BI.
    Databricks,
    /// Microsoft Power BI.
    PowerBi,
    /// Bold BI.
    BoldBi,
}

/// One vendor.
pub(super) struct Vendor {
    pub kind: Kind,
    pub name: &'static str,
    /// Every call on the way to a token, and what the page calls it.
    pub calls: &'static [(Operation, &'static str)],
    /// How many calls the vendor's own example makes for each view.
    pub example_calls: u64,
    /// How long before its end a page renews a token.
    pub renewed_before: Duration,
    /// How many loads it allows in a second; none is any number.
    pub loads_per_second: fn(&Emulator) -> Option<u32>,
    /// What fails in an outage, in the emulator's words.
    pub outage: &'static [&'static str],
    /// The life of tokens issued from now on; none is the usual one.
    pub set_life: fn(&Emulator, Option<Duration>),
    /// The first request of a browser that starts what it was given a token for.
    pub load: fn(&Value) -> Result<Request<Full<Bytes>>, http::Error>,
}

pub(super) static VENDORS: [Vendor; 3] = [
    Vendor {
        kind: Kind::Databricks,
        name: "Databricks",
        calls: &[
            (Operation::ServiceToken, "service token"),
            (Operation::TokenInfo, "tokeninfo"),
            (Operation::Mint, "mint"),
        ],
        example_calls: 3,
        // The vendor's page client.
        renewed_before: Duration::from_secs(300),
        loads_per_second: |emulator| Some(emulator.databricks().loads_per_second),
        outage: &["token", "token_info"],
        set_life: |emulator, life| emulator.set_token_life(life.unwrap_or(emulator.databricks().token_life)),
        load: |token| {
            let (host, id) = (text(token, "instance_url"), text(token, "dashboard_id"));
            Request::post(format!("{host}/api/emulator/dashboards/{id}/load"))
                .header(AUTHORIZATION, format!("Bearer {}", access_token(token)))
                .body(Full::default())
        },
    },
    Vendor {
        kind: Kind::PowerBi,
        name: "Power BI",
        calls: &[
            (Operation::EntraDiscovery, "discovery"),
            (Operation::EntraToken, "Entra token"),
            (Operation::PowerBiReport, "report"),
            (Operation::PowerBiDataset, "dataset"),
            (Operation::GenerateToken, "embed token"),
        ],
        // Its Python sample, which signs in anew for each of its two calls.
        example_calls: 6,
        // What the sidecar says in `refresh_in`: as early as the vendor's sample page would.
        renewed_before: Duration::from_secs(600),
        loads_per_second: |_| None,
        outage: &["entra_token", "generate_token"],
        set_life: Emulator::set_embed_life,
        load: |token| {
            // Its page is shown by the host that answers for its data.
            let page = text(token, "embed_url");
            let host = page.split_once("/reportEmbed").map_or(page, |(host, _)| host);
            Request::get(format!("{host}/emulator/powerbi/data?kind=report&id={}", text(token, "id")))
                .header(AUTHORIZATION, format!("EmbedToken {}", access_token(token)))
                .body(Full::default())
        },
    },
    Vendor {
        kind: Kind::BoldBi,
        name: "Bold BI",
        calls: &[(Operation::BoldBiAuthorize, "embed token")],
        // Its samples ask for a token whenever a page is opened, and keep none.
        example_calls: 1,
        // What the sidecar says in `refresh_in`: the vendor's page client renews nothing.
        renewed_before: Duration::from_secs(300),
        loads_per_second: |_| None,
        outage: &["boldbi_authorize"],
        set_life: |emulator, life| emulator.set_boldbi_token_life(life.unwrap_or(emulator.boldbi().token_life)),
        load: |token| {
            let (site, id) = (text(token, "site_url"), text(token, "dashboard_id"));
            Request::get(format!("{site}/embed/data?dashboard={id}"))
                .header(AUTHORIZATION, format!("Bearer {}", access_token(token)))
                .body(Full::default())
        },
    },
];

impl Kind {
    pub(super) fn vendor(self) -> &'static Vendor {
        &VENDORS[self.place()]
    }

    /// Where its entry is in the table, and its count in lists beside it.
    pub(super) fn place(self) -> usize {
        match self {
            Self::Databricks => 0,
            Self::PowerBi => 1,
            Self::BoldBi => 2,
        }
    }
}

impl Vendor {
    /// The calls so far on the way to a token.
    pub fn calls_made(&self, emulator: &Emulator) -> u64 {
        self.calls.iter().map(|(operation, _)| emulator.count(*operation)).sum()
    }
}

fn access_token(reply: &Value) -> &str {
    reply["access_token"].as_str().unwrap_or_default()
}

fn text<'a>(reply: &'a Value, name: &str) -> &'a str {
    reply["embed"][name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_place() {
        for vendor in &VENDORS {
            assert_eq!(vendor.kind.vendor().name, vendor.name);
        }
    }
}
