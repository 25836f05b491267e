//! Threats 33 and 37: what a process finds around it, it does not use unless the config says so, and it leaves nothing.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use sidemint::emulator::{Fault, Operation};

use crate::support::config::Files;
use crate::support::process::LOUDEST;
use crate::support::sidecar::addresses;
use crate::support::{PATIENCE, Process, Settings, Sidecar, Vendor, secrecy};

/// A sidecar that stands in this folder, and takes it for its home and for all that is temporary.
fn inside(folder: &Path, files: Files, variables: &[(&str, String)]) -> Sidecar {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidemint"));
    command.args(["run", "--config", &files.config()]).current_dir(folder).env_clear();
    for name in ["HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
        command.env(name, folder);
    }
    command.env("SIDEMINT_LOG", LOUDEST).envs(variables.iter().map(|(name, value)| (name, value)));
    let process = Process::spawn(command);
    let (listen, admin) = addresses(&process);
    Sidecar { process, listen, admin, files }.ready()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("our own folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("our own folder").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A hit, a miss, a refusal, a vendor's fault, a new config and a stop.
fn a_life_of(sidecar: Sidecar, vendor: &Vendor) {
    for (viewer, status) in [("u-4741-one", 200), ("u-4741-one", 200), ("u-4741-two", 200), ("u:4741", 422)] {
        let reply = sidecar.renew(viewer);
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    vendor.revoke_tokens();
    vendor.inject(Fault::status("mint", 403).times(1));
    assert_eq!(sidecar.renew("u-4741-three").status, 502);
    sidecar.process.signal(Signal::HUP);
    sidecar.process.err.says("the new config is in place");
    assert_eq!(sidecar.look("/status").status, 200);
    sidecar.process.signal(Signal::TERM);
    assert_eq!(sidecar.process.end(PATIENCE).code, Some(0));
}

/// TLS, so that there are keys to be logged.
#[test]
fn t33_t37_nothing_is_written_anywhere_not_even_the_keys_of_tls() {
    let vendor = Vendor::with_tls();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let files = Files::new(&vendor, &Settings::default());
    files.write("ca.pem", vendor.ca_pem().expect("it serves TLS"));
    let upstream = format!("ca_file: {}", files.path("ca.pem").display());
    files.write("config.yaml", &files.text(&vendor, &Settings { upstream, ..Settings::default() }));
    let own = names(&files.path(""));
    let config = files.path("");
    let keys = [("SSLKEYLOGFILE", folder.path().join("keys").display().to_string())];
    let sidecar = inside(folder.path(), files, &keys);
    assert_eq!(names(&config), own, "beside the config");
    a_life_of(sidecar, &vendor);
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

/// A proxy is for `https` upstreams, as the contract says: what goes to this machine itself in the clear goes straight.
/// A password that lies in the home of whoever starts it is none of the config's.
#[test]
fn t37_a_proxy_and_a_password_of_the_surroundings_are_not_used() {
    const NETRC: &str = "netrc-canary-4742-password";
    secrecy::hide_secret("the password of a .netrc", NETRC);
    let vendor = Vendor::start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let lines =
        format!("machine 127.0.0.1 login netrc-canary-4743 password {NETRC}\ndefault login x password {NETRC}\n");
    std::fs::write(folder.path().join(".netrc"), lines).expect("a file can be written");
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    proxy.set_nonblocking(true).expect("a listener can be asked in passing");
    let url = format!("http://{}", proxy.local_addr().expect("it is bound"));
    let names_of_proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let mut variables = names_of_proxies.map(|name| (name, url.clone())).to_vec();
    variables.push(("NETRC", folder.path().join(".netrc").display().to_string()));
    let sidecar = inside(folder.path(), Files::new(&vendor, &Settings::default()), &variables);
    a_life_of(sidecar, &vendor);
    let waiting = proxy.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(waiting, Err(std::io::ErrorKind::WouldBlock), "somebody came to the proxy");
    let journal = vendor.journal();
    let of_tokens = journal.iter().filter(|entry| entry.operation == Operation::ServiceToken);
    assert!(of_tokens.clone().count() >= 2 && of_tokens.clone().all(|entry| entry.status == Some(200)), "{journal:?}");
    assert_eq!(names(folder.path()), [".netrc"]);
}

/// The net under all these tests: a process of this name is caught, whatever it says and however it ends.
#[test]
fn t33_what_a_process_says_is_caught_on_both_outputs() {
    secrecy::hide("the viewer of the net's own test", "net-4744-viewer");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let name = folder.path().join("sidemint");
    std::os::unix::fs::symlink("/bin/sh", &name).expect("a link can be made");
    let says = |script: &str| {
        let mut command = Command::new(&name);
        command.args(["-c", script]).env_clear();
        Process::spawn(command)
    };
    let fails = |test: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).is_err();
    assert!(!fails(&|| drop(says("echo nothing").end(PATIENCE))));
    for script in
        ["echo net-4744-viewer", "echo net-4744-viewer >&2", "echo net-4744-viewer | od -An -tx1 | tr -d ' ' >&2"]
    {
        assert!(fails(&|| drop(says(script).end(PATIENCE))), "{script}");
    }
    // Killed in the middle of its life, as most of the sidecars here are.
    let killed = || {
        let process = says("echo net-4744-viewer >&2; exec sleep 60");
        process.err.says("viewer");
    };
    assert!(fails(&killed));
}
