//! The program from its arguments to its exit code. Only wires: parse, set up logging, run, map to an exit code.

use std::process;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::Cli;
use crate::commands::{self, ExitCode};

/// Runs the command that the process's arguments name.
#[must_use]
pub fn run() -> process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way, too. A closed stream leaves no way to report its error.
            drop(error.print());
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok }.into();
        }
    };
    let printer = cli.global.printer();
    let level = if printer.is_verbose() { "kubake=info" } else { "kubake=warn" };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env(kubake_contract::env::LOG).unwrap_or_else(|_| EnvFilter::new(level)))
        .with_writer(printer.clone())
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
    match commands::run(&cli, &printer) {
        Ok(()) => ExitCode::Ok.into(),
        Err(error) => commands::report(&error, &printer).into(),
    }
}
