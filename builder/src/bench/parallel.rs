//! Boots several clusters of one image in parallel.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::boot::Boot;
use super::error::Error;
use super::measured::Course;
use super::report::Parallel;
use super::run_error::Error as RunError;
use super::subjects::Subject;
use crate::engine::Engine;
use crate::host::Host;
use crate::node::{Show, wait_until_ready};
use crate::printer::{Printer, seconds};

/// Interval of checks for an interrupt.
const INTERRUPT_POLL: Duration = Duration::from_millis(200);

/// Starts all clusters at the same moment and waits until each is ready.
pub(super) fn boot_in_parallel(
    engine: &Engine,
    subject: &Subject,
    clusters: usize,
    course: &Course,
    printer: &Printer,
) -> Result<Parallel, Error> {
    let phase = printer.phase(format!("{clusters} clusters of {} at once", subject.name));
    // All guards exist before the first container: they outlive the threads, and remove the containers on every return.
    let boots: Vec<Boot> = (0..clusters).map(|_| Boot::new(engine)).collect();
    // Has its own cancellation, so that the first failure ends all other boots, too.
    let abandoned = engine.for_cleanup();
    let began = Instant::now();
    let (sender, outcomes) = mpsc::channel();
    let mut failure = None;
    let mut ready_seconds = thread::scope(|scope| {
        for (index, boot) in boots.iter().enumerate() {
            let (sender, host, id) = (sender.clone(), Host::new(&abandoned), &subject.image.id);
            scope.spawn(move || {
                let outcome = boot.run(&host, id, course).and_then(|server| {
                    Ok(wait_until_ready(&host, &boot.node(), &server, course.ready_timeout, Show::Nothing)?.at)
                });
                // The receiver outlives the scope.
                drop(sender.send((index + 1, outcome)));
            });
        }
        drop(sender);
        let mut ready = Vec::new();
        loop {
            match outcomes.recv_timeout(INTERRUPT_POLL) {
                Ok((_, Ok(at))) => {
                    ready.push(at.duration_since(began).as_secs_f64());
                    phase.message(format_args!("{} of {clusters} ready", ready.len()));
                }
                Ok((number, Err(source))) => {
                    // Later failures follow from the first one.
                    failure.get_or_insert((number, source));
                    abandoned.runner().cancel().cancel();
                }
                Err(RecvTimeoutError::Timeout) if engine.runner().cancel().is_cancelled() => {
                    failure.get_or_insert((1, RunError::Interrupted));
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
    phase.message("removing them");
    for (index, boot) in boots.into_iter().enumerate() {
        boot.remove().map_err(|source| failed(index + 1, source))?;
    }
    phase.done_with(format_args!("all ready {}", seconds(Duration::from_secs_f64(all_ready_seconds))));
    Ok(Parallel { image: subject.name.clone(), clusters, ready_seconds, all_ready_seconds })
}
