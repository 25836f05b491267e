//! Rank 35: secrets that change under load, the way kubelet changes them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sidemint::emulator::Operation;

use crate::support::config::Files;
use crate::support::http::send;
use crate::support::sidecar::{PROOF, TOKEN};
use crate::support::{PATIENCE, Settings, Sidecar, Vendor};

const OLD: &str = "dose-the-old-secret";
const NEW: &str = "dose-the-new-secret";

/// A volume as kubelet makes it: `secret -> ..data/secret`, `..data -> ..generation`. A new content is a new generation
/// and one rename of the link.
fn publish(volume: &Path, generation: u32, secret: Option<&str>) {
    let folder = format!("..{generation}");
    std::fs::create_dir(volume.join(&folder)).expect("a new generation");
    if let Some(secret) = secret {
        std::fs::write(volume.join(&folder).join("secret"), secret).expect("a file can be written");
    }
    std::os::unix::fs::symlink(&folder, volume.join("..data_tmp")).expect("a link can be made");
    std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("a link can be moved");
    if let Some(old) = generation.checked_sub(1) {
        // The first generation has no one before it.
        let _ = std::fs::remove_dir_all(volume.join(format!("..{old}")));
    }
}

/// A sidecar whose secret is in such a volume.
fn start(vendor: &Vendor, volume: &Path) -> Sidecar {
    vendor.set_secrets(&[OLD, NEW]);
    publish(volume, 0, Some(OLD));
    std::os::unix::fs::symlink("..data/secret", volume.join("secret")).expect("a link can be made");
    let files = Files::new(vendor, &Settings::default());
    let text = files.text(vendor, &Settings::default());
    let (own, mounted) = (files.path("secret").display().to_string(), volume.join("secret").display().to_string());
    files.write("config.yaml", &text.replace(&own, &mounted));
    Sidecar::of(files, &[]).ready()
}

/// The credential that the vendor was last offered for a mint.
fn last_offered(vendor: &Vendor) -> Option<String> {
    let journal = vendor.journal();
    journal.iter().rev().find(|entry| entry.operation == Operation::Mint).and_then(|entry| entry.credential.clone())
}

/// Callers that never stop to ask, half of them for something new, and what went wrong for them.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    callers: Vec<std::thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(sidecar: &Sidecar) -> Load {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let caller = |number: u64| {
            let (stop, asked, listen) = (Arc::clone(&stop), Arc::clone(&asked), sidecar.listen);
            std::thread::spawn(move || {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let count = asked.fetch_add(1, Ordering::Relaxed);
                    let viewer = if number.is_multiple_of(2) { 0 } else { count };
                    let target = format!("{TOKEN}?viewer_id=u-{viewer}&purpose=renew");
                    let reply = send(listen, "GET", &target, &[PROOF], "");
                    if reply.status != 200 {
                        failures.push(reply.text());
                    }
                }
                failures
            })
        };
        let callers = (0..4).map(caller).collect();
        Load { stop, asked, callers }
    }

    /// Ends it: how many asked, and what went wrong.
    fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.callers.into_iter().flat_map(|caller| caller.join().expect("no caller panics")).collect();
        (self.asked.load(Ordering::Relaxed), failures)
    }
}

#[test]
fn t45_rank_35_a_secret_is_swapped_under_load_and_no_call_fails() {
    let (vendor, volume) = (Vendor::start(), tempfile::tempdir().expect("a folder can be made"));
    let sidecar = start(&vendor, volume.path());
    let load = Load::on(&sidecar);
    let swapped = |generation: u32| if generation.is_multiple_of(2) { OLD } else { NEW };
    // Both are accepted while they change, as a principal may own several.
    for generation in 1..=99 {
        publish(volume.path(), generation, Some(swapped(generation)));
        let before = vendor.count(Operation::Mint);
        let deadline = Instant::now() + PATIENCE;
        while vendor.count(Operation::Mint) == before {
            assert!(Instant::now() < deadline, "the load has stopped");
            std::thread::yield_now();
        }
    }
    // From now on only the last one is: the next mint finds that out and reads the file again.
    vendor.set_secrets(&[NEW]);
    let begin = Instant::now();
    let mints = vendor.count(Operation::Mint);
    while vendor.count(Operation::Mint) < mints + 20 {
        assert!(begin.elapsed() < Duration::from_secs(10), "no mint within 10 s");
        std::thread::yield_now();
    }
    let (asked, failures) = load.end();
    assert!(failures.is_empty(), "{} of {asked} failed, such as {:?}", failures.len(), failures.first());
}

/// Cached service tokens hide a secret's end: polling brings the new one in time all the same.
#[test]
fn rank_35_a_new_secret_is_in_use_within_ten_seconds() {
    let (vendor, volume) = (Vendor::start(), tempfile::tempdir().expect("a folder can be made"));
    let sidecar = start(&vendor, volume.path());
    assert_eq!(sidecar.renew("u-0").status, 200);
    let old = last_offered(&vendor);
    let begin = Instant::now();
    publish(volume.path(), 1, Some(NEW));
    for number in 1.. {
        assert_eq!(sidecar.renew(&format!("u-{number}")).status, 200);
        if last_offered(&vendor) != old {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "the old secret is still in use");
    }
    assert_eq!(sidecar.metric("sidemint_secret_reloads_total{outcome=\"ok\",secret=\"upstreams.acme.auth\"}"), 1.0);
    assert!(sidecar.process.err.text().contains("a secret has changed"), "{}", sidecar.process.err.text());
}

#[test]
fn t45_rank_35_a_file_that_is_no_secret_is_ignored_with_an_alarm() {
    let (vendor, volume) = (Vendor::start(), tempfile::tempdir().expect("a folder can be made"));
    let sidecar = start(&vendor, volume.path());
    let alarms = |outcome: &str| {
        let series = format!("sidemint_secret_reloads_total{{outcome=\"{outcome}\",secret=\"upstreams.acme.auth\"}}");
        sidecar.metric(&series)
    };
    let bad =
        [(Some(""), "empty"), (Some("\n \n"), "empty"), (None, "unreadable"), (Some("dose-half\0\0\0"), "unreadable")];
    for (generation, (content, outcome)) in (1..).zip(bad) {
        let before = alarms(outcome);
        publish(volume.path(), generation, content);
        let deadline = Instant::now() + PATIENCE;
        while alarms(outcome) == before {
            assert!(Instant::now() < deadline, "no alarm for {content:?}");
        }
        assert_eq!(sidecar.renew(&format!("u-{generation}")).status, 200, "the last good one stays in use");
    }
    // Each field of a line once: of two, readers keep one.
    let said = sidecar.process.err.text();
    let line = said.lines().find(|line| line.contains("a secret file cannot be used")).expect("a warning");
    assert!(line.contains(r#""problem":"is empty""#) && line.matches(r#""message":"#).count() == 1, "{line}");
    publish(volume.path(), 5, Some(NEW));
    vendor.set_secrets(&[NEW]);
    assert_eq!(sidecar.renew("u-5").status, 200, "and a good one is taken as soon as the old one is refused");
}
