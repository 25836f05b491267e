//! Rank 38: stopping in three acts, and the endpoint that begins it.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sidemint::emulator::{Fault, Operation};

use crate::support::http::{Reply, Wire, request, send};
use crate::support::sidecar::{PROOF, TOKEN};
use crate::support::{PATIENCE, Settings, Sidecar, Vendor};

/// So many asks, each for a viewer of its own, of which the vendor has seen all and answered none.
fn in_the_air(vendor: &Vendor, sidecar: &Sidecar, count: u64) -> Vec<JoinHandle<Option<Reply>>> {
    let ask = |number| {
        let target = format!("{TOKEN}?viewer_id=u-{number}&purpose=renew");
        let bytes = request(sidecar.listen, "GET", &target, &[PROOF, ("Connection", "keep-alive")], "");
        let mut wire = Wire::to(sidecar.listen);
        std::thread::spawn(move || wire.say(bytes).reply())
    };
    let asks: Vec<_> = (0..count).map(ask).collect();
    let deadline = Instant::now() + PATIENCE;
    while vendor.count(Operation::TokenInfo) < count {
        assert!(Instant::now() < deadline, "the vendor has seen {} asks", vendor.count(Operation::TokenInfo));
        std::thread::yield_now();
    }
    asks
}

fn answers(asks: Vec<JoinHandle<Option<Reply>>>) -> Vec<Reply> {
    asks.into_iter().map(|ask| ask.join().expect("no ask panics").expect("every ask is answered")).collect()
}

fn delayed(milliseconds: u64) -> Fault {
    Fault { operation: "token_info".to_owned(), delay_ms: Some(milliseconds), ..Fault::default() }
}

/// Waits for the drain to begin. From then on whoever comes is told to go elsewhere.
fn refuses_newcomers(sidecar: &Sidecar) {
    sidecar.until("/readyz", |reply| (reply.status, reply.text().as_str()) == (503, "draining\n"));
    let late = sidecar.renew("u-late");
    assert_eq!((late.status, late.code().as_str()), (503, "draining"), "{}", late.text());
    assert_eq!((late.header("connection"), late.header("retry-after").is_some()), (Some("close"), true));
}

#[test]
fn rank_38_a_drain_answers_what_is_in_flight() {
    for signal in [Signal::TERM, Signal::INT] {
        let vendor = Vendor::start();
        let sidecar = Sidecar::start(&vendor).ready();
        vendor.inject(delayed(3000));
        let asks = in_the_air(&vendor, &sidecar, 50);
        let begin = Instant::now();
        sidecar.process.signal(signal);
        refuses_newcomers(&sidecar);
        assert!(asks.iter().any(|ask| !ask.is_finished()), "asks are in the air still");
        // Kubelet and Prometheus look on.
        assert_eq!((sidecar.look("/livez").status, sidecar.look("/metrics").status), (200, 200));
        for reply in answers(asks) {
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        let ended = sidecar.process.end(PATIENCE);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(begin.elapsed() < Duration::from_secs(10), "inside drain_timeout: {:?}", begin.elapsed());
    }
}

#[test]
fn rank_38_a_second_signal_ends_it_at_once() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::with(&vendor, &Settings { server: "drain_timeout: 60s", ..Default::default() }).ready();
    vendor.inject(delayed(60_000));
    let asks = in_the_air(&vendor, &sidecar, 5);
    sidecar.process.signal(Signal::TERM);
    refuses_newcomers(&sidecar);
    let begin = Instant::now();
    sidecar.process.signal(Signal::TERM);
    for reply in answers(asks) {
        assert_eq!((reply.status, reply.code().as_str()), (503, "draining"));
    }
    assert_eq!(sidecar.process.end(PATIENCE).code, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

/// At the end of the time, whoever still waits is told so instead of losing the connection.
#[test]
fn rank_38_the_end_of_the_drain_is_told_to_those_who_wait() {
    let vendor = Vendor::start();
    let settings =
        Settings { server: "drain_timeout: 1s", upstream: "timeouts: {request: 60s}".into(), ..Default::default() };
    let sidecar = Sidecar::with(&vendor, &settings).ready();
    vendor.inject(delayed(60_000));
    let asks = in_the_air(&vendor, &sidecar, 5);
    let begin = Instant::now();
    sidecar.process.signal(Signal::TERM);
    for reply in answers(asks) {
        assert_eq!((reply.status, reply.code().as_str()), (503, "draining"), "{}", reply.text());
        assert!(reply.header("retry-after").is_some());
    }
    let took = begin.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let ended = sidecar.process.end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("\"stopped\""), "{}", ended.err);
}

#[test]
fn an_idle_connection_does_not_hold_up_the_stop() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    let mut idle = Wire::to(sidecar.listen);
    let bytes = request(sidecar.listen, "GET", "/openapi.json", &[PROOF, ("Connection", "keep-alive")], "");
    assert_eq!(idle.say(bytes).reply().expect("an answer").status, 200);
    let begin = Instant::now();
    sidecar.process.signal(Signal::TERM);
    assert_eq!(sidecar.process.end(PATIENCE).code, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert!(idle.reply().is_none());
}

#[test]
fn quitquitquit_is_closed_unless_it_is_opened() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    for method in ["GET", "POST"] {
        let reply = send(sidecar.admin, method, "/quitquitquit", &[], "");
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{method}");
    }
    assert_eq!(sidecar.look("/readyz").status, 200);
}

#[test]
fn t8_quitquitquit_takes_a_post_and_nothing_else() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::with(&vendor, &Settings { admin: "quit: true", ..Default::default() }).ready();
    let get = sidecar.look("/quitquitquit");
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    let foreign = send(sidecar.admin, "POST", "/quitquitquit", &[("Origin", "https://evil.example")], "");
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "forbidden_origin"));
    assert_eq!(sidecar.look("/readyz").status, 200);
    let reply = send(sidecar.admin, "POST", "/quitquitquit", &[], "");
    assert_eq!((reply.status, reply.text().as_str()), (200, "stopping\n"));
    assert_eq!(sidecar.process.end(PATIENCE).code, Some(0));
}

/// With several event loops the promises are the same: one mint for one viewer, and no loop that a stop forgets.
#[test]
fn rank_38_every_event_loop_finishes_its_own() {
    let vendor = Vendor::start();
    let settings = Settings { server: "workers: 3, drain_timeout: 1s", ..Default::default() };
    let sidecar = Sidecar::with(&vendor, &settings).ready();
    let threads = std::fs::read_dir(format!("/proc/{}/task", sidecar.process.id())).expect("the process lives");
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    for name in ["loop-1", "loop-2"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    // One viewer on 40 connections, which the kernel spreads over the loops.
    let one = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..40).map(|_| scope.spawn(|| sidecar.renew("u-one"))).collect();
        asks.into_iter().map(|ask| ask.join().expect("no ask panics").token()).collect::<Vec<_>>()
    });
    assert!(one.windows(2).all(|pair| pair[0] == pair[1]), "one token for all");
    assert_eq!((vendor.count(Operation::Mint), vendor.count(Operation::ServiceToken)), (1, 1));
    // What is still in the air at the end of the drain is told so, on every loop.
    vendor.clear_journal();
    vendor.inject(delayed(60_000));
    let asks = in_the_air(&vendor, &sidecar, 30);
    sidecar.process.signal(Signal::TERM);
    for reply in answers(asks) {
        assert_eq!((reply.status, reply.code().as_str()), (503, "draining"), "{}", reply.text());
    }
    let ended = sidecar.process.end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
