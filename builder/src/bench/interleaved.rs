//! The loop over runs and images.

use std::time::SystemTime;

use super::error::Error;
use super::parallel::at_once;
use super::report::{self, Machine, Measurements, Plan, Report};
use super::run::{self, Course, Measured};
use super::subjects::subjects;
use crate::engine::Engine;
use crate::printer::Printer;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Names of the images.
    pub images: Vec<String>,
    /// Runs of each.
    pub runs: usize,
    /// What is done in each run.
    pub course: Course,
    /// How many clusters of the first image are booted at once afterwards; 0 skips that.
    pub parallel: usize,
}

/// Measures.
///
/// # Errors
/// See [`Error`]; whatever was made is removed.
pub fn bench(engine: &Engine, options: &Options, printer: &Printer) -> Result<Report, Error> {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let machine = Machine::new(engine.facts(), sysinfo::System::load_average().one);
    let subjects = subjects(engine, &options.images)?;

    let mut measured: Vec<Vec<Measured>> = subjects.iter().map(|_| Vec::new()).collect();
    // Run 1 of each image, then run 2 of each: what the machine does beside us hits all of them alike.
    for number in 1..=options.runs {
        for (subject, runs) in subjects.iter().zip(&mut measured) {
            let phase = printer.phase(format!("run {number} of {}, {}", options.runs, subject.name));
            let run = run::measure(engine, &subject.image.id, &options.course, &phase)
                .map_err(|source| Error::Run { number, image: subject.name.clone(), source: Box::new(source) })?;
            phase.done_with(headline(&run));
            runs.push(run);
        }
    }
    let parallel = match subjects.first() {
        Some(first) if options.parallel > 0 => {
            Some(at_once(engine, first, options.parallel, &options.course, printer)?)
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
            printer.warn(format_args!("`{}` does not say what it uses: no processor time, no memory", image.image));
            printer.hint("an image baked by this version of kubake does");
        }
    }
    let plan =
        Plan { runs: options.runs, idle_seconds: options.course.idle.as_secs(), restart: options.course.restart };
    Ok(Report { date, machine, plan, images, parallel })
}

/// What is worth a look while the other runs go on.
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
