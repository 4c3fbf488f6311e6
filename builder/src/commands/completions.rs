//! `kubake completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Error;
use crate::cli::Cli;
use crate::printer::Printer;

/// Arguments of `kubake completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

pub(super) fn run(args: &Args, printer: &Printer) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kubake", &mut script);
    printer.data(&String::from_utf8_lossy(&script)).map_err(Error::Output)
}
