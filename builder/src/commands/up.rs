//! `kubake up`.

use super::{Error, find_engine, resolve};
use crate::cli::{All, Global, SettingFlags};
use crate::printer::{Printer, seconds};
use crate::up;

/// Arguments of `kubake up`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Install and start a container engine if there is none (Debian and Ubuntu, as root)
    #[arg(short, long)]
    pub yes: bool,
    /// Keep a container that does not become ready
    #[arg(long)]
    pub retain: bool,
    /// Whether the cluster's context becomes the current one
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub set_context: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<All>,
}

pub(super) fn run(args: &Args, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    let engine = find_engine(printer, args.yes)?;
    let options = up::Options { retain: args.retain, set_context: args.set_context };
    let cluster = up::up(&engine, &settings, options, printer)?;
    if let Some(millis) = cluster.ready_after_ms {
        let name = &cluster.name;
        let took = seconds(std::time::Duration::from_millis(millis));
        printer.line(format_args!("the cluster `{name}` was ready after {took}; {} tells its state", cluster.endpoint));
    }
    printer.next(&up::next_commands(&cluster, &settings, which::which("kubectl").is_ok()));
    if printer.is_json() { printer.json(&cluster).map_err(Error::Output) } else { Ok(()) }
}
