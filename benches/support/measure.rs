//! What the benchmarks measure servers with.

use std::io::Write;

use anyhow::{Context, Result, ensure};

use super::process::Child;

/// Servers on one core, this process on another, where there are two and `taskset`.
pub struct Cores {
    pub server: Vec<&'static str>,
}

impl Cores {
    /// Pins this process; the servers are to be started with `server` before their command.
    pub fn take() -> Result<Cores> {
        let cores = std::thread::available_parallelism()?.get();
        if cores < 2 || !super::process::is_there("taskset") {
            writeln!(std::io::stdout(), "one core, or no taskset: client and servers share what there is")?;
            return Ok(Cores { server: Vec::new() });
        }
        let own = std::process::id().to_string();
        let pinned = std::process::Command::new("taskset").args(["-pc", "1", &own]).output()?;
        ensure!(pinned.status.success(), "taskset: {}", String::from_utf8_lossy(&pinned.stderr));
        Ok(Cores { server: vec!["taskset", "-c", "0"] })
    }
}

/// Resident memory in KiB.
pub fn resident(server: &Child) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

/// Seconds of CPU so far, the kernel's share included. The kernel tells them in hundredths.
pub fn cpu(server: &Child) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id()))?;
    // The name of the process, in brackets, may hold anything; utime and stime are 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').context("/proc/<pid>/stat has changed")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let (low, high) = (figures.len().saturating_sub(1) / 2, figures.len() / 2);
    // Of an even number there are two in the middle; to take the upper one would flatter.
    figures.get(low).zip(figures.get(high)).map_or(f64::NAN, |(low, high)| f64::midpoint(*low, *high))
}

pub fn quantile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the length")]
    let at = ((figures.len().saturating_sub(1)) as f64 * share).round() as usize;
    figures.get(at).copied().unwrap_or(f64::NAN)
}
