//! `sidemint wait` and `sidemint healthcheck`: they ask the admin port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::http::Server;
use super::{ConfigArg, Failure};
use crate::config::units::Span;
use crate::config::{self, Environment};

const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn wait(config: &ConfigArg, timeout: &str) -> Result<(), Failure> {
    let timeout = Span::try_from(timeout.to_owned()).map_err(|error| Failure::Usage(vec![error]))?.0;
    let admin = admin_address(config)?;
    let deadline = Instant::now() + timeout;
    let mut last = format!("no sidecar answers at {admin}");
    while Instant::now() < deadline {
        match Server::Tcp(admin.to_string()).send("GET", "/startupz", &[], None, Duration::from_secs(2)).await {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => last = String::from_utf8_lossy(&answer.body).trim().to_owned(),
            Err(error) => last = format!("{error:#}"),
        }
        tokio::time::sleep(PAUSE.min(deadline.saturating_duration_since(Instant::now()))).await;
    }
    Err(anyhow::anyhow!("not started within {} s: {last}", timeout.as_secs_f64()).into())
}

pub(super) async fn healthcheck(config: &ConfigArg) -> Result<(), Failure> {
    let admin = admin_address(config)?;
    let server = Server::Tcp(admin.to_string());
    let answer = server.send("GET", "/livez", &[], None, Duration::from_secs(2)).await?;
    if answer.status == 200 { Ok(()) } else { Err(anyhow::anyhow!("{admin} answers {}", answer.status).into()) }
}

/// Where `run` would listen. Only that one key is looked for: a config that was broken after the
/// start is refused by the running sidecar, and no reason to call it dead.
fn admin_address(config: &ConfigArg) -> Result<SocketAddr, Failure> {
    let environment = Environment::of_process();
    let fallback = SocketAddr::from((Ipv4Addr::LOCALHOST, 8191));
    let address = match (&config.config, environment.get("SIDEMINT_ADMIN_LISTEN")) {
        (_, Some(address)) => {
            let message = || Failure::Usage(vec![format!("SIDEMINT_ADMIN_LISTEN: `{address}` is not an address")]);
            address.replace("localhost:", "127.0.0.1:").parse().map_err(|_| message())?
        }
        (Some(path), None) => {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let listen = config::file::admin_listen(&text).unwrap_or_default();
            listen.replace("localhost:", "127.0.0.1:").parse().unwrap_or(fallback)
        }
        (None, None) => fallback,
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, address.port()))
}
