//! A process whose words are collected while it runs, and which does not outlive its test.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, secrecy};

const BINARY: &str = env!("CARGO_BIN_EXE_sidemint");

/// A started process. If it is sidemint, all that it has said is searched when it ends, and when it is dropped.
pub struct Process {
    child: Child,
    pub out: Stream,
    pub err: Stream,
    searched: Searched,
    /// The config's path.
    config: Option<String>,
    listens: Mutex<Vec<SocketAddr>>,
}

/// What of a process must not say what must not be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Searched {
    /// It is a tool of the tests.
    Nothing,
    /// To show a token, or where to look and with what, is what the command is for.
    Errors,
    All,
}

/// Everything that the log can say: with a directive in it, libraries are not kept quiet either. It costs as much again
/// as half of the suite, so not every test has it.
pub const LOUDEST: &str = "trace,hyper_util=trace";

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// None: by a signal.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// What a process says on one of its outputs, as far as it has said it.
#[derive(Clone, Default)]
pub struct Stream(Arc<(Mutex<Said>, Condvar)>);

#[derive(Default)]
struct Said {
    text: String,
    ended: bool,
}

/// Copies the program to where other users may run it. By another process: while a file is open for writing here, a
/// child of another test may be given it, too, and then it cannot be run.
pub fn copy_program(to: &std::path::Path) {
    let copied = Command::new("cp").arg(BINARY).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "the program can be copied");
}

/// Runs a command of sidemint to its end, with these variables and no others.
pub fn run<'a>(arguments: &[impl AsRef<str>], variables: impl IntoIterator<Item = (&'a str, String)>) -> Ended {
    Process::start(arguments, variables).end(PATIENCE)
}

impl Process {
    /// Starts sidemint with these variables and no others.
    pub fn start<'a>(arguments: &[impl AsRef<str>], variables: impl IntoIterator<Item = (&'a str, String)>) -> Process {
        let mut command = Command::new(BINARY);
        command.args(arguments.iter().map(AsRef::as_ref)).env_clear().envs(variables);
        Process::spawn(command)
    }

    /// Starts any program.
    pub fn spawn(mut command: Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (searched, config) = told(&mut command);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let out = Stream::of(child.stdout.take().expect("stdout is a pipe"));
        let err = Stream::of(child.stderr.take().expect("stderr is a pipe"));
        Process { child, out, err, searched, config, listens: Mutex::default() }
    }

    /// Notes where it listens, which makes what is asked there its own.
    pub fn listens(&self, address: SocketAddr) {
        self.listens.lock().expect("no note panics").push(address);
        secrecy::ours(address);
    }

    /// Searches all that it has said.
    fn search(&self, out: &str, err: &str) {
        // Secrets may have been others since it was started.
        secrecy::said::config(&text_of(self.config.as_deref()));
        if self.searched != Searched::Nothing {
            secrecy::nothing_in("stderr", err.as_bytes());
        }
        if self.searched == Searched::All {
            secrecy::nothing_in("stdout", out.as_bytes());
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process has a number");
        kill_process(pid, signal).expect("our own process can be signalled");
    }

    /// Waits for its end.
    pub fn end(mut self, within: Duration) -> Ended {
        let deadline = Instant::now() + within;
        let (out, err) = (self.out.all(deadline), self.err.all(deadline));
        let (Some(out), Some(err)) = (out, err) else {
            panic!("the process has not ended within {within:?}:\n{}\n{}", self.out.text(), self.err.text());
        };
        let code = self.child.wait().expect("our own process can be waited for").code();
        self.search(&out, &err);
        self.searched = Searched::Nothing;
        Ended { code, out, err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Before its ports are free for others.
        let listens = std::mem::take(self.listens.get_mut().unwrap_or_else(PoisonError::into_inner));
        listens.into_iter().for_each(secrecy::no_longer_ours);
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.searched != Searched::Nothing {
            let deadline = Instant::now() + PATIENCE;
            let (out, err) = (self.out.all(deadline), self.err.all(deadline));
            self.search(&out.unwrap_or_default(), &err.unwrap_or_default());
        }
    }
}

/// Hides what a command is told in its arguments, its variables and its config, and turns its log up, unless
/// the test has a level of its own.
fn told(command: &mut Command) -> (Searched, Option<String>) {
    // A shell may have to set something first.
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let Some(at) = words.iter().position(|word| Path::new(word).ends_with("sidemint")) else {
        return (Searched::Nothing, None);
    };
    let arguments = &words[at + 1..];
    let variables: Vec<(String, String)> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_string_lossy().into_owned(), value?.to_string_lossy().into_owned())))
        .collect();
    secrecy::said::arguments(arguments);
    variables.iter().for_each(|(name, value)| secrecy::said::variable(name, value));
    let variable = |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let named = arguments.iter().position(|word| word == "--config").and_then(|at| arguments.get(at + 1));
    let file = named.map(String::as_str).or(variable("SIDEMINT_CONFIG"));
    let config = text_of(file);
    secrecy::said::config(&config);
    let first = arguments.first().map(String::as_str).unwrap_or_default();
    if first == "run" && variable("SIDEMINT_LOG").is_none() && !config.contains("level:") {
        command.env("SIDEMINT_LOG", "trace");
    }
    let searched = if matches!(first, "token" | "demo" | "emulator") { Searched::Errors } else { Searched::All };
    (searched, file.map(str::to_owned))
}

/// Nothing where there is none.
fn text_of(file: Option<&str>) -> String {
    file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default()
}

impl Stream {
    fn of(mut pipe: impl Read + Send + 'static) -> Stream {
        let stream = Stream::default();
        let shared = stream.clone();
        let read = move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let mut said = shared.0.0.lock().expect("no reader panics");
                said.text.push_str(&String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()));
                shared.0.1.notify_all();
            }
            shared.0.0.lock().expect("no reader panics").ended = true;
            shared.0.1.notify_all();
        };
        std::thread::spawn(read);
        stream
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.0.0.lock().expect("no reader panics").text.clone()
    }

    /// Waits until something in it is found.
    pub fn find<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.0.0.lock().expect("no reader panics");
        loop {
            if let Some(found) = look(&said.text) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!said.ended && !left.is_zero(), "never said: {what}; it said:\n{}", said.text);
            said = self.0.1.wait_timeout(said, left).expect("no reader panics").0;
        }
    }

    /// Waits for a text.
    pub fn says(&self, text: &str) {
        self.find(text, |said| said.contains(text).then_some(()));
    }

    /// Waits for a line, and gives the rest of it.
    pub fn line_after(&self, start: &str) -> String {
        self.find(start, |said| {
            let (_, rest) = said.split_once(start)?;
            rest.split_once('\n').map(|(line, _)| line.trim().to_owned())
        })
    }

    /// All of it, once it has ended.
    fn all(&self, deadline: Instant) -> Option<String> {
        let mut said = self.0.0.lock().expect("no reader panics");
        while !said.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            said = self.0.1.wait_timeout(said, left).expect("no reader panics").0;
        }
        Some(said.text.clone())
    }
}
