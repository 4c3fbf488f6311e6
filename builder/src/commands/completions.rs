//! `kubake completions`: prints the completion script of a shell.

use clap::CommandFactory;

use super::Error;
use crate::cli::{Cli, CompletionsArgs};
use crate::printer::Printer;

pub(super) fn run(args: &CompletionsArgs, printer: &Printer) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kubake", &mut script);
    printer.data(&String::from_utf8_lossy(&script)).map_err(Error::Output)
}
