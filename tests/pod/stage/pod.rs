//! A pod: containers with one localhost, and volumes that are swapped under them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::container::unique;
use super::{Container, RESTRICTED, image, metric, open_to_all, podman, say};
use crate::support::http::{Reply, send};
use crate::support::{python, secrecy};

/// A name that the vendor's certificate has, and that leads pods here.
pub const VENDOR: &str = "login.microsoftonline.com";
/// Where the chart has the admin port: on all addresses, alone.
const ADMIN: u16 = 8191;

/// Containers that share a network.
pub struct Pod {
    name: String,
    network: String,
    /// This machine, as seen from the pod.
    pub gateway: Ipv4Addr,
    /// The pod, as the kubelet sees it.
    pub address: Ipv4Addr,
}

impl Pod {
    /// An empty one.
    #[track_caller]
    pub fn start() -> Pod {
        let (name, network) = (unique("pod"), unique("network"));
        say(["network", "create", &network]);
        let gateway = say(["network", "inspect", "--format", "{{(index .Subnets 0).Gateway}}", &network]);
        let gateway = gateway.parse().expect("an address");
        let mut pod = Pod { name, network, gateway, address: Ipv4Addr::UNSPECIFIED };
        let host = format!("{VENDOR}:{gateway}");
        say(["pod", "create", "--name", &pod.name, "--share", "net", "--network", &pod.network, "--add-host", &host]);
        say(["pod", "start", &pod.name]);
        let infra = say(["pod", "inspect", "--format", "{{.InfraContainerID}}", &pod.name]);
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        pod.address = say(["inspect", "--format", address, &infra]).parse().expect("an address");
        pod
    }

    /// Starts a container of the image in a pod's network, not in the pod.
    #[track_caller]
    pub fn neighbour(&self, volumes: &[&Volume], more: &[&str], command: &[&str]) -> Container {
        let mut arguments = vec!["--network".to_owned(), self.network.clone()];
        arguments.extend(RESTRICTED.map(str::to_owned));
        arguments.extend(volumes.iter().flat_map(|volume| ["-v".to_owned(), volume.mount()]));
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        arguments.push(image().to_owned());
        arguments.extend(command.iter().map(|word| (*word).to_owned()));
        Container::start(arguments)
    }

    /// Starts the sidecar in it, as the chart does. More arguments of `podman run` come before the image's name.
    #[track_caller]
    pub fn sidecar(&self, memory: &str, volumes: &[&Volume], more: &[&str]) -> Container {
        let mut arguments = self.arguments(memory, volumes);
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        arguments.push(image().to_owned());
        let sidecar = Container::start(arguments);
        secrecy::ours(self.admin());
        sidecar
    }

    fn arguments(&self, memory: &str, volumes: &[&Volume]) -> Vec<String> {
        let mut arguments = vec!["--pod".to_owned(), self.name.clone()];
        arguments.extend(RESTRICTED.map(str::to_owned));
        for option in ["--memory", "--memory-swap"] {
            arguments.extend([option.to_owned(), memory.to_owned()]);
        }
        for (name, value) in
            [("SIDEMINT_CONFIG", "/etc/sidemint/config.yaml"), ("SIDEMINT_ADMIN_LISTEN", &format!("0.0.0.0:{ADMIN}"))]
        {
            arguments.extend(["-e".to_owned(), format!("{name}={value}")]);
        }
        arguments.extend(volumes.iter().flat_map(|volume| ["-v".to_owned(), volume.mount()]));
        arguments
    }

    /// Starts a container of the image that is no sidecar: an app that waits, or asks for a token to show it.
    #[track_caller]
    pub fn client(&self, volumes: &[&Volume], command: &[&str]) -> Container {
        let mut arguments = vec!["--pod".to_owned(), self.name.clone()];
        arguments.extend(RESTRICTED.map(str::to_owned));
        arguments.extend(volumes.iter().flat_map(|volume| ["-v".to_owned(), volume.mount()]));
        arguments.push(image().to_owned());
        arguments.extend(command.iter().map(|word| (*word).to_owned()));
        let mut client = Container::start(arguments);
        client.is_for_tokens = true;
        client
    }

    /// Starts an app that is written in Python: a program of tests/python, with the Python of this machine.
    #[track_caller]
    pub fn app(&self, program: &str, more: &[&str]) -> Container {
        let folder = super::root().join("tests/python");
        let mut ask = Command::new(python());
        let prefix = ask.args(["-c", "import sys; print(sys.base_prefix)"]).output().expect("Python runs").stdout;
        let prefix = String::from_utf8(prefix).expect("a path").trim().to_owned();
        let mut arguments = vec!["--pod".to_owned(), self.name.clone()];
        arguments.extend(super::host_system(&prefix));
        arguments.extend(["-v".to_owned(), format!("{}:/app:ro", folder.display())]);
        arguments.extend(["--entrypoint".to_owned(), format!("{prefix}/bin/python3"), image().to_owned()]);
        arguments.push(format!("/app/{program}"));
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        Container::start(arguments)
    }

    /// What podman knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The admin port, from outside.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), ADMIN)
    }

    /// A URL of the pod, as others of the cluster write it.
    pub fn url(&self, port: u16) -> String {
        format!("http://{}:{port}", self.address)
    }

    /// Whether something passes, even if nothing listens yet.
    pub fn is_up(&self, path: &str) -> bool {
        TcpStream::connect(self.admin()).is_ok() && self.look(path).status == 200
    }

    /// How many tokens the vendor has minted for it.
    pub fn mints(&self) -> f64 {
        let series = r#"sidemint_upstream_requests_total{operation="mint",outcome="ok",upstream="acme"}"#;
        metric(&self.look("/metrics").text(), series)
    }

    /// What the kubelet's `httpGet` probe, or Prometheus, is told.
    pub fn look(&self, path: &str) -> Reply {
        send(self.admin(), "GET", path, &[], "")
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        secrecy::no_longer_ours(self.admin());
        // Both fail only where they were never made.
        let _ = podman(["pod", "rm", "-f", "-t", "0", &self.name]).output();
        let _ = podman(["network", "rm", "-f", &self.network]).output();
    }
}

/// A volume as the kubelet makes it of a Secret or a ConfigMap: `name -> ..data/name`, `..data -> ..generation`; a new
/// content is a new generation and one rename of the link.
pub struct Volume {
    folder: TempDir,
    at: &'static str,
    mode: &'static str,
    files: BTreeMap<String, String>,
    generation: u32,
}

impl Volume {
    /// One with these files.
    pub fn new(files: &[(&str, &str)]) -> Volume {
        let folder = tempfile::tempdir().expect("a folder can be made");
        open_to_all(folder.path());
        let mut volume = Volume { folder, at: "", mode: "ro", files: BTreeMap::new(), generation: 0 };
        volume.publish(files);
        volume
    }

    /// An `emptyDir`: all may write to it, and what is made in it belongs to the pod's group, if that has one.
    pub fn shared(group: Option<u32>) -> Volume {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::os::unix::fs::chown(folder.path(), None, group).expect("root may");
        let all = std::fs::Permissions::from_mode(if group.is_some() { 0o2777 } else { 0o777 });
        std::fs::set_permissions(folder.path(), all).expect("our own folder");
        Volume { folder, at: "", mode: "rw", files: BTreeMap::new(), generation: 0 }
    }

    /// The same, mounted there.
    pub fn at(self, at: &'static str) -> Volume {
        Volume { at, ..self }
    }

    /// The path of something in it, outside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts one more file into it.
    pub fn add(&mut self, name: &str, text: &str) {
        self.publish(&[(name, text)]);
    }

    /// Puts these files in the place of those that have their names, all at once.
    pub fn publish(&mut self, files: &[(&str, &str)]) {
        let root = self.folder.path();
        for (name, text) in files {
            if self.files.insert((*name).to_owned(), (*text).to_owned()).is_none() {
                std::os::unix::fs::symlink(format!("..data/{name}"), root.join(name)).expect("a link can be made");
            }
        }
        let folder = format!("..{}", self.generation + 1);
        std::fs::create_dir(root.join(&folder)).expect("a new generation");
        open_to_all(&root.join(&folder));
        for (name, text) in &self.files {
            write(&root.join(&folder).join(name), text);
        }
        std::os::unix::fs::symlink(&folder, root.join("..data_tmp")).expect("a link can be made");
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).expect("a link can be moved");
        let old = root.join(format!("..{}", self.generation));
        if old.exists() {
            std::fs::remove_dir_all(old).expect("the old generation goes");
        }
        self.generation += 1;
    }

    /// The argument that mounts it.
    pub fn mount(&self) -> String {
        format!("{}:{}:{}", self.folder.path().display(), self.at, self.mode)
    }
}

fn write(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("our own file");
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml") => secrecy::said::config(text),
        Some(_) => (),
        None => secrecy::hide_secret("a secret in a volume", text),
    }
}
