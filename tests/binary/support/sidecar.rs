//! `sidemint run`, ready to be asked.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Value, json};

use super::config::Files;
use super::http::{Reply, send};
use super::{PATIENCE, Process, Settings, Vendor};

/// What every app sends.
pub const PROOF: (&str, &str) = ("Sidemint-Request", "true");
pub const JSON: (&str, &str) = ("Content-Type", "application/json");
/// Where the tests ask.
pub const TOKEN: &str = "/v1/embeds/sales/token";
/// What filters the rows where a test does not care: no word that could stand in an output by chance.
pub const VALUE: &str = "emea-7qzx4k";

/// A running sidecar.
pub struct Sidecar {
    pub process: Process,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub files: Files,
}

impl Sidecar {
    /// With the usual config.
    pub fn start(vendor: &Vendor) -> Sidecar {
        Sidecar::with(vendor, &Settings::default())
    }

    /// With another one.
    pub fn with(vendor: &Vendor, settings: &Settings) -> Sidecar {
        Sidecar::of(Files::new(vendor, settings), &settings.variables)
    }

    /// With files that a test has made itself.
    pub fn of(files: Files, variables: &[(&'static str, String)]) -> Sidecar {
        let process = Process::start(&["run", "--config", &files.config()], variables.iter().cloned());
        let (listen, admin) = addresses(&process);
        Sidecar { process, listen, admin, files }
    }

    /// Waits for the first service token, so that what comes next does not meet the start.
    pub fn ready(self) -> Sidecar {
        self.until("/startupz", |reply| reply.status == 200);
        self
    }

    /// Asks the admin port until it answers as wished.
    pub fn until(&self, path: &str, wish: impl Fn(&Reply) -> bool) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.look(path);
            if wish(&reply) {
                return reply;
            }
            assert!(Instant::now() < deadline, "{path} is never as wished: {}", reply.text());
            std::thread::yield_now();
        }
    }

    /// GET on the admin port.
    pub fn look(&self, path: &str) -> Reply {
        send(self.admin, "GET", path, &[], "")
    }

    /// A number of `/metrics`; 0 if the series is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.look("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.trim().parse().expect("a metric is a number"))
    }

    /// POST for a token.
    pub fn ask(&self, body: &Value) -> Reply {
        send(self.listen, "POST", TOKEN, &[PROOF, JSON], &body.to_string())
    }

    /// A token for a viewer, asked for as the renewal of an open page: no limit has a say.
    pub fn renew(&self, viewer: &str) -> Reply {
        self.ask(&json!({"viewer": {"id": viewer, "value": VALUE}, "purpose": "renew"}))
    }
}

/// Where a process that has just been started listens, by its own word.
pub fn addresses(process: &Process) -> (SocketAddr, SocketAddr) {
    let line = process.err.find("sidemint runs", |text| {
        let line = text.lines().find(|line| line.contains("\"sidemint runs\"") && line.ends_with('}'))?;
        serde_json::from_str::<Value>(line).ok()
    });
    let listen = line["listen"].as_str().expect("the line says where").trim_matches(['[', ']']);
    let admin = line["admin"].as_str().expect("the line says where");
    let addresses = (listen.parse().expect("an address"), admin.parse().expect("an address"));
    [addresses.0, addresses.1].into_iter().for_each(|address| process.listens(address));
    addresses
}
