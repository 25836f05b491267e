//! A process whose words are collected while it runs, and which does not outlive its test.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

const BINARY: &str = env!("CARGO_BIN_EXE_sidemint");

/// A started process.
pub struct Process {
    child: Child,
    pub out: Stream,
    pub err: Stream,
}

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
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let out = Stream::of(child.stdout.take().expect("stdout is a pipe"));
        let err = Stream::of(child.stderr.take().expect("stderr is a pipe"));
        Process { child, out, err }
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
        Ended { code, out, err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
