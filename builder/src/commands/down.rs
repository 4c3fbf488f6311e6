//! `kubake down`.

use super::{Error, find_engine, resolve};
use crate::cli::{Global, Naming, SettingFlags};
use crate::printer::Printer;
use crate::up;

/// Arguments of `kubake down`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<Naming>,
}

pub(super) fn run(args: &Args, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    let engine = find_engine(printer, false)?;
    let down = up::down(&engine, &settings.name, settings.kubeconfig.as_deref(), printer)?;
    if printer.is_json() { printer.json(&down).map_err(Error::Output) } else { Ok(()) }
}
