//! `kubake`: bakes a kubeadm cluster into one container image and runs it. Only wires: parse, run, map to an exit code.

use std::process::ExitCode;

use clap::Parser;
use kubake::cli::Cli;
use kubake::commands;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way, too. A closed stream leaves nobody to tell.
            drop(error.print());
            return if error.use_stderr() { commands::ExitCode::Usage } else { commands::ExitCode::Ok }.into();
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
        Ok(()) => commands::ExitCode::Ok.into(),
        Err(error) => commands::report(&error, &printer).into(),
    }
}
