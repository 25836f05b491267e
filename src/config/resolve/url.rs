//! URLs and ids as they stand in the config.

use super::super::{BaseUrl, Url};

/// `https://host[:port]`, or `http://` for loopback and where it is allowed. Nothing else may be
/// in it: requests are built from parts, never by joining texts.
pub(super) fn base_url(text: &str, insecure_allowed: bool) -> Result<BaseUrl, String> {
    let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(no_url(text)),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
    if authority.contains(['/', '?', '#', '@']) {
        return Err("must be just https:// and a host name, with nothing behind it".into());
    }
    // One workspace has one limit, however its host is written.
    let default_port = if https { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority).to_owned();
    let parsed: http::uri::Authority = authority.parse().map_err(|_| no_url(text))?;
    if parsed.host().is_empty() || authority.ends_with(':') {
        return Err(no_url(text));
    }
    if !https && !insecure_allowed && !is_loopback(parsed.host()) {
        return Err(
            "sends the secret over the network in the clear: use https://, or set allow_insecure_http: true".into()
        );
    }
    Ok(BaseUrl { https, authority })
}

fn is_loopback(host: &str) -> bool {
    match host.trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    }
}

fn no_url(text: &str) -> String {
    // What stands before an `@` may be a password.
    let text = if text.contains('@') { "this" } else { text };
    format!("`{text}` is not a URL such as https://host.example.com")
}

/// Whether a text may stand for an id: it goes into paths and headers.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(plain)
}

/// Whether a text may stand for a client id, which is part of a form, a header and a JWT.
pub(super) fn check_client_id(id: &str) -> Result<(), &'static str> {
    if id.contains(|c: char| c.is_control() || c == ':') {
        return Err("client_id holds a character that no client id has");
    }
    Ok(())
}

impl Url {
    /// `https://host[:port]/path?query`, or `http://` for loopback and where it is allowed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, insecure_allowed: bool) -> Result<Url, String> {
        let after_scheme = text.find("://").map_or(0, |at| at + 3);
        let rest = text.get(after_scheme..).unwrap_or_default();
        let end = rest.find(['/', '?', '#']).map_or(text.len(), |at| after_scheme + at);
        let (host, path) = text.split_at(end);
        let base = base_url(host, true)?;
        let name = base.authority.parse().map(|authority: http::uri::Authority| authority.host().to_owned());
        if !base.https && !insecure_allowed && !name.is_ok_and(|name| is_loopback(&name)) {
            return Err("can be changed on its way: use https://, or set allow_insecure_http: true".to_owned());
        }
        // What a request line can hold as it is (RFC 3986 section 3.3).
        let plain = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&b);
        if !path.bytes().all(plain) {
            return Err("has a fragment, or a path with characters that must be percent-encoded".to_owned());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { base, path })
    }
}
