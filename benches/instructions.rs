//! Instructions per hit and per proxied request, counted by callgrind: the gate of the hot path.
//!
//! The real binary with everything on, and a bare hyper server, each run under valgrind three
//! times: with some requests to warm up, with so many more GETs, with so many more POSTs. The
//! differences are what those requests took; startup and mint cancel out. See benches/README.md.

mod support;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use support::Limits;
use support::client::{Connection, Request, repeat_on_all};
use support::count::{self, Profile, number};
use support::process::{self, Child};
use support::traffic::Traffic;
use support::vendor::Vendor;

/// What a hit may take before this bench fails: what it took when this was last lowered, and five
/// per cent, of which two are noise. Lower it with every gain; never raise it in silence.
/// That of GETs was 18,500 before there were routes; that of POSTs 26,500 before callers came by sockets and over TLS, and
/// viewers with tokens.
const GET_GATE: u64 = 19_000;
const POST_GATE: u64 = 27_100;
/// The same for a request through a route, by the length of the body that comes back.
const PROXY_GATES: [(usize, u64); 2] = [(1 << 10, 40_000), (100 << 10, 47_000)];
/// What a request through a route should take at 1 KiB: what a prototype took with an own pool of connections, and
/// some room. nginx takes 21,000 (`cargo bench --bench proxy`).
const PROXY_GOAL: &str = "28,000";
/// What a hit should take: reference figures of prototypes with the same parts, 10,100 and 15,244, and
/// some room.
const GOAL: (&str, &str) = ("10,500", "16,500");

/// All asked at once: a single one would pay a turn of the event loop for each request.
const CONNECTIONS: usize = 32;
/// Requests on each before counting begins: all that is made once has been made.
const WARM_UP: usize = 10;
/// Requests on each that are counted.
const COUNTED: usize = 100;

/// Others, measured in the same way: name, GET, POST.
const ANCHORS: [(&str, &str, &str); 4] = [
    ("  anchor: bare hyper", "6,830", "8,831"),
    ("  anchor: nginx `return 200`", "7,567", "8,749"),
    ("  anchor: prototype", "10,100", "15,244"),
    ("  anchor: nais/texas, telemetry off", "", "70,105"),
];

fn main() -> Result<ExitCode> {
    if support::bare::serve_if_asked()? {
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(process::is_there("valgrind"), "the instructions are counted by valgrind: apt-get install valgrind");
    let vendor = Vendor::start()?;
    let binary = process::binary();
    let body = {
        let sidecar = support::sidecar(&[], &binary, &vendor, Limits::High)?;
        let port = sidecar.ports.listen;
        support::body_length(&support::answer(port, &Request::get(port, "v-1"))?)?
    };
    let own = Cost::of(|wrapper| support::sidecar(wrapper, &binary, &vendor, Limits::High), "sidemint")?;
    let bare = Cost::of(|wrapper| support::bare(wrapper, body), "bare")?;
    println!("instructions per hit, {body} bytes of body, keep-alive   {:>8} {:>8}", "GET", "POST");
    row("sidemint, everything on", &number(own.get), &number(own.post));
    row("bare hyper, constant body", &number(bare.get), &number(bare.post));
    row("sidemint's own", &number(own.get.saturating_sub(bare.get)), &number(own.post.saturating_sub(bare.post)));
    row("gate, against getting worse", &number(GET_GATE), &number(POST_GATE));
    row("goal", GOAL.0, GOAL.1);
    ANCHORS.iter().for_each(|(name, get, post)| row(name, get, post));
    let holds = proxied(&vendor)? && own.get <= GET_GATE && own.post <= POST_GATE;
    println!("{}", if holds { "the gate holds" } else { "THE GATE IS BROKEN" });
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether a request through a route keeps to its gates.
fn proxied(vendor: &Vendor) -> Result<bool> {
    let (mut traffic, mut holds) = (Traffic::new()?, true);
    let target = traffic.target();
    println!("instructions per request through a route {:>24} {:>8}", "GET", "gate");
    for (body, gate) in PROXY_GATES {
        traffic.set_body(body);
        let start = |wrapper: &[&str]| support::proxying(wrapper, &process::binary(), vendor, target);
        let count = count::proxied(&format!("proxy-sidemint-{body}"), COUNTED, &mut traffic, start)?;
        row(&format!("sidemint, everything on, {body} bytes of body"), &number(count), &number(gate));
        holds &= count <= gate;
    }
    row("goal, 1,024 bytes of body", PROXY_GOAL, "");
    Ok(holds)
}

/// Instructions per request.
struct Cost {
    get: u64,
    post: u64,
}

impl Cost {
    fn of(start: impl Fn(&[&str]) -> Result<Child>, name: &str) -> Result<Cost> {
        let idle = counted(&start, name, |_| None)?;
        let get = counted(&start, &format!("{name}-get"), |port| Some(Request::get(port, "v-1")))?;
        let post = counted(&start, &format!("{name}-post"), |port| Some(Request::post(port, "v-1", "load")))?;
        let each = |total: u64| total.saturating_sub(idle) / (COUNTED * CONNECTIONS) as u64;
        Ok(Cost { get: each(get), post: each(post) })
    }
}

/// Runs a server under callgrind, warms it up, lets it answer what is counted, and ends it.
fn counted(
    start: impl Fn(&[&str]) -> Result<Child>,
    name: &str,
    request: impl Fn(u16) -> Option<Request>,
) -> Result<u64> {
    let profile = Profile::new(name)?;
    let server = start(&profile.wrapper())?;
    let port = server.ports.listen;
    let mut connections: Vec<Connection> =
        (0..CONNECTIONS).map(|_| Connection::open_patiently(port)).collect::<Result<_>>()?;
    repeat_on_all(&mut connections, &Request::get(port, "v-1"), WARM_UP)?;
    repeat_on_all(&mut connections, &Request::post(port, "v-1", "load"), WARM_UP)?;
    if let Some(request) = request(port) {
        repeat_on_all(&mut connections, &request, COUNTED)?;
    }
    drop(connections);
    profile.collected(server)
}

fn row(name: &str, get: &str, post: &str) {
    println!("{name:<56} {get:>8} {post:>8}");
}
