//! T6: callers who come by a path, and who of them are let in.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Signal, geteuid};
use serde_json::Value;
use sidemint::emulator::{Fault, Operation};

use crate::support::config::Files;
use crate::support::http::{Reply, Wire, send};
use crate::support::process::Ended;
use crate::support::sidecar::TOKEN;
use crate::support::{PATIENCE, Process, Settings, Vendor, outcome, run, words};

/// A sidecar that listens at a path.
pub struct Socketed {
    pub process: Process,
    pub path: PathBuf,
    pub files: Files,
}

impl Socketed {
    /// With these keys of `server`, besides `listen`.
    pub fn start(vendor: &Vendor, keys: &str) -> Socketed {
        let (files, path) = files(vendor, keys);
        let process = Process::start(&["run", "--config", &files.config()], []);
        process.err.says("sidemint runs");
        Socketed { process, path, files }
    }

    /// The answer to a request that a client such as curl would send.
    pub fn get(&self, target: &str) -> Option<Reply> {
        Wire::to_path(&self.path).say(request(target)).reply()
    }

    pub fn renew(&self, viewer: &str) -> Reply {
        self.get(&format!("{TOKEN}?viewer_id={viewer}&purpose=renew")).expect("an answer")
    }

    fn metric(&self, series: &str) -> f64 {
        let line = self.process.err.find("the start", |text| {
            let line = text.lines().find(|line| line.contains("\"sidemint runs\"") && line.ends_with('}'))?;
            serde_json::from_str::<Value>(line).ok()
        });
        let admin = line["admin"].as_str().and_then(|admin| admin.parse().ok()).expect("the line says where");
        let text = send(admin, "GET", "/metrics", &[], "").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.trim().parse().expect("a metric is a number"))
    }

    /// Callers and codes of the audit trail, once there are so many.
    fn audit(&self, count: usize) -> Vec<(String, String)> {
        self.process.err.find("so many audit lines", |text| {
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let lines = whole.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let of = |line: &Value, name: &str| line[name].as_str().unwrap_or("-").to_owned();
            let audit = lines.filter(|line| line["target"] == "audit");
            let all: Vec<_> = audit.map(|line| (of(&line, "caller"), of(&line, "code"))).collect();
            (all.len() >= count).then_some(all)
        })
    }
}

/// A config that listens at `api.sock` beside it.
pub fn files(vendor: &Vendor, keys: &str) -> (Files, PathBuf) {
    let files = Files::new(vendor, &Settings::default());
    let path = files.path("api.sock");
    let comma = if keys.is_empty() { "" } else { ", " };
    let text = files.text(vendor, &Settings::default());
    let listen = format!("listen: \"unix:{}\"{comma}{keys}", path.display());
    files.write("config.yaml", &text.replacen("listen: \"127.0.0.1:0\"", &listen, 1));
    (files, path)
}

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nSidemint-Request: true\r\n\r\n")
}

/// The command of an app beside it, run by another user.
fn token_as(uid: u32, sidecar: &Socketed) -> Ended {
    let binary = sidecar.files.path("sidemint");
    if !binary.exists() {
        crate::support::copy_program(&binary);
        for path in [&binary, &sidecar.files.path("")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
        }
    }
    let mut command = Command::new(binary);
    let url = format!("unix:{}", sidecar.path.display());
    command.args(["token", "sales", "--viewer-id", "u-1", "--viewer-value", "emea", "--renew", "--url", &url]);
    command.env_clear();
    if geteuid().is_root() {
        command.uid(uid).gid(uid);
    }
    outcome(command)
}

#[test]
fn t6_a_token_is_handed_out_over_a_path_and_the_caller_is_a_user() {
    let vendor = Vendor::start();
    let sidecar = Socketed::start(&vendor, "");
    let reply = sidecar.renew("u-1");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let uid = format!("uid:{}", geteuid().as_raw());
    assert_eq!(sidecar.audit(1), [(uid, "miss".to_owned())]);
    // What is asked of every request is asked here, too.
    for (request, code) in [
        (request(TOKEN).replace("localhost", "evil.example"), "forbidden_host"),
        (request(TOKEN).replace("localhost", "localhost:80"), "forbidden_host"),
        (request(TOKEN).replace("Sidemint-Request: true\r\n", ""), "missing_request_header"),
        (request(TOKEN).replace("\r\n\r\n", "\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"), "forwarded_request"),
    ] {
        let reply = Wire::to_path(&sidecar.path).say(&request).reply().expect("an answer");
        assert_eq!((reply.status, reply.code().as_str()), (403, code), "{request}");
    }
}

#[test]
fn t6_the_token_command_asks_over_a_path() {
    let vendor = Vendor::start();
    let sidecar = Socketed::start(&vendor, "");
    let url = format!("unix:{}", sidecar.path.display());
    let asked = run(&words(&format!("token sales --viewer-id u-1 --viewer-value emea --renew --url {url}")), []);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let listen = [("SIDEMINT_LISTEN", format!("{url},127.0.0.1:1"))];
    let again = run(&words("token sales --viewer-id u-1 --viewer-value emea --renew"), listen);
    assert_eq!((again.code, &again.out), (Some(0), &asked.out), "{again:?}");
    let nobody = run(&words("token sales --viewer-id u-1 --url unix:/nowhere/api.sock"), []);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.err.contains("no sidecar answers at unix:/nowhere/api.sock"), "{nobody:?}");
    let relative = run(&words("token sales --viewer-id u-1 --url unix:api.sock"), []);
    assert_eq!(relative.code, Some(2), "{relative:?}");
}

/// Two users at one socket that both may open. Without root, one user in two sidecars.
#[test]
fn t6_one_user_is_let_in_and_another_is_not() {
    let vendor = Vendor::start();
    let (friend, stranger) = (65_534, 65_533);
    let me = geteuid().as_raw();
    let friends = if me == 0 { friend } else { me };
    let sidecar = Socketed::start(&vendor, &format!("unix_socket: {{mode: \"0666\", peer_uids: [{friends}]}}"));
    let asked = token_as(friend, &sidecar);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(asked.out.starts_with("eyJ"), "{asked:?}");
    assert_eq!(sidecar.audit(1), [(format!("uid:{friends}"), "miss".to_owned())]);
    if me == 0 {
        let refused = token_as(stranger, &sidecar);
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{refused:?}");
        assert_eq!(sidecar.audit(2)[1], (format!("uid:{stranger}"), "caller_unauthenticated".to_owned()));
    }
}

/// The file's mode alone, where no users are named.
#[test]
fn t6_the_mode_of_the_file_keeps_others_out() {
    let vendor = Vendor::start();
    let sidecar = Socketed::start(&vendor, "unix_socket: {mode: \"0600\"}");
    if geteuid().is_root() {
        let refused = token_as(65_534, &sidecar);
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{refused:?}");
        assert!(refused.err.contains("Permission denied"), "{refused:?}");
    }
    assert_eq!(sidecar.renew("u-1").status, 200);
}

/// Nothing that a stranger says is read, so there is nothing to be said wrongly: the connection is closed whether he
/// has said something or not.
#[test]
fn t6_a_stranger_is_turned_away_before_a_byte_is_read() {
    let vendor = Vendor::start();
    let me = geteuid().as_raw();
    let sidecar = Socketed::start(&vendor, &format!("unix_socket: {{peer_uids: [{}, {}]}}", me + 1, me + 2));
    let words = ["", "nonsense\r\n\r\n", &request("/openapi.json"), &request(TOKEN)];
    for words in words {
        let said = Wire::to_path(&sidecar.path).say(words).rest();
        assert_eq!(String::from_utf8_lossy(&said), "", "{words:?}");
    }
    let expected = (format!("uid:{me}"), "caller_unauthenticated".to_owned());
    assert_eq!(sidecar.audit(words.len()), vec![expected; words.len()]);
    let series = "sidemint_refused_requests_total{code=\"caller_unauthenticated\"}";
    assert_eq!(sidecar.metric(series), 4.0);
    assert_eq!(sidecar.metric("sidemint_refused_requests_total{code=\"malformed_request\"}"), 0.0);
}

#[test]
fn t6_a_drain_answers_what_came_over_a_path_and_then_takes_it_away() {
    let vendor = Vendor::start();
    let sidecar = Socketed::start(&vendor, "");
    vendor.inject(Fault { operation: "token_info".to_owned(), delay_ms: Some(2000), ..Fault::default() });
    let target = format!("{TOKEN}?viewer_id=u-1&purpose=renew");
    let mut wire = Wire::to_path(&sidecar.path);
    wire.say(request(&target));
    let deadline = std::time::Instant::now() + PATIENCE;
    while vendor.count(Operation::TokenInfo) == 0 {
        assert!(std::time::Instant::now() < deadline, "the vendor is not asked");
        std::thread::yield_now();
    }
    sidecar.process.signal(Signal::TERM);
    sidecar.process.err.says("stopping: no new work");
    let late = sidecar.get(&target).expect("newcomers are told");
    assert_eq!((late.status, late.code().as_str()), (503, "draining"));
    let reply = wire.reply().expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let Socketed { process, path, files: _files } = sidecar;
    assert_eq!(process.end(PATIENCE).code, Some(0));
    assert!(!path.exists(), "the file is gone");
}

/// Whichever loop takes a connection answers it, and neither keeps the socket open at the end.
#[test]
fn t6_two_loops_share_one_path() {
    let vendor = Vendor::start();
    let sidecar = Socketed::start(&vendor, "workers: 2");
    let mut wires: Vec<Wire> = (0..200).map(|_| Wire::to_path(&sidecar.path)).collect();
    for wire in &mut wires {
        wire.say(request("/openapi.json"));
    }
    for wire in &mut wires {
        assert_eq!(wire.reply().expect("an answer").status, 200);
    }
    sidecar.process.signal(Signal::TERM);
    assert_eq!(sidecar.process.end(PATIENCE).code, Some(0));
    assert!(UnixStream::connect(&sidecar.path).is_err() && !sidecar.path.exists());
}
