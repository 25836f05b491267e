//! The programs that the tests run, and where things are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// Below the top of the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

pub fn read(relative: &str) -> String {
    let path = path(relative);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `.cargo/config.toml` names.
fn tool(variable: &str) -> PathBuf {
    let path = PathBuf::from(std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set")));
    assert!(path.exists(), "{variable}: {} is missing: run scripts/setup", path.display());
    path
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helm {
    Three,
    Four,
}

pub const HELMS: [Helm; 2] = [Helm::Three, Helm::Four];

impl Helm {
    /// Without settings or plugins of whoever runs the tests.
    pub fn command(self) -> Command {
        let name = if self == Helm::Three { "SIDEMINT_TEST_HELM3" } else { "SIDEMINT_TEST_HELM" };
        let mut command = Command::new(tool(name));
        command.env_clear().env("HOME", scratch("home"));
        // It lives for a moment: to collect its garbage takes longer than its work.
        command.env("GOGC", "off");
        command
    }

    pub fn template(self, chart: &Path, values: &Path, kubernetes: &str) -> Output {
        let mut command = self.command();
        command.args(["template", "rel"]).arg(chart).args(["--namespace", "apps", "--kube-version", kubernetes]);
        output(command.arg("--values").arg(values))
    }

    pub fn lint(self, chart: &Path, values: &Path) -> Output {
        output(self.command().args(["lint", "--strict"]).arg(chart).arg("--values").arg(values))
    }
}

pub fn kubectl() -> Command {
    Command::new(tool("SIDEMINT_TEST_KUBECTL"))
}

pub fn promtool() -> Command {
    Command::new(tool("SIDEMINT_TEST_PROMTOOL"))
}

/// The schemas of Prometheus' resources, by node.
pub fn node() -> Command {
    let mut command = Command::new(tool("SIDEMINT_TEST_NODE"));
    command.arg(path("tests/chart/resources/validate.cjs")).arg(tool("SIDEMINT_TEST_CHART_RESOURCES"));
    command
}

pub fn python() -> Command {
    Command::new(tool("SIDEMINT_TEST_PYTHON"))
}

pub fn sidemint() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidemint"));
    command.env_clear();
    command
}

pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// With something on its standard input.
pub fn fed(command: &mut Command, input: &Value) -> Output {
    let file = write("input.json", &input.to_string());
    let file = std::fs::File::open(file).expect("what was just written");
    command.stdin(file).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Its standard output; a failure of it is one of the test.
pub fn good(output: &Output, about: &str) -> String {
    assert!(output.status.success(), "{about}: {}", said(output));
    String::from_utf8(output.stdout.clone()).expect("programs speak UTF-8")
}

/// A folder of this name that goes when the process ends.
pub fn scratch(name: &str) -> PathBuf {
    static ROOT: Mutex<Option<tempfile::TempDir>> = Mutex::new(None);
    let mut root = ROOT.lock().expect("nobody panics in here");
    let folder = root.get_or_insert_with(|| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"));
    let path = folder.path().join(name);
    std::fs::create_dir_all(&path).expect("a folder");
    path
}

/// A file of its own with this text.
pub fn write(name: &str, text: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let folder = scratch("files").join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a file");
        }
    }
}

pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// Does the work for each item, as many at once as there are processors; answers are in the order of the items.
pub fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(8));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, item)) = take(&next, items) {
                    let result = work(item);
                    done.lock().expect("nobody panics in here").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics in here");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}
