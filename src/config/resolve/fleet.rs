//! `fleet`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::file::{self, At};
use super::super::{Fleet, RedisAddress, Upstream};
use super::{Problems, Section, secret_ref};

const REPLICAS: std::ops::RangeInclusive<u32> = 1..=10_000;

pub(super) fn fleet(given: Option<&At<file::Fleet>>, problems: &mut Problems) -> Option<Fleet> {
    let At { value: given, place } = given?;
    let section = &mut Section { path: "fleet".to_owned(), place: *place, problems };
    let address = match &given.redis_url {
        None => {
            section.add(None, "redis_url", "is missing: such as rediss://redis.infra:6379/0");
            None
        }
        Some(url) => address(&url.value).map_err(|message| section.add(Some(url.place), "redis_url", message)).ok(),
    };
    let secret = secret_ref(given.password_file.as_deref(), given.password_env.as_deref());
    let password = secret.unwrap_or_else(|message| {
        section.add(None, "password", message);
        None
    });
    if let Some(address) = &address {
        let has_none = given.password_file.is_none() && given.password_env.is_none();
        if address.user.is_some() && has_none {
            let message = "names a user, whose password is missing: name its file with password_file";
            section.add(given.redis_url.as_ref().map(At::place), "redis_url", message);
        }
        if let Some(ca) = given.ca_file.as_ref().filter(|_| !address.tls) {
            section.add(Some(ca.place), "ca_file", "is about rediss://, which redis_url is not");
        }
    }
    if let Some(ca) = given.ca_file.as_ref().filter(|ca| !ca.value.is_file()) {
        section.add(Some(ca.place), "ca_file", format!("{} is not a file", ca.value.display()));
    }
    let replicas = match &given.replicas {
        Some(replicas) if REPLICAS.contains(&replicas.value) => Some(replicas.value),
        Some(replicas) => {
            section.add(Some(replicas.place), "replicas", "must be between 1 and 10000");
            None
        }
        None => {
            let message = "is missing: how many replicas there are, each of which keeps to its share without Redis";
            section.add(None, "replicas", message);
            None
        }
    };
    let ca_file = given.ca_file.as_ref().map(|ca| ca.value.clone());
    Some(Fleet { address: address?, password, ca_file, replicas: replicas? })
}

/// The script looks at the last starts one by one, and a Redis does one thing at a time.
const MOST_STARTS: u32 = 1_000;

/// What a fleet asks of limits.
pub(super) fn check(fleet: Option<&Fleet>, upstreams: &BTreeMap<String, Arc<Upstream>>, problems: &mut Problems) {
    let starts = |upstream: &Upstream| upstream.load_limit.as_ref().map_or(0, |limit| limit.per_second);
    for (name, upstream) in upstreams.iter().filter(|(_, upstream)| fleet.is_some() && starts(upstream) > MOST_STARTS) {
        let message = format!("per_second is {}, and a fleet takes at most {MOST_STARTS}", starts(upstream));
        problems.add(None, &format!("upstreams.{name}.load_limit"), message);
    }
}

/// `redis[s]://[user@]host[:port][/database]`, and nothing else: what else a URL of Redis may say differs from client
/// to client. No message quotes the text, in which a password may be.
fn address(text: &str) -> Result<RedisAddress, &'static str> {
    const NO_URL: &str = "is not a URL such as rediss://redis.infra:6379/0";
    let (tls, rest) = match (text.strip_prefix("rediss://"), text.strip_prefix("redis://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("must begin with rediss:// or redis://"),
    };
    // A password may hold any of the characters that are looked for below.
    let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    if user.is_some_and(|user| user.contains(':')) {
        return Err("holds a password, which does not belong into the config: name its file with password_file");
    }
    if rest.contains(['?', '#']) {
        return Err("has a query or a fragment, of which none is known here");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let database = match path {
        "" => 0,
        digits if digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| NO_URL)?
        }
        _ => return Err("must have nothing but the number of a database behind the host, such as /0"),
    };
    let parsed: http::uri::Authority = authority.parse().map_err(|_| NO_URL)?;
    let bare = parsed.host().len() == authority.len();
    let port = if bare { 6379 } else { parsed.port_u16().filter(|port| *port != 0).ok_or(NO_URL)? };
    let host = parsed.host().to_ascii_lowercase();
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().map_err(|_| NO_URL)?.to_string(),
        // Lists of hosts, as clusters and sentinels have them, would pass for one name otherwise.
        None if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) => {
            return Err(NO_URL);
        }
        None => host,
    };
    Ok(RedisAddress { host, port, tls, user: user.map(named).transpose()?, database })
}

/// A user's name, which may be percent-encoded.
fn named(text: &str) -> Result<String, &'static str> {
    let name = percent_encoding::percent_decode_str(text).decode_utf8().ok();
    let name = name.filter(|name| !name.is_empty() && !name.contains(|c: char| c.is_control() || c == ' '));
    name.map(String::from).ok_or("names no user before the `@`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, authority, tls, user, database) in [
            ("redis://redis", "redis:6379", false, None, 0),
            ("rediss://Redis.Infra:6380/", "redis.infra:6380", true, None, 0),
            ("rediss://sidemint@redis.infra/15", "redis.infra:6379", true, Some("sidemint"), 15),
            ("redis://a%40b@127.0.0.1:1/0", "127.0.0.1:1", false, Some("a@b"), 0),
            ("rediss://[2001:DB8::1]:6380/2", "[2001:db8::1]:6380", true, None, 2),
            ("redis://[::1]", "[::1]:6379", false, None, 0),
        ] {
            let address = address(text).unwrap_or_else(|message| panic!("{text}: {message}"));
            assert_eq!((address.authority(), address.tls), (authority.to_owned(), tls), "{text}");
            assert_eq!((address.user.as_deref(), address.database), (user, database), "{text}");
            assert!(!address.host.starts_with('['), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_and_not_quoted() {
        for (text, says) in [
            ("", "must begin with"),
            ("https://dose1", "must begin with"),
            ("redis.infra:6379", "must begin with"),
            ("unix:///run/redis.sock", "must begin with"),
            ("redis+sentinel://dose1/0", "must begin with"),
            ("redis://", "is not a URL"),
            ("redis:///0", "is not a URL"),
            ("redis://:6379", "is not a URL"),
            ("redis://dose1:", "is not a URL"),
            ("redis://dose1:0", "is not a URL"),
            ("redis://dose1:65536", "is not a URL"),
            ("redis://dose 1", "is not a URL"),
            ("redis://::1", "is not a URL"),
            ("redis://[dose1]", "is not a URL"),
            ("rediss://a,dose1:6379", "is not a URL"),
            ("redis://user:dose1@redis", "password_file"),
            ("redis://:dose1@redis", "password_file"),
            ("redis://user:do/se1?#@@redis", "password_file"),
            ("redis://user:@redis", "password_file"),
            ("redis://@redis", "names no user"),
            ("redis://dose%001@redis", "names no user"),
            ("redis://redis/0?dose1=1", "query"),
            ("redis://redis#dose1", "query"),
            ("redis://redis/dose1", "number of a database"),
            ("redis://redis/-1", "number of a database"),
            ("redis://redis/1/dose1", "number of a database"),
            ("redis://redis/99999999999999999999", "number of a database"),
        ] {
            let message = address(text).expect_err(text);
            assert!(message.contains(says) && !message.contains("dose"), "{text}: {message}");
        }
    }
}
