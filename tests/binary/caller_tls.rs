//! T3 and T44, the callers' side: TLS on the token port, and who may come in.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use sidemint::emulator::{Fault, Operation};

use crate::support::authority::{Authority, Issued, TlsClient};
use crate::support::config::Files;
use crate::support::http::{Reply, Wire, request, send};
use crate::support::sidecar::{PROOF, TOKEN};
use crate::support::{PATIENCE, Settings, Sidecar, Vendor, run, words};

/// A config whose token port shows this certificate, and asks for one of `clients` if that is given.
pub fn files(vendor: &Vendor, server: &Issued, clients: Option<&Authority>, listen: &str) -> Files {
    let files = Files::new(vendor, &Settings::default());
    files.write("tls.crt", &server.certificate);
    files.write("tls.key", &server.key);
    let path = |name: &str| files.path(name).display().to_string();
    let mut tls = format!("cert_file: {}, key_file: {}", path("tls.crt"), path("tls.key"));
    if let Some(clients) = clients {
        files.write("clients.crt", &clients.pem());
        tls += &format!(", client_ca_file: {}", path("clients.crt"));
    }
    let text = files.text(vendor, &Settings::default());
    let own = "listen: \"127.0.0.1:0\"";
    files.write("config.yaml", &text.replacen(own, &format!("listen: \"{listen}\", tls: {{{tls}}}"), 1));
    files
}

fn start(vendor: &Vendor, server: &Issued, clients: Option<&Authority>) -> Sidecar {
    Sidecar::of(files(vendor, server, clients, "127.0.0.1:0"), &[]).ready()
}

/// A hit or a mint, over a connection of its own; none where the handshake fails.
pub fn ask(client: &TlsClient, address: SocketAddr) -> Option<Reply> {
    let target = format!("{TOKEN}?viewer_id=u-1&purpose=renew");
    client.to(address).say(request(address, "GET", &target, &[PROOF], "")).reply()
}

fn callers(sidecar: &Sidecar, count: usize) -> Vec<Value> {
    sidecar.process.err.find("so many audit lines", |text| {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let audit: Vec<Value> = lines.filter(|line| line["target"] == "audit").collect();
        (audit.len() >= count).then_some(audit)
    })
}

#[test]
fn t44_tls_1_2_and_1_3_are_spoken_and_only_http_1_1_above_them() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let sidecar = start(&vendor, &authority.server(), None);
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::new(&authority, &[version], None);
        assert_eq!(ask(&client, sidecar.listen).map(|reply| reply.status), Some(200), "{version:?}");
    }
    let offering = |names: &[&str]| ask(&TlsClient::of(&authority).offering(names), sidecar.listen);
    assert_eq!(offering(&["h2", "http/1.1"]).map(|reply| reply.status), Some(200));
    assert!(offering(&["h2"]).is_none());
    // A caller who knows another authority does not speak to us.
    assert!(ask(&TlsClient::of(&Authority::new("theirs")), sidecar.listen).is_none());
    let lines = callers(&sidecar, 3);
    assert!(lines.iter().all(|line| line["caller"] == "127.0.0.1" && line.get("caller_certificate").is_none()));
    // The admin port is for kubelet and Prometheus, and stays as it is.
    assert_eq!(sidecar.look("/readyz").status, 200);
}

/// The first words of a client that knows nothing newer than this version (RFC 5246 section 7.4.1.2): all else in it is
/// what TLS 1.2 wants.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let prefixed = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
    let suites = [0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x09, 0xc0, 0x13];
    let extension = |kind: u8, content: &[u8]| [&[0, kind], prefixed(content).as_slice()].concat();
    let groups = extension(10, &prefixed(&[0x00, 0x1d, 0x00, 0x17]));
    let formats = extension(11, &[1, 0]);
    let signatures = extension(13, &prefixed(&[0x04, 0x03, 0x08, 0x04, 0x04, 0x01]));
    let extensions = prefixed(&[groups, formats, signatures].concat());
    let body = [&version, &[7; 32][..], &[0], &prefixed(&suites), &[1, 0], &extensions].concat();
    let handshake = [&[1, 0], prefixed(&body).as_slice()].concat();
    [&[22, 3, 1], prefixed(&handshake).as_slice()].concat()
}

#[test]
fn t44_older_versions_and_plain_http_are_refused() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let files = files(&vendor, &authority.server(), None, "127.0.0.1:0");
    let text = std::fs::read_to_string(files.config()).expect("it was written");
    files.write("config.yaml", &text.replacen("log: {}", "log: {level: \"info,sidemint::edge=debug\"}", 1));
    let sidecar = Sidecar::of(files, &[]).ready();
    vendor.clear_journal();
    for version in [[3, 0], [3, 1], [3, 2]] {
        let said = Wire::to(sidecar.listen).say(hello(version)).rest();
        // One fatal alert: protocol_version (RFC 8446 section 6.2).
        assert_eq!((said.first(), said.get(5..)), (Some(&21), Some(&[2, 70][..])), "{version:?}: {said:?}");
    }
    let plain = request(sidecar.listen, "GET", &format!("{TOKEN}?viewer_id=u-canary"), &[PROOF], "");
    let said = Wire::to(sidecar.listen).say(plain).rest();
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{said:?}");
    assert_eq!(vendor.asked(), 0);
    let said = Wire::to(sidecar.listen).say(hello([3, 3])).byte();
    assert_eq!(said, Some(22), "the same with TLS 1.2 is answered by a handshake");
    let lines = sidecar.process.err.find("five failures", |text| {
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let failed = |line: &&Value| line.to_string().contains("handshake");
        let failed: Vec<Value> = lines.iter().filter(failed).cloned().collect();
        (failed.len() == 5).then_some(failed)
    });
    for line in lines {
        let mut keys: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!((keys, line["level"].as_str()), (vec!["level", "message", "target", "timestamp"], Some("DEBUG")));
    }
    let said = sidecar.process.err.text();
    assert!(!said.contains("u-canary") && !said.contains("\"audit\""), "{said}");
}

#[test]
fn t3_a_client_certificate_is_asked_for_and_named_in_the_audit_trail() {
    let (vendor, authority, clients) = (Vendor::start(), Authority::new("ours"), Authority::new("clients"));
    let sidecar = start(&vendor, &authority.server(), Some(&clients));
    vendor.clear_journal();
    let foreign = Authority::new("clients").client("app");
    // A server's certificate is no client's.
    let of_a_server = clients.server();
    let expired = clients.expired_client();
    for version in [&TLS12, &TLS13] {
        for shows in [None, Some(&foreign), Some(&expired), Some(&of_a_server)] {
            let reply = ask(&TlsClient::new(&authority, &[version], shows), sidecar.listen);
            assert!(reply.is_none(), "{version:?}: {reply:?}");
        }
    }
    assert_eq!(vendor.asked(), 0);
    let refused = r#"sidemint_refused_requests_total{code="caller_unauthenticated"}"#;
    assert_eq!(sidecar.metric(refused), 8.0, "each is counted");
    sidecar.process.err.find("each is a line of the trail", |text| {
        let refused = text.lines().filter(|line| line.contains("\"caller_unauthenticated\"")).count();
        (refused == 8).then_some(())
    });
    let (app, other) = (clients.client("app"), clients.client("other"));
    let versions: [&[&'static rustls::SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];
    for issued in [&app, &other] {
        for versions in versions {
            let client = TlsClient::new(&authority, versions, Some(issued));
            for _ in 0..2 {
                assert_eq!(ask(&client, sidecar.listen).map(|reply| reply.status), Some(200));
            }
        }
    }
    let lines = callers(&sidecar, 16).split_off(8);
    let shown: Vec<_> = lines.iter().map(|line| line["caller_certificate"].as_str().unwrap_or("-")).collect();
    let expected = [[app.fingerprint.as_str(); 4], [other.fingerprint.as_str(); 4]].concat();
    assert_eq!(shown, expected);
    assert!(lines.iter().all(|line| line["caller"] == "127.0.0.1"));
}

/// Who resumes a session shows no certificate, which may have expired since: where one is asked for, nobody does.
#[test]
fn t3_a_session_does_not_outlive_the_certificate_that_began_it() {
    let (vendor, authority, clients) = (Vendor::start(), Authority::new("ours"), Authority::new("clients"));
    let versions: [&[&'static rustls::SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];
    for (clients, again) in [(None, HandshakeKind::Resumed), (Some(&clients), HandshakeKind::Full)] {
        let sidecar = start(&vendor, &authority.server(), clients);
        let issued = clients.map(|clients| clients.client("app"));
        for versions in versions {
            let client = TlsClient::new(&authority, versions, issued.as_ref());
            let bytes = request(sidecar.listen, "GET", "/openapi.json", &[PROOF], "");
            let kinds = [(); 2].map(|()| client.handshake(sidecar.listen, &bytes));
            assert_eq!(kinds, [Some(HandshakeKind::Full), Some(again)], "{versions:?}");
        }
    }
}

/// T3: beyond loopback, TLS alone is enough to start, and not enough to be silent about.
#[test]
fn t3_beyond_loopback_something_must_be_proved() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let caution = "whoever reaches the port can have tokens";
    for (clients, is_open) in [(None, true), (Some(&authority), false)] {
        let files = files(&vendor, &authority.server(), clients, "0.0.0.0:0");
        let checked = run(&["check", "--config", &files.config()], []);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert_eq!(
            checked.out.lines().filter(|line| line.starts_with("warn") && line.contains(caution)).count(),
            usize::from(is_open)
        );
        let sidecar = Sidecar::of(files, &[]);
        let listen = SocketAddr::from(([127, 0, 0, 1], sidecar.listen.port()));
        let shows = clients.map(|clients| clients.client("app"));
        let client = TlsClient::new(&authority, rustls::ALL_VERSIONS, shows.as_ref());
        assert_eq!(ask(&client, listen).map(|reply| reply.status), Some(200));
        let warned = sidecar.process.err.text().matches(caution).count();
        assert_eq!(warned, usize::from(is_open));
    }
    let bare = Files::new(&vendor, &Settings::default());
    let text = std::fs::read_to_string(bare.config()).expect("it was written");
    bare.write("config.yaml", &text.replacen("127.0.0.1:0", "0.0.0.0:0", 1));
    let ended = run(&["run", "--config", &bare.config()], []);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("server.tls or server.caller_token_file must be set"), "{ended:?}");
}

/// Somebody who connects and says nothing is in nobody's way, and does not stay. One after the other, these would take
/// longer than anybody waits here.
#[test]
fn t44_a_handshake_that_does_not_come_holds_up_nobody() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let files = files(&vendor, &authority.server(), None, "127.0.0.1:0");
    let text = std::fs::read_to_string(files.config()).expect("it was written");
    files.write("config.yaml", &text.replacen("tls: {", "header_timeout: 3s, tls: {", 1));
    let sidecar = Sidecar::of(files, &[]).ready();
    let silent: Vec<Wire> = (0..20).map(|_| Wire::to(sidecar.listen)).collect();
    assert_eq!(ask(&TlsClient::of(&authority), sidecar.listen).map(|reply| reply.status), Some(200));
    for mut wire in silent {
        assert!(wire.rest().is_empty());
    }
}

#[test]
fn t44_a_drain_answers_what_came_over_tls_and_waits_for_no_handshake() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let sidecar = start(&vendor, &authority.server(), None);
    let _silent = TcpStream::connect(sidecar.listen).expect("it listens");
    vendor.inject(Fault { operation: "token_info".to_owned(), delay_ms: Some(1500), ..Fault::default() });
    let mut wire = TlsClient::of(&authority).to(sidecar.listen);
    let target = format!("{TOKEN}?viewer_id=u-1&purpose=renew");
    wire.say(request(sidecar.listen, "GET", &target, &[PROOF], ""));
    let deadline = std::time::Instant::now() + PATIENCE;
    while vendor.count(Operation::TokenInfo) == 0 {
        assert!(std::time::Instant::now() < deadline, "the vendor is not asked");
        std::thread::yield_now();
    }
    sidecar.process.signal(Signal::TERM);
    sidecar.process.err.says("stopping: no new work");
    let late = ask(&TlsClient::of(&authority), sidecar.listen).expect("newcomers are told");
    assert_eq!((late.status, late.code().as_str()), (503, "draining"));
    assert_eq!(wire.reply().expect("an answer").status, 200);
    let begin = std::time::Instant::now();
    assert_eq!(sidecar.process.end(PATIENCE).code, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
}

#[test]
fn t44_the_token_command_asks_over_tls_and_trusts_whom_it_is_told() {
    let (vendor, authority) = (Vendor::start(), Authority::new("ours"));
    let sidecar = start(&vendor, &authority.server(), None);
    let (ours, theirs) = (sidecar.files.path("ours.pem"), sidecar.files.path("theirs.pem"));
    sidecar.files.write("ours.pem", &authority.pem());
    sidecar.files.write("theirs.pem", &Authority::new("theirs").pem());
    let ask = |ca: &std::path::Path| {
        let line = format!("token sales --viewer-id u-1 --viewer-value emea --renew --url https://{}", sidecar.listen);
        run(&words(&format!("{line} --ca-file {}", ca.display())), [])
    };
    let asked = ask(&ours);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(asked.out.starts_with("eyJ"), "{asked:?}");
    for wrong in [&theirs, &sidecar.files.path("nowhere.pem")] {
        let refused = ask(wrong);
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{refused:?}");
    }
    assert!(send(sidecar.admin, "GET", "/livez", &[], "").status == 200);
    assert_eq!(callers(&sidecar, 1).len(), 1);
}
