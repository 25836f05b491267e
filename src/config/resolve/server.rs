//! `server` and `admin`.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::file::{self, At, OneOrMany};
use super::super::{Admin, Environment, Listen, Server, Tls, UnixSocket};
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
    let listen = places(&listen, file.place, problems);
    let secret = secret_ref(given.caller_token_file.as_deref(), given.caller_token_env.as_deref());
    let caller_token = secret.unwrap_or_else(|message| {
        problems.add(Some(file.place), "server.caller_token", message);
        None
    });
    for address in listen.iter().filter(|address| !address.is_local()) {
        if caller_token.is_none() && given.tls.is_none() {
            let message = format!(
                "{address} is not loopback: whoever reaches it could have tokens, so server.tls or \
                 server.caller_token_file must be set"
            );
            problems.add(Some(file.place), "server.listen", message);
        }
    }
    let unix_socket = unix_socket(given.unix_socket.as_ref(), &listen, problems);
    let tls = tls(given.tls.as_ref(), &listen, problems);
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
        unix_socket,
        tls,
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
        listen: admin_address(address, file.place, problems).unwrap_or(fallback),
        quit: file.value.quit.unwrap_or(false),
    }
}

fn admin_address(text: &str, place: (u64, u64), problems: &mut Problems) -> Option<SocketAddr> {
    let message = match text.parse::<Listen>() {
        Ok(Listen::Tcp(address)) => return Some(address),
        // Kubelet and Prometheus come over TCP.
        Ok(Listen::Unix(_)) => format!("`{text}` is not an address such as 127.0.0.1:8191"),
        Err(message) => message,
    };
    problems.add(Some(place), "admin.listen", message);
    None
}

fn places(texts: &[String], place: (u64, u64), problems: &mut Problems) -> Vec<Listen> {
    let mut places: Vec<Listen> = Vec::new();
    for text in texts {
        match text.parse::<Listen>() {
            // Of the second one it would be said that somebody answers there already.
            Ok(listen) if listen.path().is_some() && places.contains(&listen) => {
                problems.add(Some(place), "server.listen", format!("{listen} is there twice"));
            }
            Ok(listen) => places.push(listen),
            Err(message) => problems.add(Some(place), "server.listen", message),
        }
    }
    places
}

fn unix_socket(given: Option<&At<file::UnixSocket>>, listen: &[Listen], problems: &mut Problems) -> UnixSocket {
    let asked = given.map(|given| given.value.clone()).unwrap_or_default();
    let mode = asked.mode.map_or(0o660, |mode| mode.0);
    if let Some(given) = given {
        if listen.iter().all(|listen| listen.path().is_none()) {
            let message = "is about unix sockets, of which server.listen has none";
            problems.add(Some(given.place), "server.unix_socket", message);
        }
        if mode & 0o222 == 0 {
            let message = format!("{mode:04o} lets nobody in: to connect to a socket is to write to it");
            problems.add(Some(given.place), "server.unix_socket.mode", message);
        }
    }
    UnixSocket { mode, owner: asked.owner, group: asked.group, peer_uids: asked.peer_uids }
}

fn tls(given: Option<&At<file::Tls>>, listen: &[Listen], problems: &mut Problems) -> Option<Tls> {
    let At { value, place } = given?;
    if listen.iter().all(|listen| listen.tcp().is_none()) {
        let message = "is about TCP addresses, of which server.listen has none";
        problems.add(Some(*place), "server.tls", message);
    }
    let file::Tls { cert_file, key_file, client_ca_file } = value.clone();
    Some(Tls { cert_file, key_file, client_ca_file })
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
