//! `kubake bench`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Error, find_engine, resolve};
use crate::bench::run::Course;
use crate::bench::{self, Options, timeline};
use crate::cli::{Benching, Global, SettingFlags};
use crate::engine::TempFile;
use crate::printer::Printer;

/// Arguments of `kubake bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Baked images, measured in turn and compared with the first [default: the one that `up` runs]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// How often each image is run
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// How long each cluster is watched while it has nothing to do; 0 skips it
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub idle: u64,
    /// Do not start each container once more after its stop
    #[arg(long)]
    pub no_restart: bool,
    /// Afterwards boot this many clusters of the first image at once; 0 skips it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub parallel: u32,
    /// Draw the median boot of each image into this file
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<Benching>,
}

pub(super) fn run(args: &Args, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    if let Some(path) = &args.plot {
        // Before an hour of measurements, and not after it.
        check_plot(path).map_err(|source| Error::Plot { path: path.clone(), source })?;
    }
    let engine = find_engine(printer, false)?;
    let options = Options {
        images: if args.images.is_empty() { vec![settings.image.clone()] } else { args.images.clone() },
        runs: args.runs as usize,
        course: Course {
            ready_timeout: settings.ready_timeout,
            idle: Duration::from_secs(args.idle),
            restart: !args.no_restart,
            network: settings.container.network.clone(),
        },
        parallel: args.parallel as usize,
    };
    let report = bench::bench(&engine, &options, printer)?;
    if printer.is_json() { printer.json(&report) } else { printer.data(&report.text()) }.map_err(Error::Output)?;
    if let Some(path) = &args.plot {
        let timelines: Vec<_> = report.images.iter().filter_map(bench::report::Measurements::timeline).collect();
        write_plot(path, &timeline::svg(&timelines)).map_err(|source| Error::Plot { path: path.clone(), source })?;
        printer.line(format_args!("the median boot is drawn in `{}`", path.display()));
    }
    printer.next(&next_commands(args));
    Ok(())
}

/// What to type when all is measured.
fn next_commands(args: &Args) -> Vec<String> {
    let images: String = args.images.iter().map(|image| format!(" {image}")).collect();
    let mut commands = Vec::new();
    if args.plot.is_none() {
        commands.push(format!("kubake bench{images} --runs 1 --idle 0 --no-restart --plot boot.svg"));
    }
    commands.push(format!("kubake bench{images} --runs {} --json > bench.json", args.runs));
    commands
}

fn check_plot(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if fs::metadata(directory)?.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

fn write_plot(path: &Path, picture: &str) -> io::Result<()> {
    let file = TempFile::beside(path);
    fs::write(file.path(), picture)?;
    file.persist().map(drop)
}
