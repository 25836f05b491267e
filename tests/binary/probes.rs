//! `token`, `wait` and `healthcheck`: commands that ask a running sidecar.

use serde_json::Value;
use sidemint::emulator::Fault;

use crate::support::{Process, Settings, Sidecar, Vendor, run, words};

/// An address where nobody listens: taken once, given back.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").to_string()
}

#[test]
fn token_prints_the_token_or_the_whole_reply() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    let url = format!("http://{}", sidecar.listen);
    let line = format!("token sales --viewer-id u-1 --viewer-value emea --url {url}");
    let plain = run(&words(&line), []);
    assert_eq!((plain.code, plain.err.as_str()), (Some(0), ""), "{plain:?}");
    assert_eq!(plain.out.trim().split('.').count(), 3, "a JWT and nothing else: {}", plain.out);
    // The address may come from the variable that `run` reads, too.
    let whole = run(
        &words("token sales --viewer-id u-1 --viewer-value emea --renew --json"),
        [("SIDEMINT_LISTEN", sidecar.listen.to_string())],
    );
    let reply: Value = serde_json::from_str(&whole.out).expect("the reply is JSON");
    assert_eq!(reply["access_token"], plain.out.trim());
    assert_eq!(reply["embed"]["dashboard_id"], vendor.dashboard());
}

#[test]
fn token_fails_with_the_reason() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor).ready();
    let url = format!("http://{}", sidecar.listen);
    for (line, code, says) in [
        (format!("token nothing --viewer-id u --url {url}"), 1, "unknown_embed"),
        (format!("token sales --viewer-id a@b.example --url {url}"), 1, "invalid_viewer"),
        (format!("token sales --viewer-id u --url http://{}", nobody()), 1, "no sidecar answers at 127.0.0.1"),
        ("token sales --viewer-id u --url nonsense".to_owned(), 2, "nonsense"),
        (format!("token sales --viewer-id u --url {}", vendor.url()), 1, "not as a sidecar does"),
    ] {
        let ended = run(&words(&line), []);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{line}: {ended:?}");
        assert!(ended.err.contains(says) && ended.err.lines().count() == 1, "{line}: {}", ended.err);
    }
}

#[test]
fn wait_and_healthcheck_are_fine_once_the_sidecar_has_started() {
    let vendor = Vendor::start();
    let sidecar = Sidecar::start(&vendor);
    let admin = || [("SIDEMINT_ADMIN_LISTEN", sidecar.admin.to_string())];
    let waited = run(&words("wait --timeout 20s"), admin());
    assert_eq!((waited.code, waited.out.as_str(), waited.err.as_str()), (Some(0), "", ""));
    assert_eq!(sidecar.look("/startupz").status, 200);
    assert_eq!(run(&["healthcheck"], admin()).code, Some(0));
}

/// The config file names the admin port, as for `run`.
#[test]
fn wait_begins_before_the_sidecar_does() {
    let vendor = Vendor::start();
    let admin = nobody();
    let settings = Settings::default();
    let files = crate::support::config::Files::new(&vendor, &settings);
    let text = files.text(&vendor, &settings);
    files.write(
        "config.yaml",
        &text.replace("admin: {listen: \"127.0.0.1:0\"", &format!("admin: {{listen: \"{admin}\"")),
    );
    let waiting = Process::start(&["wait", "--config", &files.config()], []);
    let health = run(&["healthcheck", "--config", &files.config()], []);
    assert_eq!(health.code, Some(1), "{health:?}");
    assert!(health.err.contains(&format!("no sidecar answers at {admin}")), "{}", health.err);
    let sidecar = Sidecar::of(files, &[]);
    let ended = waiting.end(crate::support::PATIENCE);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(run(&["healthcheck", "--config", &sidecar.files.config()], []).code, Some(0));
}

/// A credential that the vendor rejects is no start: a rollout stops at it.
#[test]
fn wait_gives_up_with_the_reason() {
    let vendor = Vendor::start();
    vendor.inject(Fault::status("service_token", 401));
    let sidecar = Sidecar::start(&vendor);
    let ended = run(&words("wait --timeout 500ms"), [("SIDEMINT_ADMIN_LISTEN", sidecar.admin.to_string())]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("not started within 0.5 s: waiting for the first service token"), "{}", ended.err);
    let ended = run(&words("wait --timeout 300ms"), [("SIDEMINT_ADMIN_LISTEN", nobody())]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("no sidecar answers at"), "{}", ended.err);
}
