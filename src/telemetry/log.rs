//! Logging to stderr, as JSON lines or for people.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// Changes the level while running.
#[derive(Clone)]
pub struct Level(reload::Handle<Targets, Registry>);

/// Starts logging. Called once; later calls of a process (tests) change nothing.
pub fn start(log: &Log) -> Level {
    let (filter, handle) = reload::Layer::new(targets(&log.level));
    let json =
        (log.format == LogFormat::Json).then(|| fmt::layer().json().flatten_event(true).with_writer(std::io::stderr));
    let text = (log.format == LogFormat::Text)
        .then(|| fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr));
    let subscriber = Registry::default().with(filter).with(json).with(text);
    // An error says that a test in this process was first.
    let _ = tracing::subscriber::set_global_default(subscriber);
    log_panics();
    Level(handle)
}

impl Level {
    /// Takes over the level of a new config.
    pub fn change_to(&self, level: &str) {
        // An error says that the subscriber is gone: the process ends.
        let _ = self.0.reload(targets(level));
    }
}

fn targets(level: &str) -> Targets {
    // The config has been checked; dependencies only speak up when something is wrong.
    let own: Targets = level.parse().unwrap_or_else(|_| Targets::new());
    if level.contains('=') {
        return own;
    }
    let quiet = own.default_level().map_or(tracing::level_filters::LevelFilter::WARN, |level| {
        level.min(tracing::level_filters::LevelFilter::WARN)
    });
    own.with_targets(["hyper", "hyper_util", "h2", "rustls", "tokio", "mio", "moka"].map(|name| (name, quiet)))
}

/// A panic's message may hold what was being worked on, so only its place is written down.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic: this is a bug of sidemint, please report the place");
    }));
}
