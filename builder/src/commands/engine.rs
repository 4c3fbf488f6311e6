//! `kubake engine`: an engine for machines that have none, such as CI runners.

use super::{Error, runner};
use crate::engine::install;
use crate::printer::Printer;

/// Arguments of `kubake engine`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the engine.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Install an engine from Debian's packages if there is none, and start it
    Install {
        /// Change this machine
        #[arg(short, long)]
        yes: bool,
    },
    /// Start the installed engine
    Start,
    /// Stop the engine that `start` started by hand
    Stop,
}

pub(super) fn run(args: &Args, printer: &Printer) -> Result<(), Error> {
    match args.action {
        Action::Install { yes } => super::find_engine(printer, yes).map(drop),
        Action::Start => {
            let runner = runner(printer)?;
            let phase = printer.phase("start the engine");
            install::start(&runner)?;
            phase.done();
            Ok(())
        }
        Action::Stop => {
            let phase = printer.phase("stop the engine");
            let stopped = install::stop_started_by_us()?;
            phase.done_with(if stopped { "" } else { "none that kubake started" });
            Ok(())
        }
    }
}
