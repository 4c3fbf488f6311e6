//! The first steps of subcommands: resolve the settings, create a runner that Ctrl-C ends, find the container engine.

use super::Error;
use crate::cli::{Global, SettingFlags, Subset};
use crate::engine::Engine;
use crate::install;
use crate::printer::Printer;
use crate::process::{Cancel, Runner};
use crate::settings::{Settings, Sources};

pub(super) fn resolve<S: Subset>(flags: &SettingFlags<S>, global: &Global) -> Result<Settings, Error> {
    let sources = Sources::load(global.settings.as_deref(), flags.entries.clone())?;
    Ok(Settings::resolve(&sources)?)
}

/// Creates a runner whose commands Ctrl-C ends and `-v` shows.
pub(super) fn runner(printer: &Printer) -> Result<Runner, Error> {
    let cancel = Cancel::on_signals().map_err(Error::Signals)?;
    let shown = printer.clone();
    Ok(Runner::new(cancel).on_command(move |line| shown.detail(format_args!("+ {line}"))))
}

/// Finds the engine; installs and starts it first where the user allows that.
pub(super) fn find_engine(printer: &Printer, allowed: bool) -> Result<Engine, Error> {
    let runner = runner(printer)?;
    let phase = printer.phase("engine");
    let (engine, _) = install::ensure(&runner, allowed, |line| phase.message(line))?;
    let facts = engine.facts();
    phase.done_with(format_args!("{:?} {}", facts.flavour, facts.version).to_string().to_lowercase());
    Ok(engine)
}
