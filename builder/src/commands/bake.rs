//! `kubake bake`.

use super::{Error, find_engine, resolve};
use crate::bake;
use crate::cli::{Baking, Global, SettingFlags};
use crate::printer::Printer;
use crate::settings::{Key, Origin};

/// Arguments of `kubake bake`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Install and start a container engine if there is none (Debian and Ubuntu, as root)
    #[arg(short, long)]
    pub yes: bool,
    /// Bake although an image with the same inputs exists
    #[arg(short, long)]
    pub force: bool,
    /// Keep a build container that failed
    #[arg(long)]
    pub retain: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<Baking>,
}

pub(super) fn run(args: &Args, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    let engine = find_engine(printer, args.yes)?;
    let options = bake::Options { force: args.force, retain: args.retain };
    let baked = bake::bake(&engine, &settings, options, printer)?;
    let image = match settings.origin(Key::Image) {
        // From the file or the environment `up` reads it, too.
        Origin::Flag(_) => format!(" --image {}", settings.image),
        _ => String::new(),
    };
    printer.next(&[format!("kubake up{image}")]);
    if printer.is_json() { printer.json(&baked).map_err(Error::Output) } else { Ok(()) }
}
