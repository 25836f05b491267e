//! The real binary over loopback beside a bare hyper server, in one run, in turns: how fast, how
//! dear, how large. See benches/README.md for how to read the figures.

mod support;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::{join_all, try_join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::Limits;
use support::client::{self, Connection, Request};
use support::measure::{Cores, cpu, median, quantile, resident};
use support::process::{self, Child};
use support::vendor::Vendor;

/// At once, each with one request in flight.
const CONNECTIONS: usize = 32;
/// Of one cached token, in the memory figure.
const CACHED_TOKEN: usize = 1200;

/// How much is done.
struct Plan {
    rounds: usize,
    span: Duration,
    tokens: usize,
    starts: usize,
}

fn main() -> Result<ExitCode> {
    if support::bare::serve_if_asked()? {
        return Ok(ExitCode::SUCCESS);
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let plan = if quick {
        Plan { rounds: 2, span: Duration::from_millis(1500), tokens: 20_000, starts: 3 }
    } else {
        Plan { rounds: 8, span: Duration::from_secs(3), tokens: 100_000, starts: 11 }
    };
    let cores = Cores::take()?;
    let vendor = Vendor::start()?;
    let size = std::fs::metadata(process::binary())?.len();
    say("binary", &format!("{:.1} MB", size as f64 / 1e6), "at most 6 MB, stripped")?;
    start(&plan, &vendor)?;
    views(&cores, &vendor)?;
    memory(&plan, &cores, &vendor)?;
    rates(&plan, &cores, &vendor)?;
    Ok(ExitCode::SUCCESS)
}

fn say(what: &str, figure: &str, goal: &str) -> Result<()> {
    let goal = if goal.is_empty() { String::new() } else { format!("({goal})") };
    Ok(writeln!(std::io::stdout(), "{what:<44} {figure:>14}  {goal}")?)
}

/// From exec to an answer, and to a token that had to be minted; then what the process weighs.
fn start(plan: &Plan, vendor: &Vendor) -> Result<()> {
    let (mut answers, mut tokens, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.starts {
        let begin = Instant::now();
        let sidecar = support::unasked(&[], &process::binary(), vendor, Limits::Default)?;
        let alive = Request(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec());
        support::answer(sidecar.ports.admin, &alive)?;
        answers.push(begin.elapsed().as_secs_f64() * 1e3);
        support::answer(sidecar.ports.listen, &Request::get(sidecar.ports.listen, "v-1"))?;
        tokens.push(begin.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(300));
        idle.push(resident(&sidecar)? as f64 / 1024.0);
        sidecar.end()?;
    }
    say("exec to first answer", &format!("{:.1} ms", median(&mut answers)), "at most 10 ms")?;
    say(
        "exec to first token",
        &format!("{:.1} ms", median(&mut tokens)),
        "three calls to a vendor that answers at once",
    )?;
    say("resident, idle", &format!("{:.1} MiB", median(&mut idle)), "at most 8 MiB")
}

/// Calls to the vendor for 1,000 page views by 50 viewers. The vendor's example makes three each.
fn views(cores: &Cores, vendor: &Vendor) -> Result<()> {
    let sidecar = support::unasked(&cores.server, &process::binary(), vendor, Limits::High)?;
    let port = sidecar.ports.listen;
    let before = vendor.calls();
    let mut connection = Connection::open_patiently(port)?;
    for view in 0..1000 {
        connection.repeat(&Request::post(port, &format!("v-{}", view % 50), "load"), 1)?;
    }
    say("calls to the vendor, 1,000 views, 50 viewers", &(vendor.calls() - before).to_string(), "its example: 3,000")
}

/// What a cached token weighs. Filled as renewals, which no limit holds up.
fn memory(plan: &Plan, cores: &Cores, vendor: &Vendor) -> Result<()> {
    vendor.set_token_length(CACHED_TOKEN);
    let sidecar = support::sidecar(&cores.server, &process::binary(), vendor, Limits::Default)?;
    std::thread::sleep(Duration::from_millis(300));
    let before = resident(&sidecar)?;
    let fill = async {
        let lanes = (0..CONNECTIONS).map(|lane| fill_lane(sidecar.ports.listen, lane, plan.tokens));
        try_join_all(lanes).await
    };
    runtime()?.block_on(fill)?;
    std::thread::sleep(Duration::from_millis(500));
    let after = resident(&sidecar)?;
    vendor.set_token_length(support::vendor::TOKEN_LENGTH);
    let each = (after - before) * 1024 / plan.tokens as u64;
    say(&format!("resident, {} tokens", plan.tokens), &format!("{:.1} MiB", after as f64 / 1024.0), "")?;
    say(&format!("each token of {CACHED_TOKEN} bytes"), &format!("{each} bytes"), "at most 1,800 bytes")
}

async fn fill_lane(port: u16, lane: usize, tokens: usize) -> Result<()> {
    let mut connection = Lane::open(port).await?;
    for viewer in (lane..tokens).step_by(CONNECTIONS) {
        // The time that a mint took stands in the head, in as many digits as it needs.
        connection.length = None;
        connection.ask(&Request::post(port, &format!("viewer-{viewer:06}"), "renew")).await?;
    }
    Ok(())
}

/// Requests per second beside the bare server, in turns, so that what else the machine does meets both.
fn rates(plan: &Plan, cores: &Cores, vendor: &Vendor) -> Result<()> {
    let sidecar = support::sidecar(&cores.server, &process::binary(), vendor, Limits::High)?;
    let port = sidecar.ports.listen;
    let body = support::body_length(&support::answer(port, &Request::get(port, "v-1"))?)?;
    let bare = support::bare(&cores.server, body)?;
    let mut out = std::io::stdout();
    writeln!(out, "\n{CONNECTIONS} connections, {body} bytes of body, {} rounds in turns, medians", plan.rounds)?;
    writeln!(out, "{:<24} {:>9} {:>9} {:>9} {:>12}", "", "req/s", "p50 µs", "p99 µs", "CPU µs/req")?;
    for method in ["GET", "POST"] {
        let asks = |server: &Child| match method {
            "GET" => Request::get(server.ports.listen, "v-1"),
            _ => Request::post(server.ports.listen, "v-1", "load"),
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            ours.push(Round::of(&sidecar, &asks(&sidecar), plan.span)?);
            theirs.push(Round::of(&bare, &asks(&bare), plan.span)?);
        }
        let mut pairs: Vec<f64> = ours.iter().zip(&theirs).map(|(own, bare)| own.rate / bare.rate).collect();
        Round::print(&format!("{method} sidemint"), &ours)?;
        Round::print(&format!("{method} bare hyper"), &theirs)?;
        let (least, most) = (quantile(&mut pairs, 0.0), quantile(&mut pairs, 1.0));
        let ratio = format!("{:.2} ({least:.2} to {most:.2})", median(&mut pairs));
        writeln!(out, "{:<24} {ratio:>19}  (at least 0.90)", format!("{method} ratio of pairs"))?;
    }
    Ok(())
}

/// One turn of one server.
struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

impl Round {
    fn of(server: &Child, request: &Request, span: Duration) -> Result<Round> {
        let cpu = cpu(server)?;
        let begin = Instant::now();
        let port = server.ports.listen;
        let lanes = async { join_all((0..CONNECTIONS).map(|_| lane(port, request, begin + span))).await };
        let lanes: Result<Vec<Vec<f64>>> = runtime()?.block_on(lanes).into_iter().collect();
        let elapsed = begin.elapsed().as_secs_f64();
        let mut latencies: Vec<f64> = lanes?.into_iter().flatten().collect();
        let count = latencies.len() as f64;
        ensure!(count > 0.0, "no answer in {span:?}");
        Ok(Round {
            rate: count / elapsed,
            p50: quantile(&mut latencies, 0.5),
            p99: quantile(&mut latencies, 0.99),
            cpu: (self::cpu(server)? - cpu) * 1e6 / count,
        })
    }

    fn print(name: &str, rounds: &[Round]) -> Result<()> {
        let of = |figure: fn(&Round) -> f64| median(&mut rounds.iter().map(figure).collect::<Vec<f64>>());
        let (rate, p50, p99, cpu) = (of(|r| r.rate), of(|r| r.p50), of(|r| r.p99), of(|r| r.cpu));
        Ok(writeln!(std::io::stdout(), "{name:<24} {rate:>9.0} {p50:>9.0} {p99:>9.0} {cpu:>12.1}")?)
    }
}

/// Asks one thing after the other, and notes how many microseconds each took.
async fn lane(port: u16, request: &Request, until: Instant) -> Result<Vec<f64>> {
    let mut connection = Lane::open(port).await?;
    let mut latencies = Vec::new();
    loop {
        let begin = Instant::now();
        if begin >= until {
            return Ok(latencies);
        }
        connection.ask(request).await?;
        latencies.push(begin.elapsed().as_secs_f64() * 1e6);
    }
}

/// A connection that takes all answers to be as long as the first one, as hits are: looking at each head would cost
/// the client as much as the server.
struct Lane {
    stream: TcpStream,
    buffer: Vec<u8>,
    length: Option<usize>,
}

impl Lane {
    async fn open(port: u16) -> Result<Lane> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Lane { stream, buffer: Vec::with_capacity(16 << 10), length: None })
    }

    async fn ask(&mut self, request: &Request) -> Result<()> {
        self.stream.write_all(&request.0).await?;
        self.buffer.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server hung up");
            if self.length.is_none() {
                self.length = client::answer_length(&self.buffer)?;
            }
            if self.length.is_some_and(|length| self.buffer.len() >= length) {
                let granted = self.buffer.starts_with(b"HTTP/1.1 200 ");
                ensure!(granted, "{}", String::from_utf8_lossy(&self.buffer));
                return Ok(());
            }
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
