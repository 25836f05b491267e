//! What the benchmarks share: a vendor that answers at once, the sidecar as a process of its own,
//! a bare hyper server to compare it with, and a client that costs next to nothing.

#![allow(dead_code, reason = "each benchmark uses its part of this")]

pub mod bare;
pub mod client;
pub mod count;
pub mod measure;
pub mod process;
pub mod traffic;
pub mod vendor;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use client::{Connection, Request};
use process::{Child, Ports};
use vendor::Vendor;

/// How many loads may start.
#[derive(Clone, Copy)]
pub enum Limits {
    /// So many that nobody waits; each check is made all the same. The limiter keeps a cell for
    /// each start that a window allows, so memory is measured with the default.
    High,
    /// What a config without a limit has.
    Default,
}

/// A sidecar with everything on: guard, caller header, metrics, limiter, audit trail.
pub fn config(ports: Ports, vendor: &Vendor, limits: Limits) -> String {
    let limit = match limits {
        Limits::High => "load_limit: {per_second: 100000, per_viewer_per_second: 1000000}",
        Limits::Default => "",
    };
    format!(
        "server: {{listen: \"127.0.0.1:{listen}\"}}
admin: {{listen: \"127.0.0.1:{admin}\"}}
cache: {{max_size: 1GiB}}
upstreams:
  main:
    kind: databricks
    host: \"http://127.0.0.1:{vendor}\"
    workspace_id: \"6051921418418893\"
    auth: {{client_id: bench, client_secret_env: BENCH_SECRET}}
    {limit}
embeds:
  sales: {{upstream: main, dashboard_id: \"01ef0000000000000000000000000001\"}}
",
        listen = ports.listen,
        admin = ports.admin,
        vendor = vendor.port,
    )
}

/// Starts the sidecar.
pub fn unasked(wrapper: &[&str], binary: &Path, vendor: &Vendor, limits: Limits) -> Result<Child> {
    let ports = Ports::free()?;
    start(wrapper, binary, ports, &config(ports, vendor, limits))
}

/// Starts the sidecar and waits until it has answered a first ask.
pub fn sidecar(wrapper: &[&str], binary: &Path, vendor: &Vendor, limits: Limits) -> Result<Child> {
    let child = unasked(wrapper, binary, vendor, limits)?;
    let first = answer(child.ports.listen, &Request::get(child.ports.listen, "v-1"))?;
    ensure!(first.starts_with(b"HTTP/1.1 200 "), "the sidecar answered {}", String::from_utf8_lossy(&first));
    Ok(child)
}

/// Starts a sidecar that also has a route to a target on this port, and waits until it listens.
pub fn proxying(wrapper: &[&str], binary: &Path, vendor: &Vendor, target: u16) -> Result<Child> {
    let ports = Ports::free()?;
    let route = format!(
        "routes:\n  bench: {{upstream: main, target: \"http://127.0.0.1:{target}\", allow: [\"GET /api/**\"]}}\n"
    );
    let child = start(wrapper, binary, ports, &(config(ports, vendor, Limits::High) + &route))?;
    Connection::open_patiently(ports.listen)?;
    Ok(child)
}

fn start(wrapper: &[&str], binary: &Path, ports: Ports, config: &str) -> Result<Child> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("sidemint.yaml");
    std::fs::write(&file, config)?;
    let file = file.to_str().context("the folder for temporary files is no UTF-8")?;
    let binary = binary.to_str().context("the binary's path is no UTF-8")?;
    Child::start(wrapper, &[binary, "run", "--config", file], ports, folder)
}

/// Starts the bare server, whose body is as long as the one that the sidecar sends.
pub fn bare(wrapper: &[&str], body: usize) -> Result<Child> {
    let ports = Ports::free()?;
    let own = std::env::current_exe()?;
    let own = own.to_str().context("the benchmark's path is no UTF-8")?;
    let (port, body) = (ports.listen.to_string(), body.to_string());
    let child = Child::start(wrapper, &[own, bare::MODE, &port, &body], ports, tempfile::tempdir()?)?;
    answer(ports.listen, &Request::get(ports.listen, "v-1"))?;
    Ok(child)
}

/// One answer, from a server that may have yet to come up.
pub fn answer(port: u16, request: &Request) -> Result<Vec<u8>> {
    Connection::open_patiently(port)?.ask(request).map(<[u8]>::to_vec)
}

/// How long the body of an answer is.
pub fn body_length(answer: &[u8]) -> Result<usize> {
    let head = client::head_end(answer).context("an answer without a head")?;
    Ok(answer.len() - head)
}
