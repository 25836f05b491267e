//! The signed-query flow: what is asked for is a query, and an HMAC over it proves the secret
//! (powerbi-boldbi.md section C2).

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Map;

use super::asked::{Entrance, Wanted, dashboard, dashboard_at, viewer};
use super::filters::{Filters, attributes_in, filters_in};
use super::{Live, MOST_NONCES, refused};
use crate::emulator::settings::{BoldBiDashboard, BoldBiSettings, BoldBiSignedText};
use crate::emulator::wire::Reply;

const SIGNATURE: &str = "embed_signature";
const FILTER: &str = "embed_datasource_filter";

/// Parameters that are read here.
const READ: [&str; 19] = [
    "embed_nonce",
    "embed_dashboard_id",
    "embed_dashboard_ids",
    "embed_dashboard_path",
    "embed_dashboard_paths",
    "embed_user_email",
    "embed_timestamp",
    "embed_server_timestamp",
    "embed_expirationtime",
    "embed_custom_attribute",
    "embed_group_access",
    "embed_auth_provider",
    "embed_user_id",
    "embed_user_import",
    "embed_anonymous_token",
    "embed_authorize_group",
    "embed_mode",
    FILTER,
    SIGNATURE,
];

/// Other things that can be shown. They are taken as they are: the emulator has dashboards only.
const OTHER_ITEMS: [&str; 8] = [
    "pinboard_name",
    "embed_dashboardview_id",
    "embed_dashboardview_name",
    "embed_widget_id",
    "embed_widget_name",
    "embed_datasource_id",
    "embed_datasource_name",
    "ismultitab",
];

/// The longest life that can be asked for, seconds.
const LONGEST_LIFE: u64 = 604_800;

/// The decoded parameters, by their names in lower case.
type Parameters = BTreeMap<String, String>;

/// Reads and checks a query. The nonce is used up only by a query whose signature is right.
pub(super) fn read(live: &mut Live, text: &str, notes: &mut Vec<String>) -> Result<Wanted, Reply> {
    if !live.settings.signed_query {
        return Err(refused("This version takes the embed details as JSON in a POST"));
    }
    let parameters = parameters(text)?;
    let unknown = parameters.keys().filter(|name| ![&READ[..], &OTHER_ITEMS].concat().contains(&name.as_str()));
    notes.extend(unknown.map(|name| format!("there is no parameter {name}")));
    check_signature(live, text, &parameters, notes)?;
    check_time(&live.settings, &parameters)?;
    spend_nonce(live, required(&parameters, "embed_nonce")?)?;
    let settings = &live.settings;
    let email = required(&parameters, "embed_user_email")?;
    let dashboard = item(settings, &parameters)?;
    let filters = Filters {
        datasource: parameters.get(FILTER).map_or(Ok(Vec::new()), |text| filters_in(text))?,
        parameters: Vec::new(),
        attributes: parameters.get("embed_custom_attribute").map_or(Ok(Map::new()), |text| attributes_in(text))?,
    };
    let viewer = viewer(settings, email, &entrance(&parameters)?)?;
    Ok(Wanted { viewer, dashboard, filters, life: life(&parameters)? })
}

/// Decodes the parameters. A name that comes twice is refused, whatever the letter case, and so is anything behind the
/// signature, which would not be signed.
fn parameters(text: &str) -> Result<Parameters, Reply> {
    let mut parameters = Parameters::new();
    for piece in pieces(text) {
        let (name, value) = piece.split_once('=').unwrap_or((&piece, ""));
        let name = decoded(name)?.to_lowercase();
        if parameters.contains_key(SIGNATURE) {
            return Err(refused(&format!("{name} is not signed")));
        }
        if parameters.contains_key(&name) {
            return Err(refused(&format!("{name} is given more than once")));
        }
        parameters.insert(name, decoded(value)?);
    }
    Ok(parameters)
}

/// Cuts a query at its `&`, those within an unencoded filter aside: samples of the vendor send it as it is.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for piece in text.split('&') {
        let open = |last: &&mut String| {
            last.strip_prefix(FILTER).is_some_and(|rest| rest.starts_with("=[{") && !rest.ends_with("}]"))
        };
        match pieces.last_mut().filter(open) {
            Some(last) => {
                last.push('&');
                last.push_str(piece);
            }
            None if piece.is_empty() => {}
            None => pieces.push(piece.to_owned()),
        }
    }
    pieces
}

/// A `+` is a space, as in any query that ASP.NET reads; in a signature it is put back.
fn decoded(text: &str) -> Result<String, Reply> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| refused("The query is not UTF-8"))?;
    Ok(decoded.into_owned())
}

/// The text before the signature is what is signed, byte by byte.
fn check_signature(live: &Live, text: &str, parameters: &Parameters, notes: &mut Vec<String>) -> Result<(), Reply> {
    let wrong = || refused("EmbedCodeValidation failed: the embed_signature is not valid");
    let given = required(parameters, SIGNATURE)?.replace(' ', "+");
    let given = STANDARD.decode(given).map_err(|_| wrong())?;
    // No `&` can be in the signature, and nothing comes behind it.
    let (signed, _) = text.rsplit_once('&').ok_or_else(wrong)?;
    let signed = match live.settings.signed_text {
        BoldBiSignedText::AsSent => signed.as_bytes().to_vec(),
        BoldBiSignedText::Decoded => percent_decode_str(signed).collect(),
    };
    let proves = |secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&key, &signed, &given).is_ok()
    };
    if live.secrets().any(proves) {
        return Ok(());
    }
    if live.replaced_secrets.iter().any(|secret| proves(secret)) {
        notes.push("the embed secret was replaced".to_owned());
    }
    Err(wrong())
}

/// The time of the server that signs counts, where it is given, before that of the browser. Neither is required.
fn check_time(settings: &BoldBiSettings, parameters: &Parameters) -> Result<(), Reply> {
    let Some(given) = parameters.get("embed_server_timestamp").or_else(|| parameters.get("embed_timestamp")) else {
        return Ok(());
    };
    let now = Timestamp::now().as_second();
    let apart = given.parse::<i64>().ok().map(|given| given.abs_diff(now));
    match apart {
        Some(apart) if apart <= settings.clock_tolerance.as_secs() => Ok(()),
        _ => Err(refused("EmbedCodeValidation failed: the timestamp is not near the server's time")),
    }
}

fn spend_nonce(live: &mut Live, nonce: &str) -> Result<(), Reply> {
    if live.nonces.len() >= MOST_NONCES {
        live.nonces.clear();
    }
    if live.nonces.insert(nonce.to_owned()) {
        Ok(())
    } else {
        Err(refused("EmbedCodeValidation failed: the embed_nonce was used before"))
    }
}

/// The dashboard that is named first. All that are named must exist.
fn item(settings: &BoldBiSettings, parameters: &Parameters) -> Result<Option<BoldBiDashboard>, Reply> {
    let mut found = Vec::new();
    for name in ["embed_dashboard_id", "embed_dashboard_ids"] {
        for id in parameters.get(name).into_iter().flat_map(|ids| ids.split(',')) {
            found.push(dashboard(settings, id.trim())?);
        }
    }
    for name in ["embed_dashboard_path", "embed_dashboard_paths"] {
        for path in parameters.get(name).into_iter().flat_map(|paths| paths.split(',')) {
            found.push(dashboard_at(settings, path.trim())?);
        }
    }
    if found.is_empty() && !OTHER_ITEMS.iter().any(|name| parameters.contains_key(*name)) {
        return Err(refused("embed_dashboard_id is required"));
    }
    Ok(found.into_iter().next())
}

fn entrance(parameters: &Parameters) -> Result<Entrance<'_>, Reply> {
    let on = |name: &str| parameters.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    match (on("embed_anonymous_token"), on("embed_group_access")) {
        (true, true) => Err(refused("embed_anonymous_token and embed_group_access exclude each other")),
        (true, false) => Ok(Entrance::Anonymous { group: required(parameters, "embed_authorize_group")? }),
        (false, true) => Ok(Entrance::Groups {
            user: required(parameters, "embed_user_id")?,
            provider: required(parameters, "embed_auth_provider")?,
            import: on("embed_user_import"),
        }),
        (false, false) => Ok(Entrance::User),
    }
}

fn life(parameters: &Parameters) -> Result<Option<Duration>, Reply> {
    let Some(given) = parameters.get("embed_expirationtime") else {
        return Ok(None);
    };
    match given.parse() {
        Ok(seconds @ 1..=LONGEST_LIFE) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(refused(&format!("embed_expirationtime is not from 1 to {LONGEST_LIFE}"))),
    }
}

fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Reply> {
    let value = parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| refused(&format!("{name} is required")))
}
