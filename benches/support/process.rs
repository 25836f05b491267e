//! Servers as processes of their own.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Where a server listens.
#[derive(Clone, Copy)]
pub struct Ports {
    pub listen: u16,
    pub admin: u16,
}

impl Ports {
    /// Two that were free a moment ago.
    pub fn free() -> Result<Ports> {
        let (one, two) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        Ok(Ports { listen: one.local_addr()?.port(), admin: two.local_addr()?.port() })
    }
}

/// A running server, ended when dropped.
pub struct Child {
    pub ports: Ports,
    process: std::process::Child,
    folder: tempfile::TempDir,
}

impl Child {
    /// Runs a command, its stderr in a file of `folder`: nobody has to read along, and an audit
    /// trail is written out as it is in production.
    pub fn start(wrapper: &[&str], command: &[&str], ports: Ports, folder: tempfile::TempDir) -> Result<Child> {
        let words: Vec<&str> = wrapper.iter().chain(command).copied().collect();
        let [program, arguments @ ..] = words.as_slice() else { bail!("nothing to run") };
        let stderr = std::fs::File::create(folder.path().join("stderr"))?;
        let process = Command::new(program)
            .args(arguments)
            .env("BENCH_SECRET", "dose0123")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("{program} does not start"))?;
        Ok(Child { ports, process, folder })
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has said.
    pub fn stderr(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.folder.path().join("stderr"))?).into_owned())
    }

    /// Asks it to end, and waits for that.
    pub fn end(mut self) -> Result<String> {
        self.terminate()?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the server ended with {status}: {}", self.stderr()?);
        self.stderr()
    }

    /// The same for a program that may leave the signal to the kernel, as haproxy does in the foreground.
    pub fn stop(mut self) -> Result<String> {
        self.terminate()?;
        let status = self.process.wait()?;
        let terminated = status.signal() == Some(rustix::process::Signal::TERM.as_raw());
        ensure!(status.success() || terminated, "the server ended with {status}: {}", self.stderr()?);
        self.stderr()
    }

    fn terminate(&self) -> Result<()> {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary that cargo built for this benchmark, or the one named in `SIDEMINT_BENCH_BINARY`.
pub fn binary() -> PathBuf {
    std::env::var_os("SIDEMINT_BENCH_BINARY")
        .map_or_else(|| Path::new(env!("CARGO_BIN_EXE_sidemint")).to_owned(), PathBuf::from)
}

/// Whether a program is on the path.
pub fn is_there(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}
