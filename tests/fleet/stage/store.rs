//! A Redis or a Valkey of a test's own, which can be killed, stopped in its tracks, emptied, and put into another time.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;

use super::resp::Resp;
use super::{free_port, ms};
use crate::support::authority::Issued;
use crate::support::{PATIENCE, Process, tool};

/// Which program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Redis,
    Valkey,
}

/// What a test wants of its store.
#[derive(Clone, Default)]
pub struct Wish {
    pub kind: Kind,
    /// Further lines of the server's own config.
    pub lines: String,
    /// What everybody has to know.
    pub password: Option<&'static str>,
    /// The server's certificate, with that of who issued it: a port for TLS beside the plain one.
    pub tls: Option<(Issued, String)>,
    /// Whether its clock can be set.
    pub clock: bool,
}

/// The server, on the same port for all its lives.
pub struct Store {
    wish: Wish,
    folder: TempDir,
    port: u16,
    tls_port: u16,
    process: Mutex<Option<Process>>,
}

impl Store {
    /// As the defaults have it, and running.
    pub fn start() -> Store {
        Store::with(Wish::default())
    }

    /// As wished, and running.
    pub fn with(wish: Wish) -> Store {
        let store = Store::absent(wish);
        store.launch();
        store
    }

    /// As wished, and not running yet.
    pub fn absent(wish: Wish) -> Store {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (port, tls_port) = (free_port(), free_port());
        Store { wish, folder, port, tls_port, process: Mutex::default() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where it listens for TLS.
    pub fn tls_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.tls_port).into()
    }

    /// Starts it, empty. With a clock that can be set it is Valkey: the usual build of Redis allocates by jemalloc, which
    /// asks for the time, which allocates.
    pub fn launch(&self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        std::fs::write(path("store.conf"), self.config()).expect("a config can be written");
        let mut command = Command::new(match self.wish.kind {
            Kind::Redis => tool("SIDEMINT_TEST_REDIS"),
            Kind::Valkey => tool("SIDEMINT_TEST_VALKEY"),
        });
        command.arg(path("store.conf"));
        if self.wish.clock {
            self.set_clock(0);
            command.env("LD_PRELOAD", tool("SIDEMINT_TEST_FAKETIME"));
            command.env("FAKETIME_TIMESTAMP_FILE", path("clock"));
            command.envs([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
        }
        let process = Process::spawn(command);
        let (out, err) = (process.out.clone(), process.err.clone());
        *self.process.lock().expect("no start panics") = Some(process);
        let begin = Instant::now();
        while !self.try_command("PING").is_ok_and(|answer| answer == "PONG") {
            let said = out.text() + &err.text();
            assert!(begin.elapsed() < PATIENCE, "the store does not answer: {said}");
            std::thread::park_timeout(ms(10));
        }
    }

    fn config(&self) -> String {
        let folder = self.folder.path().display();
        let mut text = format!(
            "bind 127.0.0.1\nport {}\nsave \"\"\nappendonly no\ndir {folder}\nenable-debug-command yes\n\
             repl-diskless-sync-delay 0\n",
            self.port
        );
        if let Some(password) = self.wish.password {
            let _ = writeln!(text, "requirepass {password}\nmasterauth {password}");
        }
        if let Some((issued, authority)) = &self.wish.tls {
            for (name, pem) in [("cert", &issued.certificate), ("key", &issued.key), ("ca", authority)] {
                std::fs::write(self.folder.path().join(name), pem).expect("a file can be written");
            }
            let _ = writeln!(text, "tls-port {}\ntls-auth-clients no", self.tls_port);
            let _ = writeln!(text, "tls-cert-file {folder}/cert\ntls-key-file {folder}/key");
            let _ = writeln!(text, "tls-ca-cert-file {folder}/ca");
        }
        text + &self.wish.lines + "\n"
    }

    /// Ends it as a crash does. What it knew is lost.
    pub fn kill(&self) {
        if let Some(process) = self.process.lock().expect("no start panics").take() {
            process.signal(Signal::KILL);
            process.end(PATIENCE);
        }
    }

    /// It answers nothing, and its connections stay open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        self.process.lock().expect("no start panics").as_ref().expect("it runs").signal(signal);
    }

    /// Sets its clock so many seconds beside the true one.
    pub fn set_clock(&self, seconds: i64) {
        let (new, clock) = (self.folder.path().join("clock.new"), self.folder.path().join("clock"));
        std::fs::write(&new, format!("{seconds:+}\n")).expect("a file can be written");
        std::fs::rename(new, clock).expect("a file can be renamed");
    }

    /// Says something to it that it must take.
    #[track_caller]
    pub fn command(&self, line: &str) -> String {
        self.try_command(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Says something without waiting for the answer.
    pub fn send(&self, line: &'static str) {
        let (port, password) = (self.port, self.wish.password);
        std::thread::spawn(move || command(port, password, line));
    }

    /// Says something to it that it may refuse.
    pub fn try_command(&self, line: &str) -> std::io::Result<String> {
        command(self.port, self.wish.password, line)
    }

    /// What it holds of a limit.
    pub fn keys(&self) -> Vec<String> {
        self.command("KEYS *").lines().map(str::to_owned).collect()
    }
}

fn command(port: u16, password: Option<&str>, line: &str) -> std::io::Result<String> {
    let mut resp = Resp::to(port)?;
    if let Some(password) = password {
        resp.command(&format!("AUTH {password}"))?;
    }
    resp.command(line)
}
