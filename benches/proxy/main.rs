//! Sidemint's proxy route beside nginx, haproxy and Envoy, each of which injects a token of the same length into what
//! it passes on to the same target: in one run, in turns, on the same cores. See benches/README.md for how to read the
//! figures.

#[path = "../support/mod.rs"]
mod support;

mod contestant;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use contestant::Contestant;
use support::client::Request;
use support::count::{self, number};
use support::measure::{Cores, cpu, median, quantile, resident};
use support::process::{self, Child};
use support::traffic::{CONNECTIONS, Traffic, Until};
use support::vendor::Vendor;

const BODIES: [usize; 2] = [1 << 10, 100 << 10];
/// Requests on each connection before any is timed.
const WARM_UP: usize = 20;

/// How much is done.
struct Plan {
    rounds: usize,
    span: Duration,
    /// Requests on each connection whose instructions are counted.
    counted: usize,
}

/// One who takes part, and what is known of it.
struct Entry {
    contestant: Contestant,
    server: Child,
    idle: f64,
    /// One for each of the bodies, if they could be counted.
    instructions: Vec<Option<u64>>,
}

fn main() -> Result<ExitCode> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let plan = if quick {
        Plan { rounds: 3, span: Duration::from_millis(500), counted: 20 }
    } else {
        Plan { rounds: 11, span: Duration::from_secs(2), counted: 100 }
    };
    let contestants = asked_for();
    for contestant in &contestants {
        writeln!(std::io::stdout(), "{}", contestant.version()?)?;
    }
    if !process::is_there("valgrind") {
        writeln!(std::io::stdout(), "no valgrind, and so no instructions")?;
    }
    let cores = Cores::take()?;
    let (vendor, mut traffic) = (Vendor::start()?, Traffic::new()?);
    let mut entries = Vec::new();
    for contestant in contestants {
        let instructions = instructions(&plan, contestant, &vendor, &mut traffic)?;
        let server = contestant.start(&cores.server, &vendor, traffic.target())?;
        std::thread::sleep(Duration::from_millis(500));
        let idle = resident(&server)? as f64 / 1024.0;
        entries.push(Entry { contestant, server, idle, instructions });
    }
    for (place, body) in BODIES.into_iter().enumerate() {
        traffic.set_body(body);
        compare(&plan, &entries, place, &mut traffic)?;
    }
    memory(&entries)?;
    Ok(ExitCode::SUCCESS)
}

/// Those that are named on the command line, or all. nginx always: it is what the others are measured by.
fn asked_for() -> Vec<Contestant> {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked_for = |contestant: &Contestant| {
        names.is_empty() || *contestant == Contestant::Nginx || names.iter().any(|name| name == contestant.name())
    };
    Contestant::ALL.into_iter().filter(is_asked_for).collect()
}

/// Per request, for each of the bodies.
fn instructions(
    plan: &Plan,
    contestant: Contestant,
    vendor: &Vendor,
    traffic: &mut Traffic,
) -> Result<Vec<Option<u64>>> {
    let there = process::is_there("valgrind");
    let mut counts = Vec::new();
    for body in BODIES {
        traffic.set_body(body);
        let target = traffic.target();
        let mut count = || {
            let name = format!("proxy-{}-{body}", contestant.name());
            count::proxied(&name, plan.counted, traffic, |wrapper| contestant.start(wrapper, vendor, target))
        };
        counts.push(if there { Some(count()?) } else { None });
    }
    Ok(counts)
}

/// All in turns, so that what else the machine does meets all of them.
fn compare(plan: &Plan, entries: &[Entry], place: usize, traffic: &mut Traffic) -> Result<()> {
    let body = BODIES.get(place).context("a body")?;
    let mut out = std::io::stdout();
    writeln!(out, "\n{body} bytes of body, {CONNECTIONS} connections, {} rounds in turns, medians", plan.rounds)?;
    let mut direct = Vec::new();
    let mut turns: Vec<Vec<Round>> = entries.iter().map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        direct.push(Round::direct(plan, traffic)?);
        // Nobody always follows the same one.
        for at in (0..entries.len()).map(|at| (at + round) % entries.len()) {
            if let (Some(entry), Some(turns)) = (entries.get(at), turns.get_mut(at)) {
                let turn = Round::of(plan, &entry.server, traffic);
                turns.push(turn.with_context(|| format!("{}: {:?}", entry.contestant.name(), entry.server.stderr()))?);
            }
        }
    }
    let (what, cpu) = ("req/s   p50 µs   p99 µs", "CPU µs/req   busy instr/req");
    writeln!(out, "{:<14} {what:>26} {cpu:>28}", "")?;
    row("target alone", &direct, None)?;
    for (entry, turns) in entries.iter().zip(&turns) {
        row(entry.contestant.name(), turns, entry.instructions.get(place).copied().flatten())?;
    }
    ratios(entries, &turns, place)
}

/// Beside nginx: medians of the rounds' ratios.
fn ratios(entries: &[Entry], turns: &[Vec<Round>], place: usize) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{:<14} {:>20} {:>6} {:>6} {:>6} {:>6}", "of nginx's", "req/s", "p50", "p99", "CPU", "instr")?;
    let (Some(nginx), Some(measure)) = (turns.first(), entries.first()) else { return Ok(()) };
    for (entry, own) in entries.iter().zip(turns).skip(1) {
        let pairs = |figure: fn(&Round) -> f64| -> Vec<f64> {
            own.iter().zip(nginx).map(|(own, nginx)| figure(own) / figure(nginx)).collect()
        };
        let mut rates = pairs(|round| round.rate);
        let (least, most) = (quantile(&mut rates, 0.0), quantile(&mut rates, 1.0));
        let rate = format!("{:.2} ({least:.2} to {most:.2})", median(&mut rates));
        let (p50, p99) = (median(&mut pairs(|round| round.p50)), median(&mut pairs(|round| round.p99)));
        let cpu = median(&mut pairs(|round| round.cpu));
        let counted = |entry: &Entry| entry.instructions.get(place).copied().flatten();
        let instructions = counted(entry).zip(counted(measure)).map(|(own, nginx)| own as f64 / nginx as f64);
        let instructions = instructions.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let name = entry.contestant.name();
        writeln!(out, "{name:<14} {rate:>20} {p50:>6.2} {p99:>6.2} {cpu:>6.2} {instructions:>6}")?;
    }
    Ok(())
}

fn memory(entries: &[Entry]) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "\n{:<14} {:>12} {:>12}", "resident, MiB", "idle", "afterwards")?;
    for entry in entries {
        let after = resident(&entry.server)? as f64 / 1024.0;
        writeln!(out, "{:<14} {:>12.1} {after:>12.1}", entry.contestant.name(), entry.idle)?;
    }
    Ok(())
}

/// One turn of one server.
struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Microseconds for each request.
    cpu: f64,
    /// Share of the time. Well below one, it was not the proxy that limited the rate.
    busy: f64,
}

impl Round {
    fn of(plan: &Plan, server: &Child, traffic: &mut Traffic) -> Result<Round> {
        let port = server.ports.listen;
        Round::measured(plan, port, &Request::proxied(port), || cpu(server), traffic)
    }

    fn direct(plan: &Plan, traffic: &mut Traffic) -> Result<Round> {
        let port = traffic.target();
        Round::measured(plan, port, &Request::straight(port), || Ok(0.0), traffic)
    }

    fn measured(
        plan: &Plan,
        port: u16,
        request: &Request,
        cpu: impl Fn() -> Result<f64>,
        traffic: &mut Traffic,
    ) -> Result<Round> {
        traffic.run(port, request, Until::Count(WARM_UP))?;
        let before = cpu()?;
        let mut turn = traffic.run(port, request, Until::Time(plan.span))?;
        let spent = cpu()? - before;
        let (count, elapsed) = (turn.latencies.len() as f64, turn.elapsed.as_secs_f64());
        ensure!(count > 0.0, "no answer in {:?}", plan.span);
        Ok(Round {
            rate: count / elapsed,
            p50: quantile(&mut turn.latencies, 0.5),
            p99: quantile(&mut turn.latencies, 0.99),
            cpu: spent * 1e6 / count,
            busy: spent / elapsed,
        })
    }
}

fn row(name: &str, rounds: &[Round], instructions: Option<u64>) -> Result<()> {
    let of = |figure: fn(&Round) -> f64| median(&mut rounds.iter().map(figure).collect::<Vec<f64>>());
    let (rate, p50, p99) = (of(|round| round.rate), of(|round| round.p50), of(|round| round.p99));
    let (cpu, busy) = (of(|round| round.cpu), of(|round| round.busy));
    let instructions = instructions.map_or_else(|| "-".to_owned(), number);
    let own = if cpu > 0.0 { format!("{cpu:.1} {busy:>6.2}") } else { "-      -".to_owned() };
    Ok(writeln!(std::io::stdout(), "{name:<14} {rate:>8.0} {p50:>8.0} {p99:>8.0} {own:>17} {instructions:>10}")?)
}
