//! deploy/compose.yaml: an app and its sidecar without Kubernetes.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sidemint::emulator::Settings;

use crate::stage::{Volume, both, conf, config, image, podman, root, say, unique, until, vendor};
use crate::support::{python, tool};

/// The services of the file, with an app that is ours; they go with the test.
struct Services {
    project: String,
    config: Volume,
    secrets: Volume,
    folder: tempfile::TempDir,
}

impl Services {
    fn compose(&self, command: &[&str]) -> Output {
        let mut compose = Command::new(python());
        let programs = tool("SIDEMINT_TEST_PODMAN").canonicalize().expect("it was found");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders =
            programs.parent().map(std::path::Path::to_path_buf).into_iter().chain(std::env::split_paths(&path));
        compose
            .args(["-m", "podman_compose", "-p", &self.project, "-f"])
            .arg(root().join("deploy/compose.yaml"))
            .arg("-f")
            .arg(self.folder.path().join("app.yaml"))
            .args(command)
            .env("PATH", std::env::join_paths(folders).expect("paths"))
            .env("CONTAINERS_CONF", conf())
            .env("SIDEMINT_IMAGE", image())
            .env("APP_IMAGE", image())
            .env("APP_PORT", free_port().to_string())
            .env("SIDEMINT_CONFIG", self.config.path("config.yaml").canonicalize().expect("it was written"))
            .env("SIDEMINT_SECRETS", self.secrets.path(""));
        compose.output().expect("podman-compose can be run")
    }

    fn inspect(&self, service: &str) -> Value {
        let name = format!("{}_{service}_1", self.project);
        let all: Value = serde_json::from_str(&say(["inspect", &name])).expect("JSON");
        all[0].clone()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let down = self.compose(&["down", "-t", "0"]);
        assert!(down.status.success() || std::thread::panicking(), "{}", both(&down));
    }
}

/// A port of this machine that nobody listens on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

#[test]
fn an_app_finds_its_tokens_without_kubernetes() {
    let vendor = vendor(Settings::default());
    let host = format!("http://host.containers.internal:{}", vendor.addr().port());
    let (config, secrets) = config::of(&vendor, &format!("host: {host}, allow_insecure_http: true"), "");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let app = json!({"services": {"app": {"command": ["wait", "--timeout", "60s"], "restart": "no"}}});
    std::fs::write(folder.path().join("app.yaml"), app.to_string()).expect("a file can be written");
    let services = Services { project: unique("compose"), config, secrets, folder };
    let up = services.compose(&["up", "-d"]);
    assert!(up.status.success(), "{}", both(&up));
    until("the app has seen its sidecar start", || services.inspect("app")["State"]["Running"] == false);
    assert_eq!(services.inspect("app")["State"]["ExitCode"], 0);
    let sidecar = services.inspect("sidemint");
    let name = sidecar["Name"].as_str().expect("a name");
    let health = podman(["healthcheck", "run", name]).output().expect("podman runs");
    assert!(health.status.success(), "{}", both(&health));
    // On the localhost that the app has, too.
    let ask = ["exec", name, "sidemint", "token", "sales", "--viewer-id", "u-1"];
    let asked = podman(ask).output().expect("podman runs");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let host = &sidecar["HostConfig"];
    assert_eq!((&host["ReadonlyRootfs"], &sidecar["Config"]["User"]), (&json!(true), &json!("65532:65532")));
    assert_eq!(host["Memory"], json!(128 << 20));
    assert_eq!(sidecar["EffectiveCaps"].as_array().map_or(0, Vec::len), 0, "{}", sidecar["EffectiveCaps"]);
    assert!(host["SecurityOpt"].to_string().contains("no-new-privileges"), "{}", host["SecurityOpt"]);
    let ports = host["PortBindings"].as_object().expect("the app's");
    assert!(
        !ports.is_empty() && ports.keys().all(|port| !port.starts_with("819")),
        "tokens are for the app: {ports:?}"
    );
}
