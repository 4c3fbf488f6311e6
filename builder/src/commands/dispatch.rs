//! Dispatches the command line to the subcommand's function.

use super::{Error, bake, bench, completions, doctor, down, engine, settings, up};
use crate::cli::{Cli, Command};
use crate::printer::Printer;

/// Runs the subcommand of the command line.
///
/// # Errors
/// See [`Error`].
pub(crate) fn run(cli: &Cli, printer: &Printer) -> Result<(), Error> {
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
