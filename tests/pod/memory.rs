//! What a container's memory limit has to hold. The kernel kills what is over it, so to have lived is the proof; there is no
//! swap. Written down is what the kernel has seen at most.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sidemint::emulator::Settings;

use crate::stage::{Container, Pod, Volume, config, metric, until, vendor};

/// What the chart gives a sidecar, and what it lets the cache have of it.
const CHART: &str = "128m";
/// The contract's least.
const LEAST: &str = "32m";
const VIEWERS: u32 = 100_000;

/// Asks for tokens of viewers `from..to` through the socket, from several connections at once.
fn open_dashboards(socket: &Path, from: u32, to: u32) {
    let next = AtomicU32::new(from);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut line = Line::to(socket);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= to {
                        return;
                    }
                    assert_eq!(line.ask(number), 200, "viewer {number}");
                }
            });
        }
    });
}

/// A connection that reads no more of an answer than it has to: the client is not what is measured.
struct Line(BufReader<UnixStream>);

impl Line {
    fn to(socket: &Path) -> Line {
        Line(BufReader::new(UnixStream::connect(socket).expect("it listens")))
    }

    fn ask(&mut self, number: u32) -> u16 {
        let request = format!(
            "GET /v1/embeds/sales/token?viewer_id=viewer%40example.com&purpose=renew HTTP/1.1\r\nHost: localhost\r\n\
             Sidemint-Request: true\r\nSidemint-Viewer-Value: v-{number}\r\n\r\n"
        );
        self.0.get_mut().write_all(request.as_bytes()).expect("it is open");
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("it answers");
            if status == 0 {
                status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
            } else if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = number.trim().parse().expect("a length");
            } else if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a body");
        status
    }
}

/// A sidecar of Bold BI, where a mint is one call, which is asked through a socket in a volume.
fn sidecar(pod: &Pod, memory: &str, cache: &str) -> (Container, crate::support::Vendor, Volume) {
    let vendor = vendor(Settings::default());
    let socket = Volume::shared(None).at("/run/sidemint");
    let (config, secret) = config::bold_bi(pod, &vendor, "unix:/run/sidemint/api.sock", cache);
    let sidecar = pod.sidecar(memory, &[&config, &secret, &socket], &[]);
    until("it has started", || pod.is_up("/startupz"));
    (sidecar, vendor, socket)
}

/// The most that the kernel has counted, and what the cache holds.
fn tell(what: &str, pod: &Pod, sidecar: &Container) {
    let text = pod.look("/metrics").text();
    let resident = metric(&text, "process_resident_memory_bytes");
    let cache = metric(&text, r#"sidemint_viewer_token_bytes{upstream="acme"}"#);
    let tokens = metric(&text, r#"sidemint_viewer_tokens{upstream="acme"}"#);
    println!(
        "{what}: {} MiB at most, {:.1} MiB resident now; {tokens} tokens in {:.1} MiB",
        sidecar.most_memory() >> 20,
        resident / 1_048_576.0,
        cache / 1_048_576.0
    );
}

#[test]
fn the_least_memory_holds_a_load() {
    let pod = Pod::start();
    let (sidecar, _vendor, socket) = sidecar(&pod, LEAST, "4MiB");
    for _ in 0..3 {
        open_dashboards(&socket.path("api.sock"), 0, 3000);
    }
    tell("32 MiB", &pod, &sidecar);
    assert_eq!(sidecar.stop(30), 0, "{}", sidecar.logs());
    assert!(!sidecar.was_too_large());
}

#[test]
fn the_chart_s_memory_holds_100_000_viewers() {
    let pod = Pod::start();
    let (sidecar, _vendor, socket) = sidecar(&pod, CHART, "64MiB");
    open_dashboards(&socket.path("api.sock"), 0, VIEWERS);
    tell("100,000 viewers", &pod, &sidecar);
    // What fits is kept, though a cache that overflows prefers those who were asked for twice.
    open_dashboards(&socket.path("api.sock"), VIEWERS - 100, VIEWERS);
    let again = pod.mints() - f64::from(VIEWERS);
    assert!((0.0..50.0).contains(&again), "{again} of the last 100 were minted for again");
    assert_eq!(sidecar.stop(30), 0, "{}", sidecar.logs());
    assert!(!sidecar.was_too_large());
}
