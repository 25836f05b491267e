//! A container, and what becomes of it.

use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::{both, podman, say};
use crate::support::secrecy;

/// What "restricted" of the Pod Security Standards and a read-only root come to in podman's words, and a swap that is not
/// there: the chart's container is no freer.
pub const RESTRICTED: [&str; 8] = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--user",
    "65532:65532",
];

/// Mounts that make a container of programs of this machine, and of one that is installed elsewhere.
pub fn host_system(prefix: &str) -> Vec<String> {
    let folders = ["/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache"];
    let there = folders.into_iter().filter(|folder| std::path::Path::new(folder).exists());
    let elsewhere = (!prefix.starts_with("/usr")).then_some(prefix);
    there.chain(elsewhere).flat_map(|folder| ["-v".to_owned(), format!("{folder}:{folder}:ro")]).collect()
}

/// A container that goes with its test. What it has said is searched then.
pub struct Container {
    pub name: String,
    /// To show a token is what some commands are for: of those, only what they say on stderr.
    pub is_for_tokens: bool,
}

impl Container {
    /// Starts one: these arguments of `podman run`, this image and command.
    #[track_caller]
    pub fn start<S: AsRef<str>>(arguments: impl IntoIterator<Item = S>) -> Container {
        let name = unique("container");
        let mut all = vec!["run".to_owned(), "-d".to_owned(), "--name".to_owned(), name.clone()];
        all.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        let container = Container { name, is_for_tokens: false };
        say(all);
        container
    }

    /// Runs a command in it, as an `exec` probe does.
    pub fn exec(&self, command: &[&str]) -> Output {
        podman(["exec", &self.name].iter().chain(command)).output().expect("podman can be run")
    }

    /// What `podman inspect` says of this.
    pub fn inspect(&self, format: &str) -> String {
        say(["inspect", "--format", format, &self.name])
    }

    /// The number of its process on this machine.
    pub fn pid(&self) -> u32 {
        self.inspect("{{.State.Pid}}").parse().expect("it runs")
    }

    /// Sends SIGTERM and does not wait.
    pub fn terminate(&self) {
        say(["kill", "--signal", "TERM", &self.name]);
    }

    /// The last line of its output, in JSON.
    #[track_caller]
    pub fn result(&self) -> Value {
        let logs = self.logs();
        let line = logs.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {logs}"))
    }

    /// SIGTERM, and SIGKILL if the grace period was not enough: what the kubelet does. Gives the exit code.
    pub fn stop(&self, grace_seconds: u32) -> i32 {
        say(["stop", "-t", &grace_seconds.to_string(), &self.name]);
        self.code()
    }

    /// Waits for its end. Gives the exit code.
    pub fn wait(&self) -> i32 {
        say(["wait", &self.name]).parse().expect("an exit code")
    }

    /// The code that it ended with.
    pub fn code(&self) -> i32 {
        self.inspect("{{.State.ExitCode}}").parse().expect("an exit code")
    }

    /// Whether it goes on.
    pub fn runs(&self) -> bool {
        self.inspect("{{.State.Running}}") == "true"
    }

    /// The most bytes of memory that the kernel has counted for it.
    pub fn most_memory(&self) -> u64 {
        let cgroups = std::fs::read_to_string(format!("/proc/{}/cgroup", self.pid())).expect("it lives");
        let find = |line: &str| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let file = match controllers {
                "memory" => format!("/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes"),
                "" => format!("/sys/fs/cgroup{path}/memory.peak"),
                _ => return None,
            };
            std::fs::read_to_string(file).ok()?.trim().parse().ok()
        };
        cgroups.lines().find_map(find).unwrap_or_default()
    }

    /// Whether it was killed for its memory.
    pub fn was_too_large(&self) -> bool {
        self.inspect("{{.State.OOMKilled}}") == "true"
    }

    /// All that it has said.
    pub fn logs(&self) -> String {
        both(&podman(["logs", &self.name]).output().expect("podman can be run"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let logs = podman(["logs", &self.name]).output();
        // Fails only where it was never made.
        let _ = podman(["rm", "-f", "-t", "0", &self.name]).output();
        let Ok(logs) = logs else { return };
        secrecy::nothing_in("stderr of a container", &logs.stderr);
        if !self.is_for_tokens {
            secrecy::nothing_in("stdout of a container", &logs.stdout);
        }
    }
}

/// A name that nothing else has.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("sidemint-test-{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
