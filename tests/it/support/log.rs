//! The log of everything in this process at its loudest, searched line by line as it is written.

use std::io::{self, Write};
use std::sync::Once;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt};

use super::secrecy;

/// From the first sidecar on.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = fmt::layer().json().flatten_event(true).with_writer(|| Lines);
        // Libraries at their loudest cost as much again as half of the tests, whose own client and vendor use them, too.
        // The binary's tests of rank 4 and threats 36 and 37 hear them, and those of the sidecar alone.
        let levels = Targets::new().with_default(LevelFilter::INFO).with_target("sidemint", LevelFilter::TRACE);
        tracing::subscriber::set_global_default(Registry::default().with(levels).with(lines))
            .expect("nobody else listens");
    });
}

/// Keeps nothing.
struct Lines;

impl Write for Lines {
    /// Ends the whole run at a hit: a panic here would end up in whatever task wrote the line, which the sidecar turns
    /// into one more reply. Past the capture of the tests' output, which an abort would take with it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(told) = judge(line) {
            let _ = io::stderr().write_all(told.as_bytes());
            std::process::abort();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is wrong with a line.
fn judge(line: &[u8]) -> Option<String> {
    let found = secrecy::look("the log", line);
    (!found.is_empty()).then(|| format!("\nwhat must not be seen is in the log:\n{}\n", found.join("\n")))
}

#[test]
fn t33_a_line_of_the_log_is_searched_as_it_is_written() {
    secrecy::hide("the viewer of the log's test", "net-4740-viewer");
    let written = Recorded::default();
    let recorded = written.clone();
    let subscriber =
        Registry::default().with(fmt::layer().json().flatten_event(true).with_writer(move || recorded.clone()));
    tracing::subscriber::with_default(subscriber, || {
        tracing::trace!(viewer = "somebody", "a line");
        tracing::trace!(viewer = ?Some("net-4740-viewer"), "a line");
    });
    let lines = written.0.lock().expect("nobody else writes").clone();
    let told: Vec<_> = lines.iter().filter_map(|line| judge(line)).collect();
    assert_eq!((lines.len(), told.len()), (2, 1), "{told:?}");
    assert!(told[0].contains("the viewer of the log's test") && !told[0].contains("net-4740-viewer"), "{told:?}");
}

/// Each write is one line.
#[cfg(test)]
#[derive(Clone, Default)]
struct Recorded(std::sync::Arc<std::sync::Mutex<Vec<Vec<u8>>>>);

#[cfg(test)]
impl Write for Recorded {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody else writes").push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
