//! A hit in memory: through the whole connection and handler, and its parts apart.
//!
//! No socket and no kernel: what is left is Sidemint's and hyper's own. See benches/README.md.

mod support;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use criterion::{BatchSize, Criterion};
use http::{HeaderMap, HeaderValue, Method, Uri};
use sidemint::api::{self, Show, Site};
use sidemint::app::App;
use sidemint::config::{self, Environment, Listen};
use sidemint::edge::guard::{Proof, Rules};
use sidemint::lease::Policy;
use sidemint::lifecycle::Stop;
use sidemint::model::peer::Origin;
use sidemint::model::{Peer, Viewer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use support::Limits;
use support::client::{self, Request};
use support::process::Ports;
use support::vendor::Vendor;

/// Behind the pipe that stands for a socket.
const PIPE: usize = 64 << 10;
const PEER: Peer = Peer { origin: Origin::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)), certificate: None };

fn main() -> Result<()> {
    // The sidecar of this benchmark lives in this process, and its audit trail goes to stderr.
    let quick = std::env::args().any(|argument| argument == "--quick");
    let span = |full, short| Duration::from_millis(if quick { short } else { full });
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(span(1_000, 200))
        .measurement_time(span(3_000, 500))
        .sample_size(if quick { 10 } else { 50 });
    let vendor = Vendor::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = runtime.block_on(start(&vendor))?;
    let port = app.addresses().first().and_then(Listen::tcp).context("no address")?.port();
    whole(&mut criterion, &runtime, app.site(), "GET", &Request::get(port, "v-1"))?;
    whole(&mut criterion, &runtime, app.site(), "POST", &Request::post(port, "v-1", "load"))?;
    parts(&mut criterion, app.site(), port)?;
    criterion.final_summary();
    Ok(())
}

async fn start(vendor: &Vendor) -> Result<App> {
    let environment = Environment::from([("BENCH_SECRET", "dose0123")]);
    let text = support::config(Ports { listen: 0, admin: 0 }, vendor, Limits::High);
    let config = config::from_text(&text, &environment).map_err(|problems| anyhow!("{problems:?}"))?;
    App::start(config, environment).await.map_err(anyhow::Error::msg)
}

/// Head and body in, head and body out, over a pipe in memory.
fn whole(criterion: &mut Criterion, runtime: &Runtime, site: &Arc<Site>, name: &str, ask: &Request) -> Result<()> {
    exchange(runtime, site, ask, 1)?;
    criterion.bench_function(&format!("hit/{name}"), |bencher| {
        bencher.iter_custom(|times| exchange(runtime, site, ask, times).unwrap_or(Duration::MAX));
    });
    Ok(())
}

fn exchange(runtime: &Runtime, site: &Arc<Site>, ask: &Request, times: u64) -> Result<Duration> {
    let (mut client, server) = tokio::io::duplex(PIPE);
    let handler = |request| api::handle(site, request, PEER);
    let serving = sidemint::edge::connection(server, Duration::from_secs(5), Stop::default(), handler);
    let asking = async {
        let mut buffer = Vec::with_capacity(PIPE);
        let begin = Instant::now();
        for _ in 0..times {
            client.write_all(&ask.0).await?;
            buffer.clear();
            while client::answer_length(&buffer)?.is_none_or(|length| buffer.len() < length) {
                client.read_buf(&mut buffer).await?;
            }
            anyhow::ensure!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer));
        }
        Ok(begin.elapsed())
    };
    runtime.block_on(async {
        tokio::select! {
            () = serving => Err(anyhow!("the connection ended")),
            elapsed = asking => elapsed,
        }
    })
}

/// What a hit is made of.
fn parts(criterion: &mut Criterion, site: &Arc<Site>, port: u16) -> Result<()> {
    let snapshot = site.snapshot();
    let show = snapshot.embeds.get("sales").context("no embed")?;
    let viewer = Viewer { id: "v-1".into(), value: Some("emea".into()), ..Viewer::default() };
    let policy = show.embed().policy();
    guard(criterion, port)?;
    criterion.bench_function("key", |bencher| {
        let mut buffer = Vec::new();
        bencher.iter(|| {
            buffer.clear();
            show.embed().write_key(black_box(&mut buffer), black_box(&viewer));
        });
    });
    criterion.bench_function("key and lookup", |bencher| {
        bencher.iter(|| site.tokens.token(show.embed(), black_box(&viewer), &snapshot.ids));
    });
    criterion.bench_function("key, lookup and judgement", |bencher| {
        bencher.iter(|| hit(site, show, black_box(&viewer), &policy));
    });
    criterion.bench_function("render", |bencher| {
        let now = site.clock.now();
        let served = || hit(site, show, &viewer, &policy);
        bencher.iter_batched(served, |served| served.map(|it| api::render_hit(show, it, now)), BatchSize::SmallInput);
    });
    Ok(())
}

fn hit(site: &Site, show: &Show, viewer: &Viewer, policy: &Policy) -> Option<sidemint::tokens::Served> {
    let snapshot = site.snapshot();
    site.tokens.token(show.embed(), viewer, &snapshot.ids).at_hand(policy)?.ok()
}

fn guard(criterion: &mut Criterion, port: u16) -> Result<()> {
    let rules = Rules::new(&[Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))], &[], &[], false);
    let uri: Uri = "/v1/embeds/sales/token?viewer_id=v-1".parse()?;
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::try_from(format!("127.0.0.1:{port}"))?);
    headers.insert("sidemint-request", HeaderValue::from_static("true"));
    headers.insert("sidemint-viewer-value", HeaderValue::from_static("emea"));
    criterion.bench_function("guard", |bencher| {
        bencher.iter(|| rules.check(&Method::GET, black_box(&uri), black_box(&headers), &Proof::Header).is_ok());
    });
    Ok(())
}
