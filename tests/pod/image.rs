//! What is in the image, and what it needs to run: next to nothing.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use sidemint::emulator::Settings;

use crate::stage::{Pod, both, config, image, podman, root, say, until, vendor};
use crate::support::python;

/// The contract's bound: 15 MiB.
const LARGEST: u64 = 15 << 20;

#[test]
fn the_image_is_one_binary_its_licence_and_the_roots() {
    let size: u64 = say(["image", "inspect", "--format", "{{.Size}}", image()]).parse().expect("a number");
    assert!(size < LARGEST, "{size} bytes");
    let is = |format: &str| say(["image", "inspect", "--format", format, image()]);
    assert_eq!(is("{{.Config.User}}"), "65532:65532", "a number: Kubernetes cannot look a name up");
    assert_eq!([is("{{.Config.Entrypoint}}"), is("{{.Config.Cmd}}")], ["[sidemint]", "[run]"]);
    assert_eq!(is(r#"{{index .Labels "org.opencontainers.image.version"}}"#), env!("CARGO_PKG_VERSION"));
    let folder = tempfile::tempdir().expect("a folder can be made");
    let archive = folder.path().join("image.tar");
    let never_run = say(["create", image()]);
    say(["export", "-o", &archive.display().to_string(), &never_run]);
    say(["rm", &never_run]);
    let mut list = Command::new("tar");
    list.arg("-tf").arg(&archive);
    let names = String::from_utf8(list.output().expect("tar runs").stdout).expect("names are text");
    let mut files: Vec<&str> = names.lines().filter(|name| !name.ends_with('/')).collect();
    files.sort_unstable();
    assert_eq!(
        files,
        ["etc/ssl/certs/ca-certificates.crt", "usr/local/bin/sidemint", "usr/share/doc/sidemint/LICENSE"]
    );
}

/// The second file needs an image of Rust's that a test cannot count on, so it is read and not built.
#[test]
fn both_files_of_the_image_are_well_formed_and_make_the_same() {
    let files = ["deploy/Dockerfile", "deploy/Dockerfile.build"].map(|file| root().join(file));
    let hadolint = python().with_file_name("hadolint");
    let read = Command::new(hadolint).args(&files).output().expect("tests/requirements.txt brings hadolint");
    assert!(read.status.success(), "{}", both(&read));
    let last_stage = |file: &PathBuf| -> Vec<String> {
        let text = std::fs::read_to_string(file).expect("it is there");
        let (_, stage) = text.rsplit_once("FROM scratch\n").expect("the last stage begins with nothing");
        let same =
            |line: &&str| ["LABEL", "  ", "ENV", "USER", "ENTRYPOINT", "CMD"].iter().any(|word| line.starts_with(word));
        stage.lines().filter(same).map(str::to_owned).collect()
    };
    let [first, second] = files.each_ref().map(last_stage);
    assert_eq!(first, second);
    assert!(first.contains(&"USER 65532:65532".to_owned()), "{first:?}");
    let version = format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"));
    assert!(files.iter().all(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&version))));
}

/// It is made outside of the container, so what it is linked to would be missing inside, and what it is made from would be
/// this machine's.
#[test]
fn the_binary_stands_alone_and_says_nothing_of_where_it_was_built() {
    image();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let copy = folder.path().join("sidemint");
    let never_run = say(["create", image()]);
    say(["cp", &format!("{never_run}:/usr/local/bin/sidemint"), &copy.display().to_string()]);
    say(["rm", &never_run]);
    let binary = std::fs::read(&copy).expect("it was copied");
    assert!(!has(&binary, b"/lib64/ld-linux") && !has(&binary, b"/lib/ld-linux"), "it asks for a loader");
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME")).expect("cargo has a home");
    for place in [root().display().to_string(), home] {
        assert!(!has(&binary, format!("{place}/").as_bytes()), "it names {place}");
    }
    let emulator = podman(["run", "--rm", image(), "emulator"]).output().expect("podman runs");
    assert_eq!(emulator.status.code(), Some(2), "fake vendors have no place in production");
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// The kernel's own word on what the process may do, not podman's.
#[test]
fn it_runs_as_nobody_with_nothing() {
    let (pod, vendor) = (Pod::start(), vendor(Settings::default()));
    let (config, secret) = config::databricks(&pod, &vendor, "");
    let sidecar = pod.sidecar("32m", &[&config, &secret], &[]);
    until("it has started", || pod.is_up("/startupz"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.pid())).expect("it lives");
    let is = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("the kernel says so").split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!([is("Uid"), is("Gid")], [["65532"; 4], ["65532"; 4]]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(is(set), ["0000000000000000"], "{set}");
    }
    assert_eq!([is("NoNewPrivs"), is("Seccomp")], [["1"], ["2"]], "no way up, and a filter");
    // Probes without a shell.
    for probe in [&["sidemint", "healthcheck"][..], &["sidemint", "wait", "--timeout", "5s"]] {
        let probed = sidecar.exec(probe);
        assert!(probed.status.success(), "{probe:?}: {}", both(&probed));
    }
    let shell = sidecar.exec(&["sh", "-c", "true"]);
    assert!(!shell.status.success(), "there is no shell");
    let begin = Instant::now();
    assert_eq!(sidecar.stop(30), 0, "{}", sidecar.logs());
    assert!(begin.elapsed() < Duration::from_secs(10), "within the grace period: {:?}", begin.elapsed());
    let written = say(["diff", &sidecar.name]);
    let own = |line: &&str| !["/etc", "/var", "/run"].iter().any(|made| line.contains(made));
    assert_eq!(written.lines().filter(own).collect::<Vec<_>>(), Vec::<&str>::new(), "nothing was written");
}

/// Names are looked up and certificates checked without one file of a distribution: glibc is in the binary.
#[test]
fn names_and_certificates_work_from_scratch() {
    let (pod, vendor) = (Pod::start(), vendor(Settings { tls: true, ..Settings::default() }));
    let (config, secret) = config::databricks_over_tls(&vendor);
    let command = ["check", "--live", "--config", "/etc/sidemint/config.yaml"];
    let check = pod.client(&[&config, &secret], &command);
    assert_eq!(check.wait(), 0, "{}", check.logs());
    let (mut stranger, secret) = config::databricks_over_tls(&vendor);
    stranger
        .publish(&[("ca.pem", &std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").expect("Debian has it"))]);
    let check = pod.client(&[&stranger, &secret], &command);
    assert_eq!(check.wait(), 1, "the vendor's authority is nobody that the world knows: {}", check.logs());
}

/// As the chart's gateway: one sidecar for many pods, behind the name of a service, with a secret of the callers.
#[test]
fn a_gateway_is_found_by_its_name() {
    let (pod, vendor) = (Pod::start(), vendor(Settings::default()));
    let server = "server: {listen: '0.0.0.0:8190', caller_token_file: /var/run/secrets/sidemint/callers, \
                  allowed_hosts: [tokens]}";
    let (config, mut secret) = config::databricks(&pod, &vendor, server);
    secret.add("callers", "the-word-of-the-callers-7qzx");
    let name = ["--network-alias", "tokens", "-e", "SIDEMINT_CONFIG=/etc/sidemint/config.yaml"];
    let gateway = pod.neighbour(&[&config, &secret], &name, &["run"]);
    until("it has started", || gateway.exec(&["sidemint", "wait", "--timeout", "1s"]).status.success());
    let ask = ["token", "sales", "--viewer-id", "u-1", "--url", "http://tokens:8190"];
    let known = ["--caller-token-file", "/var/run/secrets/sidemint/callers"];
    let guest = pod.client(&[&secret], &[&ask[..], &known].concat());
    assert_eq!(guest.wait(), 0, "{}", guest.logs());
    let stranger = pod.client(&[&secret], &ask);
    assert_eq!(stranger.wait(), 1, "{}", stranger.logs());
    assert_eq!(gateway.stop(30), 0);
}
