//! Leads from what was typed to the subcommand that does it.

use super::{Error, bake, bench, completions, doctor, down, engine, settings, up};
use crate::cli::{Cli, Command};
use crate::printer::Printer;

/// Runs what was typed.
///
/// # Errors
/// See [`Error`].
pub fn run(cli: &Cli, printer: &Printer) -> Result<(), Error> {
    match &cli.command {
        Command::Up(args) => up::run(args, &cli.global, printer),
        Command::Down(args) => down::run(args, &cli.global, printer),
        Command::Bake(args) => bake::run(args, &cli.global, printer),
        Command::Bench(args) => bench::run(args, &cli.global, printer),
        Command::Doctor(args) => doctor::run(args, printer),
        Command::Settings(args) => settings::run(args, &cli.global, printer),
        Command::Completions(args) => completions::run(args, printer),
        Command::Engine(args) => engine::run(args, printer),
    }
}
