//! Rank 31: requests that are too much of something cost little and are refused.

use crate::support::http::Wire;
use crate::support::sidecar::{JSON, PROOF, TOKEN};
use crate::support::{Sidecar, Vendor};

/// What the process had at most, in KiB.
fn peak_memory(sidecar: &Sidecar) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.process.id())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number of KiB")
}

fn head(sidecar: &Sidecar, method: &str, target: &str, headers: &str) -> String {
    let [proof, json] = [PROOF, JSON].map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n{proof}{json}Connection: close\r\n{headers}\r\n", sidecar.listen)
}

#[test]
fn t39_rank_31_oversized_requests_are_refused_cheaply() {
    const TIMES: usize = 5;
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    assert_eq!(sidecar.renew("u-1").status, 200);
    vendor.clear_journal();
    let before = peak_memory(&sidecar);
    let many: String = (0..101).map(|number| format!("X-{number}: a\r\n")).collect();
    let pairs: String = (0..10_000).map(|number| format!("p{number}=1&")).collect();
    let large = 10 << 20;
    let chunk = format!("{large:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(large));
    let cases = [
        ("101 headers", head(&sidecar, "GET", TOKEN, &many), &[431][..]),
        ("a header of 64 KiB", head(&sidecar, "GET", TOKEN, &format!("X-Long: {}\r\n", "a".repeat(64 << 10))), &[431]),
        ("a target of 100 KiB", head(&sidecar, "GET", &format!("/{}", "a".repeat(100 << 10)), ""), &[414, 431]),
        ("10^4 query pairs", head(&sidecar, "GET", &format!("{TOKEN}?{pairs}viewer_id=u"), ""), &[414, 431]),
        (
            "2,000 query pairs",
            head(&sidecar, "GET", &format!("{TOKEN}?{}viewer_id=u", pairs.split_at(9000).0), ""),
            &[422],
        ),
        (
            "a body of 10 MiB",
            head(&sidecar, "POST", TOKEN, &format!("Content-Length: {large}\r\n")) + &"x".repeat(large),
            &[413],
        ),
        ("a chunked one", head(&sidecar, "POST", TOKEN, "Transfer-Encoding: chunked\r\n") + &chunk, &[413]),
    ];
    let mut sent = 0;
    for (what, bytes, wanted) in &cases {
        for _ in 0..TIMES {
            let reply = Wire::to(sidecar.listen).say(bytes).reply();
            let status = reply.unwrap_or_else(|| panic!("{what}: closed without an answer")).status;
            assert!(wanted.contains(&status), "{what}: {status}");
            sent += bytes.len();
        }
    }
    let growth = peak_memory(&sidecar).saturating_sub(before);
    assert!(growth < 4 << 10, "{growth} KiB more after {} KiB in all", sent >> 10);
    assert_eq!(vendor.asked(), 0);
    assert_eq!(sidecar.renew("u-1").status, 200, "the process is well");
}

/// A head that never ends is not waited for: the connection is closed, in the time that is set.
#[test]
fn t38_a_head_that_trickles_is_cut_off() {
    let vendor = Vendor::start();
    let settings = crate::support::Settings { server: "header_timeout: 300ms", ..Default::default() };
    let sidecar = Sidecar::with(&vendor, &settings);
    let mut wire = Wire::to(sidecar.listen);
    let begin = std::time::Instant::now();
    wire.say(format!("GET {TOKEN} HTTP/1.1\r\nHost: "));
    assert!(wire.reply().is_none_or(|reply| reply.status == 408));
    assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
}
