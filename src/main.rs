//! The `sidemint` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    sidemint::cli::main()
}
