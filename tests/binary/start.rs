//! Starts that fail: at once, with one sentence that names what is at fault.

use crate::support::config::Files;
use crate::support::process::Ended;
use crate::support::{Settings, Vendor, run};

fn start(files: &Files) -> Ended {
    run(&["run", "--config", &files.config()], [])
}

/// The one line that is no log line.
fn sentence(ended: &Ended) -> &str {
    let mut lines = ended.err.lines().filter(|line| line.starts_with("sidemint: "));
    let line = lines.next().unwrap_or_else(|| panic!("nothing was said: {ended:?}"));
    assert_eq!(lines.next(), None, "one sentence: {ended:?}");
    line
}

#[test]
fn a_taken_address_is_named() {
    let vendor = Vendor::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    for variable in ["SIDEMINT_LISTEN", "SIDEMINT_ADMIN_LISTEN"] {
        let files = Files::new(&vendor, &Settings::default());
        let ended = run(&["run", "--config", &files.config()], [(variable, address.clone())]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(sentence(&ended).contains(&format!("cannot listen on {address}")), "{ended:?}");
    }
    let ended = run(&["emulator", "--listen", &address], []);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(sentence(&ended).contains(&address), "{ended:?}");
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let vendor = Vendor::start();
    let files = Files::new(&vendor, &Settings::default());
    std::fs::remove_file(files.path("secret")).expect("it was there");
    let ended = start(&files);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = sentence(&ended);
    assert!(said.contains("upstreams.acme.auth"), "{said}");
    assert!(said.contains(&files.path("secret").display().to_string()), "{said}");
    files.write("secret", "\n");
    assert!(sentence(&start(&files)).contains("is empty"));
    let text = files.text(&vendor, &Settings::default());
    let file = format!("client_secret_file: {}", files.path("secret").display());
    files.write("config.yaml", &text.replace(&file, "client_secret_env: NOT_SET_ANYWHERE"));
    let ended = start(&files);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(sentence(&ended).contains("NOT_SET_ANYWHERE"), "{ended:?}");
    assert_eq!(vendor.asked(), 0);
}

/// Whoever reaches the port has tokens: beyond loopback that needs a secret.
#[test]
fn an_address_beyond_loopback_is_refused_without_a_caller_secret() {
    let vendor = Vendor::start();
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let files = Files::new(&vendor, &Settings::default());
        let ended = run(&["run", "--config", &files.config()], [("SIDEMINT_LISTEN", listen.to_owned())]);
        assert_eq!(ended.code, Some(2), "{listen}: {ended:?}");
        let said = sentence(&ended);
        assert!(said.contains("is not loopback") && said.contains("server.tls or server.caller_token_file"), "{said}");
    }
}

/// Nor is it one that whoever knows no secret sends.
#[test]
fn t7_a_caller_secret_that_everybody_sends_is_refused() {
    let vendor = Vendor::start();
    let files = Files::new(&vendor, &Settings::default());
    files.write("caller", "true\n");
    let text = files.text(&vendor, &Settings::default());
    let key = format!("server: {{caller_token_file: {}, ", files.path("caller").display());
    files.write("config.yaml", &text.replace("server: {", &key));
    let ended = start(&files);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(sentence(&ended).contains("server.caller_token: is `true`"), "{ended:?}");
}

#[test]
fn roots_of_trust_that_cannot_be_read_are_named() {
    let vendor = Vendor::with_tls();
    let files = Files::new(&vendor, &Settings::default());
    files.write("ca.pem", "this is no certificate");
    let upstream = format!("ca_file: {}", files.path("ca.pem").display());
    let text = files.text(&vendor, &Settings { upstream, ..Settings::default() });
    files.write("config.yaml", &text);
    let ended = start(&files);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(sentence(&ended).contains("ca.pem: holds no certificate"), "{ended:?}");
}
