//! What a scene in a pod needs: the image, containers that do not outlive it, and a vendor that they can reach.

pub mod config;
mod container;
mod kubelet;
mod pod;

pub use container::{Container, RESTRICTED, host_system, unique};
pub use kubelet::Kubelet;
pub use pod::{Pod, Volume};

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Instant;

use rustix::process::geteuid;
use sidemint::emulator::Settings;

use crate::support::{PATIENCE, Vendor, tool};

/// What the image is called here: not what somebody's own build is.
const NAME: &str = concat!("localhost/sidemint-test:", env!("CARGO_PKG_VERSION"));

/// The image of this working tree, built once by the script that a release is built with.
pub fn image() -> &'static str {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        assert!(
            geteuid().is_root(),
            "these tests need root: a kubelet's probes come from outside, by the pod's address"
        );
        let mut command = Command::new(root().join("scripts/image"));
        let built = command.arg(NAME).env("CONTAINERS_CONF", conf()).output().expect("scripts/image can be run");
        assert!(built.status.success(), "scripts/image: {}", String::from_utf8_lossy(&built.stderr));
    });
    NAME
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What podman needs to know of this machine.
pub fn conf() -> PathBuf {
    tool("SIDEMINT_TEST_CONTAINERS_CONF").canonicalize().expect("it was found")
}

/// A command of podman.
pub fn podman<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(tool("SIDEMINT_TEST_PODMAN"));
    command.args(arguments).env("CONTAINERS_CONF", conf());
    command
}

/// What a command of podman says, which has to succeed.
#[track_caller]
pub fn say<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let mut command = podman(arguments);
    let output = command.output().expect("podman can be run");
    assert!(output.status.success(), "{command:?}: {}", both(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Both outputs of a command.
pub fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A vendor that pods can reach, on every address of this machine.
pub fn vendor(settings: Settings) -> Vendor {
    Vendor::with(Settings { listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), ..settings })
}

/// Its address as a pod knows it.
pub fn seen_from(pod: &Pod, vendor: &Vendor) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(pod.gateway), vendor.addr().port())
}

/// Looks again and again until something is so.
#[track_caller]
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "never so: {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

/// A number of a scrape; 0 if the series is not there.
pub fn metric(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.trim().parse().expect("a metric is a number"))
}

/// Lets other users read what is in a folder of a test.
pub fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("our own folder");
}
