//! `kubake down`: removes a cluster and its context.

use super::Error;
use super::preparation::{find_engine, resolve};
use crate::cli::{DownArgs, Global};
use crate::cluster;
use crate::printer::Printer;

pub(super) fn run(args: &DownArgs, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    let engine = find_engine(printer, false)?;
    let down = cluster::down(&engine, &settings.name, settings.kubeconfig.as_deref(), printer)?;
    if printer.is_json() { printer.json(&down).map_err(Error::Output) } else { Ok(()) }
}
