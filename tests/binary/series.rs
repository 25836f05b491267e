//! Rank 33: nothing that a caller can make up becomes a series of the metrics.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::http::{Wire, request};
use crate::support::sidecar::{JSON, PROOF, TOKEN};
use crate::support::{Sidecar, Vendor, tool};

const TIMES: u64 = 2_500;

fn series(sidecar: &Sidecar) -> BTreeSet<String> {
    let text = sidecar.look("/metrics").text();
    let names = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// Random in every part that a caller chooses, the same at every run.
fn any_request(sidecar: &Sidecar, random: &mut fastrand::Rng) -> String {
    let word: String = (0..random.usize(1..12)).map(|_| random.alphanumeric()).collect();
    let method = ["GET", "POST", "PUT", "HEAD", "TRACE", &word.to_uppercase()][random.usize(..6)].to_owned();
    let target = match random.u8(..5) {
        0 => format!("/{word}"),
        1 => format!("/v1/embeds/{word}/token?viewer_id={word}"),
        2 => format!("{TOKEN}?viewer_id=u%00{word}"),
        3 => format!("{TOKEN}?{word}={word}"),
        _ => TOKEN.to_owned(),
    };
    let host = if random.u8(..4) == 0 { format!("{word}.example") } else { sidecar.listen.to_string() };
    let proof = if random.u8(..8) == 0 { word.clone() } else { "true".to_owned() };
    let origin = format!("https://{word}.example");
    let mut headers = vec![("Host", host.as_str()), (PROOF.0, proof.as_str()), JSON];
    if random.u8(..8) == 0 {
        headers.push(("Origin", &origin));
    }
    // An address as id is refused: what the vendor is asked has a bounded name too, but this is about callers.
    let body = format!(r#"{{"viewer": {{"id": "{word}@{word}.example"}}}}"#);
    let body = if method == "POST" { body.as_str() } else { "" };
    request(sidecar.listen, &method, &target, &headers, body)
}

#[test]
fn rank_33_no_request_makes_a_series_and_promtool_is_content() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    assert_eq!(sidecar.renew("u-1").status, 200);
    let mut random = fastrand::Rng::with_seed(33);
    // Each code of the closed set may be met for the first time in these.
    for _ in 0..TIMES / 10 {
        Wire::to(sidecar.listen).say(any_request(&sidecar, &mut random)).head();
    }
    let before = series(&sidecar);
    for _ in 0..TIMES {
        Wire::to(sidecar.listen).say(any_request(&sidecar, &mut random)).head();
    }
    let after = series(&sidecar);
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    let refused: f64 = sidecar
        .look("/metrics")
        .text()
        .lines()
        .filter_map(|line| {
            line.strip_prefix("sidemint_refused_requests_total")?.rsplit_once(' ')?.1.parse::<f64>().ok()
        })
        .sum();
    assert!(refused > TIMES as f64 * 0.9, "the requests were counted: {refused}");
    promtool_accepts(&sidecar.look("/metrics").body);
}

fn promtool_accepts(metrics: &[u8]) {
    let mut command = Command::new(tool("SIDEMINT_TEST_PROMTOOL"));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().expect("promtool starts");
    promtool.stdin.take().expect("stdin is a pipe").write_all(metrics).expect("promtool reads");
    let ended = promtool.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&ended.stderr) + String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.trim().is_empty(), "{said}");
}
