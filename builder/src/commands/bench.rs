//! `kubake bench`: measures images in turn, and prints the report or draws it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::Error;
use super::preparation::{find_engine, resolve};
use crate::bench::Course;
use crate::bench::{self, Options, timeline};
use crate::cli::{BenchArgs, Global};
use crate::engine::TempFile;
use crate::printer::Printer;

pub(super) fn run(args: &BenchArgs, global: &Global, printer: &Printer) -> Result<(), Error> {
    let settings = resolve(&args.settings, global)?;
    if let Some(path) = &args.plot {
        // Checked before an hour of measurements and not after it.
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
        printer.line(format_args!("`{}` shows the median boot of each image", path.display()));
    }
    printer.next(&next_commands(args));
    Ok(())
}

/// The commands to type after a measurement.
fn next_commands(args: &BenchArgs) -> Vec<String> {
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
    // A device or pipe such as /dev/stdout is written to; a rename would replace it.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, picture);
    }
    let file = TempFile::beside(path);
    fs::write(file.path(), picture)?;
    file.persist().map(drop)
}
