//! `sidemint emulator`, and the way to a vendor over TLS and through a proxy.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::config::Files;
use crate::support::http::send;
use crate::support::{Process, Settings, Sidecar, Vendor, run, words};

/// What `sidemint emulator` says to put into one's environment.
fn exports(process: &Process) -> Vec<(&'static str, String)> {
    let names = ["DATABRICKS_HOST", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET", "DASHBOARD_ID", "WORKSPACE_ID"];
    names.map(|name| (name, process.out.line_after(&format!("export {name}=")))).into()
}

/// A config whose upstream trusts the vendor's own authority.
fn trusting(vendor: &Vendor) -> Files {
    let files = Files::new(vendor, &Settings::default());
    files.write("ca.pem", vendor.ca_pem().expect("it serves TLS"));
    let upstream = format!("ca_file: {}", files.path("ca.pem").display());
    files.write("config.yaml", &files.text(vendor, &Settings { upstream, ..Settings::default() }));
    files
}

#[test]
fn the_emulator_prints_what_a_sidecar_needs() {
    let emulator = Process::start(&words("emulator --listen 127.0.0.1:0"), []);
    let variables = exports(&emulator);
    let port = || "127.0.0.1:0".to_owned();
    let ports = [("SIDEMINT_LISTEN", port()), ("SIDEMINT_ADMIN_LISTEN", port())];
    let sidecar = Process::start(&["run"], variables.into_iter().chain(ports));
    let (listen, _) = crate::support::sidecar::addresses(&sidecar);
    let token = run(&words(&format!("token default --viewer-id u-1 --url http://{listen}")), []);
    assert_eq!(token.code, Some(0), "{token:?}");
    let host: SocketAddr = emulator.out.line_after("DATABRICKS_HOST=http://").parse().expect("an address");
    let journal = send(host, "GET", "/_emulator/requests", &[], "").json();
    assert_eq!(journal.as_array().map(Vec::len), Some(3), "service token, token info, mint: {journal}");
}

#[test]
fn the_emulator_with_tls_says_where_its_authority_is() {
    let emulator = Process::start(&words("emulator --tls --listen 127.0.0.1:0"), []);
    let host = emulator.out.line_after("export DATABRICKS_HOST=");
    assert!(host.starts_with("https://127.0.0.1:"), "{host}");
    assert_eq!(emulator.out.line_after("its authority"), format!("{host}/_emulator/ca.pem"));
}

#[test]
fn a_token_is_minted_through_tls() {
    let vendor = Vendor::with_tls();
    let sidecar = Sidecar::of(trusting(&vendor), &[]).ready();
    let reply = sidecar.renew("u-1");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.json()["embed"]["instance_url"].as_str().is_some_and(|url| url.starts_with("https://")));
}

/// T44: an authority that nobody here trusts gets no request, so no secret.
#[test]
fn without_its_authority_the_vendor_is_not_spoken_to() {
    let vendor = Vendor::with_tls();
    let sidecar = Sidecar::start(&vendor);
    let reply = sidecar.renew("u-1");
    assert!([502, 503].contains(&reply.status), "{}", reply.text());
    let detail = reply.json()["detail"].as_str().map(str::to_owned).unwrap_or_default();
    assert!(detail.contains("certificate") && detail.contains("ca_file"), "{detail}");
    assert!(
        sidecar
            .metric("sidemint_upstream_requests_total{operation=\"service_token\",outcome=\"tls\",upstream=\"acme\"}")
            > 0.0
    );
    let check = run(&["check", "--live", "--config", &sidecar.files.config()], []);
    assert_eq!(check.code, Some(1));
    let last = check.out.trim_end().lines().last().unwrap_or_default();
    assert!(last.starts_with("FAIL  TLS and HTTP: ") && last.contains("ca_file"), "{}", check.out);
    assert_eq!(vendor.asked(), 0);
}

/// A proxy that tunnels and remembers whereto.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        let accept = move || {
            for stream in listener.incoming().flatten() {
                let notes = Arc::clone(&notes);
                std::thread::spawn(move || tunnel(stream, &notes));
            }
        };
        std::thread::spawn(accept);
        Proxy { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no tunnel panics").clone()
    }
}

/// None where one of the two has gone.
fn tunnel(client: TcpStream, notes: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|length| *length > 0)?;
    }
    notes.lock().ok()?.push(head.clone());
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    let server = TcpStream::connect(target).ok()?;
    let (mut to_client, mut to_server) = (client, server.try_clone().ok()?);
    to_client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
    std::thread::spawn(move || std::io::copy(&mut reader, &mut to_server));
    std::io::copy(&mut &server, &mut to_client).ok().map(|_| ())
}

#[test]
fn https_proxy_is_used_and_sees_only_the_host() {
    let (vendor, proxy) = (Vendor::with_tls(), Proxy::start());
    let url = format!("http://user:word@{}", proxy.address);
    let sidecar = Sidecar::of(trusting(&vendor), &[("HTTPS_PROXY", url)]);
    assert_eq!(sidecar.renew("u-1").status, 200);
    let heads = proxy.asked();
    assert!(!heads.is_empty());
    for head in heads {
        assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1", vendor.addr())), "{head}");
        assert!(head.to_lowercase().contains("proxy-authorization: basic dxnlcjp3b3jk"), "{head}");
    }
    let config = sidecar.files.config();
    let check = run(&["check", "--live", "--config", &config], [("https_proxy", format!("http://{}", proxy.address))]);
    assert_eq!(check.code, Some(0), "{check:?}");
}

#[test]
fn no_proxy_and_plain_http_go_straight() {
    let (vendor, proxy) = (Vendor::with_tls(), Proxy::start());
    let variables = [("HTTPS_PROXY", format!("http://{}", proxy.address)), ("NO_PROXY", "127.0.0.1".to_owned())];
    let sidecar = Sidecar::of(trusting(&vendor), &variables);
    assert_eq!(sidecar.renew("u-1").status, 200);
    let plain = Vendor::start();
    let variables = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"].map(|name| (name, format!("http://{}", proxy.address)));
    let sidecar = Sidecar::of(Files::new(&plain, &Settings::default()), &variables);
    assert_eq!(sidecar.renew("u-1").status, 200);
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[test]
fn a_proxy_that_does_not_answer_is_told_apart() {
    let vendor = Vendor::with_tls();
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it is bound");
    let sidecar = Sidecar::of(trusting(&vendor), &[("HTTPS_PROXY", format!("http://{gone}"))]);
    let reply = sidecar.renew("u-1");
    assert_eq!((reply.status, reply.code().as_str()), (503, "upstream_unavailable"), "{}", reply.text());
    assert_eq!(vendor.asked(), 0);
}
