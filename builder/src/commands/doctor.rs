//! `kubake doctor`: gathers facts about this machine, judges them and prints the findings.

use super::Error;
use super::preparation::runner;
use crate::cli::DoctorArgs;
use crate::doctor::{Report, Verdict};
use crate::printer::Printer;

pub(super) fn run(_: &DoctorArgs, printer: &Printer) -> Result<(), Error> {
    let report = Report::here(&runner(printer)?);
    // The report is the command's result: data, on stdout.
    if printer.is_json() {
        printer.json(&report).map_err(Error::Output)?;
    } else {
        printer.data(&report.lines().join("\n")).map_err(Error::Output)?;
    }
    if report.verdict == Verdict::Problem { Err(Error::Unhealthy) } else { Ok(()) }
}
