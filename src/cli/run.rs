//! `sidemint run`

use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigArg, Failure};
use crate::app::App;
use crate::config::Environment;
use crate::edge::raise_file_limit;
use crate::lifecycle::Stop;
use crate::telemetry::log::{self, Level};

pub(super) async fn run(config: &ConfigArg) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let loaded = config.load(&environment)?;
    let level = log::start(&loaded.log);
    raise_file_limit();
    let app = App::start(loaded, environment.clone()).await.map_err(anyhow::Error::msg)?;
    let app = std::sync::Arc::new(app);
    stop_on_signals(&app)?;
    reload_on_hangup(&app, config, environment, level)?;
    // Who reads this may send signals.
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = ?app.addresses(), admin = %app.admin(), "sidemint runs");
    app.run().await;
    Ok(())
}

/// The first signal begins a drain, the second ends it.
fn stop_on_signals(app: &App) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(anyhow::Error::from)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(anyhow::Error::from)?;
    let stop = app.tasks().stop().clone();
    app.tasks().background(async move {
        for strength in [Stop::begin, Stop::force] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            strength(&stop);
        }
    });
    Ok(())
}

/// SIGHUP puts the config file's new content in place; a bad one is refused.
fn reload_on_hangup(
    app: &std::sync::Arc<App>,
    config: &ConfigArg,
    environment: Environment,
    level: Level,
) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup()).map_err(anyhow::Error::from)?;
    let (reloading, config) = (std::sync::Arc::downgrade(app), ConfigArg { config: config.config.clone() });
    app.tasks().chore(async move {
        while hangup.recv().await.is_some() {
            let Some(app) = reloading.upgrade() else { return };
            reload(&app, &config, &environment, &level).await;
        }
    });
    Ok(())
}

async fn reload(app: &App, config: &ConfigArg, environment: &Environment, level: &Level) {
    let loaded = match config.load(environment) {
        Ok(loaded) => loaded,
        Err(Failure::Usage(problems)) => {
            problems
                .iter()
                .for_each(|problem| tracing::error!(problem, "the new config is refused; the old one stays"));
            return;
        }
        Err(Failure::Other(error)) => return tracing::error!(%error, "the new config is refused; the old one stays"),
    };
    let new_level = loaded.log.level.clone();
    match app.reload(loaded).await {
        Ok(()) => {
            level.change_to(&new_level);
            tracing::info!("the new config is in place");
        }
        Err(problem) => tracing::error!(problem, "the new config is refused; the old one stays"),
    }
}
