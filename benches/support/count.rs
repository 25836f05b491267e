//! Instructions, counted by callgrind.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::client::Request;
use super::process::Child;
use super::traffic::{CONNECTIONS, Traffic, Until};

/// Of one run of a server.
pub struct Profile {
    argument: String,
    /// Goes when this does, if nobody wants to keep the profile.
    _folder: tempfile::TempDir,
}

impl Profile {
    /// To look into the profile, name a folder to keep it in; see benches/README.md.
    pub fn new(name: &str) -> Result<Profile> {
        let folder = tempfile::tempdir()?;
        let kept = std::env::var_os("SIDEMINT_BENCH_PROFILES").map(PathBuf::from);
        let file = kept.as_deref().unwrap_or(folder.path()).join(format!("callgrind.{name}"));
        Ok(Profile { argument: format!("--callgrind-out-file={}", file.display()), _folder: folder })
    }

    /// What stands before the command.
    pub fn wrapper(&self) -> [&str; 3] {
        ["valgrind", "--tool=callgrind", &self.argument]
    }

    /// Ends the server, and says how many instructions it took.
    pub fn collected(&self, server: Child) -> Result<u64> {
        let stderr = server.stop()?;
        // `==123== Collected : 1234`
        let line = stderr.lines().rev().find_map(|line| line.split_once("Collected :"));
        let (_, count) = line.with_context(|| format!("valgrind has counted nothing: {stderr}"))?;
        Ok(count.trim().parse()?)
    }
}

/// Requests on each connection before counting begins: all that is made once has been made.
const WARM_UP: usize = 20;

/// What a proxy takes for a request, of so many on each connection: the difference between a run with them and one
/// without.
pub fn proxied(
    name: &str,
    counted: usize,
    traffic: &mut Traffic,
    start: impl Fn(&[&str]) -> Result<Child>,
) -> Result<u64> {
    let mut run = |requests: usize| -> Result<u64> {
        let profile = Profile::new(&format!("{name}-{requests}"))?;
        let server = start(&profile.wrapper())?;
        let port = server.ports.listen;
        traffic.run(port, &Request::proxied(port), Until::Count(requests))?;
        // It has yet to see that the connections are gone. What that takes is in both runs.
        std::thread::sleep(Duration::from_millis(300));
        profile.collected(server)
    };
    let (less, more) = (run(WARM_UP)?, run(WARM_UP + counted)?);
    Ok(more.saturating_sub(less) / (counted * CONNECTIONS) as u64)
}

/// With commas between the thousands.
pub fn number(n: u64) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", number(n / 1000), n % 1000) }
}
