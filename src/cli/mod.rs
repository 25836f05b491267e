//! The commands. Each parses, calls, and says how it went: exit code 0 is good, 1 a failure, 2
//! wrong usage or an invalid config.

mod check;
#[cfg(feature = "emulator")]
mod demo;
#[cfg(feature = "emulator")]
mod emulator;
mod http;
mod probe;
mod run;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, Environment};

/// A token-caching sidecar for embedded analytics.
///
/// Keeps the broad service token, mints one tightly scoped token per viewer on localhost, and keeps
/// dashboard loads under the vendor's limit.
#[derive(Parser)]
#[command(name = "sidemint", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the sidecar
    ///
    /// Without a config file, one upstream and one embed named `default` are built from
    /// DATABRICKS_HOST (or INSTANCE_URL), DATABRICKS_CLIENT_ID (or SERVICE_PRINCIPAL_ID),
    /// DATABRICKS_CLIENT_SECRET (or SERVICE_PRINCIPAL_SECRET), DASHBOARD_ID and WORKSPACE_ID.
    Run {
        #[command(flatten)]
        config: ConfigArg,
    },
    /// See it work without any account: a fake vendor, the sidecar and a small app, on free ports
    #[cfg(feature = "emulator")]
    Demo(demo::Args),
    /// Run only the fake vendor, for your own development and CI
    #[cfg(feature = "emulator")]
    Emulator(emulator::Args),
    /// Check the config; with --live, every step to each vendor
    Check {
        #[command(flatten)]
        config: ConfigArg,
        /// Walk every upstream and embed: resolve, connect, TLS, service token, token info, mint
        #[arg(long)]
        live: bool,
        #[command(flatten)]
        who: check::Who,
    },
    /// Ask a running sidecar for a viewer token
    Token(token::Args),
    /// Wait until the sidecar has started: an app's start hook
    Wait {
        #[command(flatten)]
        config: ConfigArg,
        /// Give up after so long
        #[arg(long, default_value = "30s", value_name = "DURATION")]
        timeout: String,
    },
    /// Exit 0 if the running sidecar is live: for container probes
    Healthcheck {
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Print the JSON Schema of the config file
    Schema,
}

#[derive(clap::Args)]
struct ConfigArg {
    /// The config file
    #[arg(long, env = "SIDEMINT_CONFIG", value_name = "FILE", value_parser = clap::value_parser!(PathBuf))]
    config: Option<PathBuf>,
}

/// Why a command failed.
enum Failure {
    /// The config or the usage is wrong: exit code 2.
    Usage(Vec<String>),
    /// Anything else: exit code 1.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Other(error)
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sidemint: no event loop: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(dispatch(Cli::parse().command));
    // Whatever still runs at this point was given up on.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(problems)) => {
            problems.iter().for_each(|problem| eprintln!("sidemint: {problem}"));
            ExitCode::from(2)
        }
        Err(Failure::Other(error)) => {
            eprintln!("sidemint: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> Result<(), Failure> {
    if command.touches_secrets() {
        keep_memory_private();
    }
    match command {
        Command::Run { config } => run::run(&config).await,
        #[cfg(feature = "emulator")]
        Command::Demo(args) => demo::demo(args).await,
        #[cfg(feature = "emulator")]
        Command::Emulator(args) => emulator::emulator(args).await,
        Command::Check { config, live, who } => check::check(&config, live, &who).await,
        Command::Token(args) => token::token(args).await,
        Command::Wait { config, timeout } => probe::wait(&config, &timeout).await,
        Command::Healthcheck { config } => probe::healthcheck(&config).await,
        Command::Schema => schema(),
    }
}

impl Command {
    /// Whether a secret or a token comes into this process.
    fn touches_secrets(&self) -> bool {
        match self {
            Command::Run { .. } | Command::Check { live: true, .. } | Command::Token(_) => true,
            #[cfg(feature = "emulator")]
            Command::Demo(_) => true,
            // Its secrets are made up, and those who test with it may want to look inside.
            #[cfg(feature = "emulator")]
            Command::Emulator(_) => false,
            Command::Check { live: false, .. }
            | Command::Wait { .. }
            | Command::Healthcheck { .. }
            | Command::Schema => false,
        }
    }
}

/// No core dumps, and nobody else may look into this process. Before the first secret is read, and so before there is
/// a log.
fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        eprintln!("sidemint: core dumps could not be turned off: {error}");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        eprintln!("sidemint: the memory could not be made private: {error}");
    }
}

fn schema() -> Result<(), Failure> {
    let schema = schemars::schema_for!(config::file::File);
    let text = serde_json::to_string_pretty(&schema).map_err(anyhow::Error::from)?;
    println!("{text}");
    Ok(())
}

impl ConfigArg {
    /// Reads the config file, or the environment if there is none.
    fn load(&self, environment: &Environment) -> Result<Config, Failure> {
        let (name, result) = match self.config.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(vec![format!("{}: {error}", path.display())]))?;
                (path.display().to_string(), config::from_text(&text, environment))
            }
            None => ("environment".to_owned(), config::from_environment(environment)),
        };
        result.map_err(|problems| Failure::Usage(problems.iter().map(|problem| format!("{name}: {problem}")).collect()))
    }
}
