//! `kubake engine`: an engine for machines that have none, such as CI runners.

use super::Error;
use super::preparation::{find_engine, runner};
use crate::cli::{EngineAction, EngineArgs};
use crate::install;
use crate::printer::Printer;

pub(super) fn run(args: &EngineArgs, printer: &Printer) -> Result<(), Error> {
    match args.action {
        EngineAction::Install { yes } => find_engine(printer, yes).map(drop),
        EngineAction::Start => {
            let runner = runner(printer)?;
            let phase = printer.phase("start the engine");
            install::start(&runner)?;
            phase.done();
            Ok(())
        }
        EngineAction::Stop => {
            let phase = printer.phase("stop the engine");
            let stopped = install::stop_started_by_us()?;
            phase.done_with(if stopped { "" } else { "none that kubake started" });
            Ok(())
        }
    }
}
