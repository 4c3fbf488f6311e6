//! The loop over runs and images, in which the images take turns.

use std::time::SystemTime;

use super::error::Error;
use super::measured::{Course, Measured};
use super::parallel::boot_in_parallel;
use super::report::{self, Machine, Measurements, Plan, Report};
use super::run;
use super::subjects::subjects;
use crate::engine::{Engine, Location};
use crate::printer::Printer;

/// The plan of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    /// Names of the images; the first is the one to compare with.
    pub(crate) images: Vec<String>,
    /// Number of runs of each image.
    pub(crate) runs: usize,
    /// The course of each run.
    pub(crate) course: Course,
    /// Number of clusters of the first image that boot in parallel afterwards; 0 skips that.
    pub(crate) parallel: usize,
}

/// Measures all images.
///
/// # Errors
/// See [`Error`]; all containers are removed.
pub(crate) fn bench(engine: &Engine, options: &Options, printer: &Printer) -> Result<Report, Error> {
    if engine.facts().location == Location::Remote {
        return Err(Error::OtherMachine { machine: engine.published_host() });
    }
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let machine = Machine::new(engine.facts(), sysinfo::System::load_average().one);
    let subjects = subjects(engine, &options.images)?;

    let mut measured: Vec<Vec<Measured>> = subjects.iter().map(|_| Vec::new()).collect();
    // Run 1 of each image, then run 2 of each, so that other load on the machine affects all images alike. Every other round
    // goes backwards, so that no image always follows the same other one.
    for number in 1..=options.runs {
        for (subject, runs) in turns(subjects.iter().zip(&mut measured).collect(), number) {
            let phase = printer.phase(format!("run {number} of {}, {}", options.runs, subject.name));
            let run = run::measure(engine, &subject.image.id, &options.course, &phase)
                .map_err(|source| Error::Run { number, image: subject.name.clone(), source: Box::new(source) })?;
            phase.done_with(headline(&run));
            runs.push(run);
        }
    }
    let parallel = match subjects.first() {
        Some(first) if options.parallel > 0 => {
            Some(boot_in_parallel(engine, first, options.parallel, &options.course, printer)?)
        }
        _ => None,
    };

    let mut images: Vec<Measurements> = subjects
        .into_iter()
        .zip(measured)
        .map(|(subject, runs)| Measurements::new(subject.name, subject.image.id, subject.image.size, runs))
        .collect();
    report::compare(&mut images);
    for image in &images {
        if image.runs.iter().all(|run| run.usage_at_ready.is_none()) {
            printer.warn(format_args!("`{}` does not report its usage: no processor time, no memory", image.image));
            printer.hint("bake the image with this version of kubake");
        }
    }
    let plan =
        Plan { runs: options.runs, idle_seconds: options.course.idle.as_secs(), restart: options.course.restart };
    Ok(Report { date, machine, plan, images, parallel })
}

/// The images of a round, counted from 1, in their order.
fn turns<T>(mut all: Vec<T>, round: usize) -> Vec<T> {
    if round % 2 == 0 {
        all.reverse();
    }
    all
}

/// The main figures of a run, for its progress line.
fn headline(run: &Measured) -> String {
    let exact = |seconds: f64| format!("{seconds:.2}s");
    let mut parts = vec![format!("ready {}", exact(run.ready_seconds))];
    if let Some(usage) = &run.usage_at_ready {
        parts.push(format!("{:.2} CPU-s", usage.cpu_seconds));
    }
    parts.push(format!("stop {}", exact(run.stop_seconds)));
    if let Some(restart) = run.restart_ready_seconds {
        parts.push(format!("ready again {}", exact(restart)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_alternate() {
        assert_eq!([1, 2, 3].map(|round| turns(vec!["a", "b", "c"], round).concat()), ["abc", "cba", "abc"]);
    }
}
