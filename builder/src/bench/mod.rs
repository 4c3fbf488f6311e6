//! What a boot costs, measured so that images can be compared: the plan, and the loop over runs and images. One
//! container's life is [`run`]'s, arithmetic is [`statistics`]', rendering [`report`]'s and [`timeline`]'s. Changes
//! nothing on the machine: every container it makes is gone when it ends, however it ends.

pub mod report;
pub mod run;
pub mod statistics;
pub mod timeline;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kubake_init::contract::labels;
use thiserror::Error;

use crate::advice::Advice;
use crate::engine::{Engine, Image, RunError};
use crate::printer::{Printer, seconds};
use crate::up::wait::{self, Show};
use report::{Machine, Measurements, Parallel, Plan, Report};
use run::{Boot, Course, Measured};

/// What [`labels::STAGE`] says on an image that a cluster can be run from.
const BAKED: &str = "baked";
/// Between two looks whether the user asked to stop.
const LOOK: Duration = Duration::from_millis(200);

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum Error {
    /// Images that cannot be measured: all of them.
    #[error("nothing was measured, because not every image can be:{}", lines(.0))]
    Images(Vec<String>),
    /// The engine does not tell about an image.
    #[error("look for the image `{image}`")]
    Look {
        /// The image.
        image: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// A run failed.
    #[error("run {number} of `{image}`")]
    Run {
        /// Which, from 1.
        number: usize,
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: Box<run::Error>,
    },
    /// Of clusters that booted at once, one failed.
    #[error("cluster {number} of {clusters} of `{image}` at once")]
    Parallel {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        clusters: usize,
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: Box<run::Error>,
    },
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Images(_) => None,
            Self::Look { source, .. } => Some(source),
            Self::Run { source, .. } | Self::Parallel { source, .. } => Some(&**source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Images(_) => Some("`kubake bake -t NAME` bakes one, `docker pull NAME` fetches one".to_owned()),
            Self::Look { .. } => None,
            Self::Run { source, .. } | Self::Parallel { source, .. } if source.is_interrupted() => None,
            Self::Run { source, .. } if is_late(source) => {
                Some("give it more time with `--ready-timeout 10m`; `kubake doctor` looks at this machine".to_owned())
            }
            Self::Parallel { source, .. } if is_late(source) => {
                Some("boot fewer at once, or give them more time with `--ready-timeout 10m`".to_owned())
            }
            Self::Run { image, .. } | Self::Parallel { image, .. } => {
                Some(format!("`kubake up --name look --image {image} --retain` keeps a container to look into"))
            }
        }
    }
}

fn is_late(error: &run::Error) -> bool {
    matches!(error, run::Error::Wait(wait::Error::TimedOut { .. }) | run::Error::Docker { .. })
}

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

/// An image that is there: the name it was asked for by, and what the engine says of it.
struct Subject {
    name: String,
    image: Image,
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

/// The images, if each of them is there and baked.
fn subjects(engine: &Engine, names: &[String]) -> Result<Vec<Subject>, Error> {
    let mut subjects = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        let found = engine.image(name).map_err(|source| Error::Look { image: name.clone(), source })?;
        match found {
            None => problems.push(format!("`{name}`: there is no such image")),
            Some(image) if image.labels.get(labels::STAGE).map(String::as_str) != Some(BAKED) => {
                problems.push(format!("`{name}`: not an image that kubake baked"));
            }
            Some(image) => subjects.push(Subject { name: name.clone(), image }),
        }
    }
    if problems.is_empty() { Ok(subjects) } else { Err(Error::Images(problems)) }
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

/// Boots several clusters of one image at the same moment.
fn at_once(
    engine: &Engine,
    subject: &Subject,
    clusters: usize,
    course: &Course,
    printer: &Printer,
) -> Result<Parallel, Error> {
    let phase = printer.phase(format!("{clusters} clusters of {} at once", subject.name));
    // All guards before the first container: they outlive the threads, and go on every way out of here.
    let boots: Vec<Boot<'_>> = (0..clusters).map(|_| Boot::new(engine)).collect();
    // Ends with our token, so that the first failure ends all others, too.
    let abandoned = engine.for_cleanup();
    let began = Instant::now();
    let (sender, outcomes) = mpsc::channel();
    let mut failure = None;
    let mut ready_seconds = thread::scope(|scope| {
        for (index, boot) in boots.iter().enumerate() {
            let (sender, engine, id) = (sender.clone(), abandoned.clone(), &subject.image.id);
            scope.spawn(move || {
                let outcome = boot.run(&engine, id, course).and_then(|server| {
                    Ok(wait::ready(&engine, boot.name(), &server, course.ready_timeout, Show::Nothing)?.at)
                });
                // The receiver outlives the scope.
                drop(sender.send((index + 1, outcome)));
            });
        }
        drop(sender);
        let mut ready = Vec::new();
        loop {
            match outcomes.recv_timeout(LOOK) {
                Ok((_, Ok(at))) => {
                    ready.push(at.duration_since(began).as_secs_f64());
                    phase.message(format_args!("{} of {clusters} ready", ready.len()));
                }
                Ok((number, Err(source))) => {
                    // What fails after the first fails because of it.
                    failure.get_or_insert((number, source));
                    abandoned.runner().cancel().cancel();
                }
                Err(RecvTimeoutError::Timeout) if engine.runner().cancel().is_cancelled() => {
                    failure.get_or_insert((1, run::Error::Interrupted));
                    abandoned.runner().cancel().cancel();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return ready,
            }
        }
    });
    let failed =
        |number, source| Error::Parallel { number, clusters, image: subject.name.clone(), source: Box::new(source) };
    if let Some((number, source)) = failure {
        return Err(failed(number, source));
    }
    ready_seconds.sort_by(f64::total_cmp);
    let all_ready_seconds = ready_seconds.last().copied().unwrap_or_default();
    phase.message("are removed");
    for (index, boot) in boots.into_iter().enumerate() {
        boot.remove().map_err(|source| failed(index + 1, source))?;
    }
    phase.done_with(format_args!("all ready {}", seconds(Duration::from_secs_f64(all_ready_seconds))));
    Ok(Parallel { image: subject.name.clone(), clusters, ready_seconds, all_ready_seconds })
}
