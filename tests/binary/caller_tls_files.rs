//! Rank 35 for the token port: its certificate changes while it runs, the way kubelet changes files.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::caller_tls::{ask, files};
use crate::support::authority::{Authority, Issued, TlsClient};
use crate::support::http::{Wire, request};
use crate::support::sidecar::PROOF;
use crate::support::{PATIENCE, Sidecar, Vendor, run};

/// A volume as kubelet makes it: names that lead through `..data` to one generation, and one rename for the next one.
fn publish(volume: &Path, generation: u32, content: &[(&str, &str)]) {
    let folder = format!("..{generation}");
    std::fs::create_dir(volume.join(&folder)).expect("a new generation");
    for (name, text) in content {
        std::fs::write(volume.join(&folder).join(name), text).expect("a file can be written");
    }
    std::os::unix::fs::symlink(&folder, volume.join("..data_tmp")).expect("a link can be made");
    std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("a link can be moved");
    if let Some(old) = generation.checked_sub(1) {
        // The first generation has no one before it.
        let _ = std::fs::remove_dir_all(volume.join(format!("..{old}")));
    }
}

fn content(issued: &Issued) -> [(&'static str, &str); 2] {
    [("tls.crt", &issued.certificate), ("tls.key", &issued.key)]
}

/// A sidecar whose certificate is in such a volume.
fn start(vendor: &Vendor, volume: &Path, first: &Issued, clients: Option<&Authority>) -> Sidecar {
    let given: Vec<_> = content(first).into_iter().map(|(name, text)| (name, text.to_owned())).collect();
    let ca = clients.map(|clients| ("clients.crt", clients.pem()));
    let all: Vec<_> = given.iter().chain(&ca).map(|(name, text)| (*name, text.as_str())).collect();
    publish(volume, 0, &all);
    let files = files(vendor, first, clients, "127.0.0.1:0");
    let mut text = std::fs::read_to_string(files.config()).expect("it was written");
    for (name, _) in all {
        std::os::unix::fs::symlink(format!("..data/{name}"), volume.join(name)).expect("a link can be made");
        text = text.replace(&files.path(name).display().to_string(), &volume.join(name).display().to_string());
    }
    files.write("config.yaml", &text);
    Sidecar::of(files, &[]).ready()
}

fn reloads(sidecar: &Sidecar, outcome: &str) -> f64 {
    sidecar.metric(&format!("sidemint_secret_reloads_total{{outcome=\"{outcome}\",secret=\"server.tls\"}}"))
}

/// A connection that is open and stays so.
fn hello(wire: &mut Wire, sidecar: &Sidecar) -> Option<u16> {
    let keep = [PROOF, ("Connection", "keep-alive")];
    wire.say(request(sidecar.listen, "GET", "/openapi.json", &keep, "")).reply().map(|reply| reply.status)
}

#[test]
fn rank_35_a_new_certificate_is_in_use_within_ten_seconds_and_no_call_fails() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let volume = tempfile::tempdir().expect("a folder can be made");
    let (old, new) = (authority.server(), authority.server());
    let sidecar = start(&vendor, volume.path(), &old, None);
    let client = Arc::new(TlsClient::of(&authority));
    let mut open = client.to(sidecar.listen);
    assert_eq!(hello(&mut open, &sidecar), Some(200));
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (client, stop, address) = (Arc::clone(&client), Arc::clone(&stop), sidecar.listen);
            std::thread::spawn(move || {
                let mut failures = 0;
                while !stop.load(Ordering::Relaxed) {
                    failures += u32::from(ask(&client, address).is_none_or(|reply| reply.status != 200));
                }
                failures
            })
        })
        .collect();
    assert_eq!(client.sees(sidecar.listen), Some(old.der()));
    let begin = Instant::now();
    publish(volume.path(), 1, &content(&new));
    while client.sees(sidecar.listen) != Some(new.der()) {
        assert!(begin.elapsed() < Duration::from_secs(10), "the old certificate is still shown");
    }
    stop.store(true, Ordering::Relaxed);
    let failures: u32 = callers.into_iter().map(|caller| caller.join().expect("no caller panics")).sum();
    assert_eq!(failures, 0);
    assert_eq!(hello(&mut open, &sidecar), Some(200), "what was open goes on");
    assert_eq!(reloads(&sidecar, "ok"), 1.0);
    let ends = sidecar.metric(r#"sidemint_secret_expiry_timestamp_seconds{secret="server.tls"}"#);
    assert!(ends > 1.7e9, "when the certificate ends is told, before it has: {ends}");
}

/// Whom another authority has named is out, and a session from before does not bring him in again.
#[test]
fn rank_35_other_authorities_of_clients_count_at_once() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let volume = tempfile::tempdir().expect("a folder can be made");
    let server = authority.server();
    let sidecar = start(&vendor, volume.path(), &server, Some(&before));
    let client = |of: &Authority| TlsClient::new(&authority, rustls::ALL_VERSIONS, Some(&of.client("app")));
    let (old, new) = (client(&before), client(&after));
    assert_eq!(ask(&old, sidecar.listen).map(|reply| reply.status), Some(200));
    assert!(ask(&new, sidecar.listen).is_none());
    let authorities = after.pem();
    publish(volume.path(), 1, &[&content(&server)[..], &[("clients.crt", authorities.as_str())]].concat());
    let begin = Instant::now();
    while ask(&new, sidecar.listen).is_none() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the new authority is not in use");
    }
    assert!(ask(&old, sidecar.listen).is_none());
}

#[test]
fn rank_35_files_that_cannot_be_used_are_ignored_with_an_alarm() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let volume = tempfile::tempdir().expect("a folder can be made");
    let (old, new) = (authority.server(), authority.server());
    let sidecar = start(&vendor, volume.path(), &old, None);
    let client = TlsClient::of(&authority);
    let half = |text: &str| text.get(..text.len() / 2).expect("ASCII").to_owned();
    let (half_certificate, half_key) = (half(&new.certificate), half(&new.key));
    let bad: [(&[(&str, &str)], &str); 6] = [
        (&[("tls.crt", &new.certificate), ("tls.key", &old.key)], "unusable"),
        (&[("tls.crt", &half_certificate), ("tls.key", &new.key)], "unusable"),
        (&[("tls.crt", &new.certificate), ("tls.key", &half_key)], "unusable"),
        (&[("tls.crt", ""), ("tls.key", &new.key)], "empty"),
        (&[("tls.crt", &new.certificate)], "unreadable"),
        (&[], "unreadable"),
    ];
    for (generation, (content, outcome)) in (1..).zip(bad) {
        let before = reloads(&sidecar, outcome);
        publish(volume.path(), generation, content);
        let deadline = Instant::now() + PATIENCE;
        while reloads(&sidecar, outcome) == before {
            assert!(Instant::now() < deadline, "no alarm for generation {generation}");
        }
        assert_eq!(client.sees(sidecar.listen), Some(old.der()), "the last good one stays in use");
    }
    assert!(sidecar.process.err.text().contains("a secret file cannot be used"));
    assert!(!sidecar.process.err.text().contains("PRIVATE KEY"));
    publish(volume.path(), 7, &content(&new));
    let begin = Instant::now();
    while client.sees(sidecar.listen) != Some(new.der()) {
        assert!(begin.elapsed() < Duration::from_secs(10), "and a good one is taken");
    }
}

#[test]
fn rank_35_files_that_cannot_be_used_at_the_start_are_named() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let (one, other) = (authority.server(), authority.server());
    let files = files(&vendor, &one, Some(&authority), "127.0.0.1:0");
    let text = "this is no certificate";
    for (name, content, key) in [
        ("tls.crt", text, "cert_file"),
        ("tls.crt", &one.key, "cert_file"),
        ("tls.key", &one.certificate, "key_file"),
        ("tls.key", &other.key, "key_file"),
        ("clients.crt", text, "client_ca_file"),
        ("clients.crt", "", "server.tls"),
    ] {
        let good = std::fs::read_to_string(files.path(name)).expect("it was written");
        files.write(name, content);
        let ended = run(&["run", "--config", &files.config()], []);
        assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
        let line = ended.err.lines().find(|line| line.starts_with("sidemint: ")).unwrap_or_else(|| panic!("{ended:?}"));
        assert!(line.contains("server.tls") && line.contains(key), "{line}");
        assert!(line.contains(&files.path(name).display().to_string()), "{line}");
        assert!(!ended.err.contains("PRIVATE"), "{ended:?}");
        files.write(name, &good);
    }
    for name in ["tls.crt", "tls.key", "clients.crt"] {
        let good = std::fs::read_to_string(files.path(name)).expect("it was written");
        std::fs::remove_file(files.path(name)).expect("it was written");
        let ended = run(&["run", "--config", &files.config()], []);
        assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
        assert!(ended.err.contains(&files.path(name).display().to_string()), "{ended:?}");
        files.write(name, &good);
    }
}
