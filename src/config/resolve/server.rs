//! `server` and `admin`.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::file::{self, At, OneOrMany};
use super::super::{Admin, Environment, Server};
use super::{Problems, secret_ref};

pub(super) fn server(file: &At<file::Server>, env: &Environment, problems: &mut Problems) -> Server {
    let given = &file.value;
    let listen = match (env.get("SIDEMINT_LISTEN"), &given.listen) {
        (Some(variable), _) => variable.split(',').map(|a| a.trim().to_owned()).collect(),
        (None, Some(OneOrMany::One(address))) => vec![address.clone()],
        (None, Some(OneOrMany::Many(addresses))) => addresses.clone(),
        (None, None) => vec!["127.0.0.1:8190".to_owned()],
    };
    if listen.is_empty() {
        problems.add(Some(file.place), "server.listen", "is empty");
    }
    let parse = |address: &String| parse_address("server.listen", address, file.place, problems);
    let listen: Vec<SocketAddr> = listen.iter().filter_map(parse).collect();
    let secret = secret_ref(given.caller_token_file.as_deref(), given.caller_token_env.as_deref());
    let caller_token = secret.unwrap_or_else(|message| {
        problems.add(Some(file.place), "server.caller_token", message);
        None
    });
    for address in listen.iter().filter(|address| !address.ip().is_loopback()) {
        if caller_token.is_none() {
            let message = format!(
                "{address} is not loopback: whoever reaches it could have tokens, so server.caller_token_file must be set"
            );
            problems.add(Some(file.place), "server.listen", message);
        }
    }
    if given.header_timeout.is_some_and(|span| span.0.is_zero()) {
        problems.add(Some(file.place), "server.header_timeout", "must be above zero");
    }
    check_origins(&given.allowed_origins, file.place, problems);
    let workers = given.workers.unwrap_or(1);
    if !(1..=64).contains(&workers) {
        problems.add(Some(file.place), "server.workers", "must be between 1 and 64");
    }
    Server {
        listen,
        require_header: given.require_header.unwrap_or(true),
        caller_token,
        allowed_hosts: given.allowed_hosts.clone(),
        allowed_origins: given.allowed_origins.clone(),
        max_body: given.max_body.map_or(64 << 10, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
        allow_forwarded: given.allow_forwarded.unwrap_or(false),
        header_timeout: given.header_timeout.map_or(Duration::from_secs(5), |span| span.0),
        drain_timeout: given.drain_timeout.map_or(Duration::from_secs(10), |span| span.0),
        workers,
    }
}

pub(super) fn admin(file: &At<file::Admin>, env: &Environment, problems: &mut Problems) -> Admin {
    let given = env.get("SIDEMINT_ADMIN_LISTEN").or(file.value.listen.as_deref());
    let address = given.unwrap_or("127.0.0.1:8191");
    let fallback = SocketAddr::from(([127, 0, 0, 1], 8191));
    Admin {
        listen: parse_address("admin.listen", address, file.place, problems).unwrap_or(fallback),
        quit: file.value.quit.unwrap_or(false),
    }
}

fn parse_address(key: &str, text: &str, place: (u64, u64), problems: &mut Problems) -> Option<SocketAddr> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port))),
        None => text.parse().ok(),
    };
    if address.is_none() {
        problems.add(Some(place), key, format!("`{text}` is not an address such as 127.0.0.1:8190 or [::1]:8190"));
    }
    address
}

fn check_origins(origins: &[String], place: (u64, u64), problems: &mut Problems) {
    for origin in origins {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['/', '?', '#', '@', '*', ' '])) {
            let message =
                format!("`{origin}` is not an origin such as https://app.example.com (RFC 6454: no path, no wildcard)");
            problems.add(Some(place), "server.allowed_origins", message);
        }
    }
}
