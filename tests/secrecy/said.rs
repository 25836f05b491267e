//! What others say to the sidecar, and so what it must not repeat.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{hide, hide_secret, write};

/// Keys of a config that name a file with a secret, and those under which a secret itself would be refused.
const SECRETS: [&str; 7] =
    ["client_secret", "embed_secret", "caller_token", "federated_token", "private_key", "hmac_key", "password"];

/// A request's target.
pub fn target(target: &str) {
    let Some((_, query)) = target.split_once('?') else { return };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name.starts_with("viewer") {
            hide("a viewer in a query", &value);
        }
    }
}

/// One of its headers.
pub fn header(name: &str, value: &str) {
    match name.to_ascii_lowercase().as_str() {
        "sidemint-request" => hide_secret("a caller's secret", value),
        "authorization" => hide_secret("an Authorization", value.split_once(' ').map_or(value, |(_, proof)| proof)),
        "sidemint-viewer-value" => hide("a viewer's value in a header", &decoded(value)),
        "sidemint-viewer" => {
            if let Ok(viewer) = serde_json::from_str(&decoded(value)) {
                of_viewer(&viewer);
            }
        }
        _ => {}
    }
}

/// Its body.
pub fn body(body: &[u8]) {
    // The first byte spares the look at a hundred mebibytes of something else.
    if body.first().is_none_or(|first| *first != b'{') {
        return;
    }
    if let Ok(body) = serde_json::from_slice::<Value>(body)
        && let Some(viewer) = body.get("viewer")
    {
        of_viewer(viewer);
    }
}

/// All of it, as it goes over the wire. Whatever is no request says nothing.
pub fn request(bytes: &[u8]) {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.lines();
    let Some(of_target) = lines.next().and_then(|line| line.split(' ').nth(1)) else { return };
    target(of_target);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        header(name.trim(), value.trim());
    }
    body(bytes.get(end + 4..).unwrap_or_default());
}

/// Every text of a viewer but the names of what it says. An attribute's name is the config's.
fn of_viewer(viewer: &Value) {
    match viewer {
        Value::String(text) => hide("a viewer", text),
        Value::Number(number) => hide("a viewer", &number.to_string()),
        Value::Array(all) => all.iter().for_each(of_viewer),
        Value::Object(all) => all.values().for_each(of_viewer),
        Value::Null | Value::Bool(_) => {}
    }
}

fn decoded(value: &str) -> String {
    percent_decode_str(value).decode_utf8_lossy().into_owned()
}

/// Variables of a process.
pub fn variable(name: &str, value: &str) {
    let is_place = ["FILE", "PATH", "FILEPATH"].iter().any(|end| name.ends_with(end));
    let is_secret = ["SECRET", "TOKEN", "PASSWORD", "HEADER"].iter().any(|word| name.contains(word));
    if is_secret && !is_place {
        hide_secret("a variable with a secret", value);
    }
    // A proxy's address may have a password in it.
    if let Some((proof, _)) = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')) {
        hide_secret("the password of an address", proof);
    }
}

/// Arguments of a command.
pub fn arguments<T: AsRef<str>>(arguments: &[T]) {
    for pair in arguments.windows(2) {
        let [name, value] = [pair[0].as_ref(), pair[1].as_ref()];
        match name {
            "--viewer-id" | "--viewer-value" | "--role" => hide("a viewer on a command line", value),
            "--attribute" => {
                hide("an attribute on a command line", value.split_once('=').map_or(value, |(_, value)| value))
            }
            _ => {}
        }
    }
}

/// A config: the files that it names hold secrets, and so does a literal one that it is refused for. Its words are what
/// metrics may speak of.
pub fn config(text: &str) {
    for key in SECRETS {
        for file in values(text, &format!("{key}_file")) {
            secret_file(&file);
        }
        values(text, key).for_each(|secret| hide_secret("a secret in a config", &secret));
    }
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '-');
    write().words.extend(words.map(str::to_owned));
}

/// What a file holds by now. Where there is none there is nothing to hide.
pub fn secret_file(path: &str) {
    if let Ok(text) = std::fs::read_to_string(path) {
        hide_secret("a secret in a file", &text);
    }
}

/// What stands behind a key, in flow style or in block style.
fn values<'a>(text: &'a str, key: &str) -> impl Iterator<Item = String> + use<'a> {
    let key = format!("{key}:");
    let after = text.match_indices(&*key.clone()).map(|(at, _)| (at, at + key.len())).collect::<Vec<_>>();
    after.into_iter().filter_map(move |(start, end)| {
        let before = text[..start].chars().next_back();
        let is_key = before.is_none_or(|letter| !letter.is_ascii_alphanumeric() && letter != '_');
        let value = text[end..].split([',', '}', '\n']).next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        (is_key && !value.is_empty()).then(|| value.to_owned())
    })
}
