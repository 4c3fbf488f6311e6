//! Phases as data: a sequence is a list, and each entry holds a name beside its work. Runs a list in order, times each
//! phase and reports it on the board, in the log and as an event line. Does not know what any phase does.

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use kubake_contract::Event;
use kubake_contract::error_chain::chain;
use kubake_contract::status::Outcome;

use crate::events::Events;
use crate::status::Board;

/// Any error that a phase can end with.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The work of a phase on its context.
pub(crate) type Work<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + 'a>>;

/// A named step of a sequence. `Context` is what the steps of the sequence share.
pub(crate) struct Phase<Context: 'static> {
    /// The name in `/status`, the log and event lines.
    name: &'static str,
    work: for<'a> fn(&'a mut Context) -> Work<'a>,
}

impl<Context> fmt::Debug for Phase<Context> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Phase").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<Context> Phase<Context> {
    #[must_use]
    pub(crate) const fn new(name: &'static str, work: for<'a> fn(&'a mut Context) -> Work<'a>) -> Self {
        Self { name, work }
    }
}

/// A phase that failed.
#[derive(Debug, thiserror::Error)]
#[error("phase {name} failed: {}", chain(source.as_ref()))]
pub(crate) struct PhaseError {
    pub(crate) name: &'static str,
    pub(crate) source: BoxError,
}

/// Runs the phases in order. Ends at the first that fails.
///
/// # Errors
/// The first failure, with the phase's name.
pub(crate) async fn run_all<Context>(
    phases: &[Phase<Context>],
    context: &mut Context,
    board: &Board,
    events: Events,
) -> Result<(), PhaseError> {
    let count = phases.len();
    for (position, Phase { name, work }) in phases.iter().enumerate() {
        let index = position + 1;
        board.phase_started(name);
        events.emit(&Event::PhaseStarted { name: (*name).to_owned(), index, count });
        match work(context).await {
            Ok(()) => {
                let elapsed = board.phase_ended(name, Outcome::Done, None);
                tracing::info!("phase {name} ({index}/{count}): done, {}", Elapsed(elapsed));
                events.emit(&Event::PhaseDone { name: (*name).to_owned(), elapsed_ms: millis(elapsed) });
            }
            Err(source) => {
                let reason = chain(source.as_ref());
                let elapsed = board.phase_ended(name, Outcome::Failed, Some(reason.clone()));
                tracing::error!("phase {name} ({index}/{count}): failed after {}", Elapsed(elapsed));
                events.emit(&Event::PhaseFailed { name: (*name).to_owned(), elapsed_ms: millis(elapsed), reason });
                return Err(PhaseError { name, source });
            }
        }
    }
    Ok(())
}

struct Elapsed(Duration);

impl Display for Elapsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_secs() == 0 {
            write!(formatter, "{}ms", self.0.as_millis())
        } else {
            write!(formatter, "{:.1}s", self.0.as_secs_f64())
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase<u32>; 3] = [
        Phase::new("one", |count| {
            Box::pin(async {
                *count += 1;
                Ok(())
            })
        }),
        Phase::new("two", |_| Box::pin(async { Err("no disk".into()) })),
        Phase::new("three", |count| {
            Box::pin(async {
                *count += 100;
                Ok(())
            })
        }),
    ];

    #[tokio::test]
    async fn a_failed_phase_is_named_stays_on_the_board_and_is_the_last() {
        let (board, mut count) = (Board::new(), 0);
        let error = run_all(&PHASES, &mut count, &board, Events::new(false)).await.expect_err("it failed");
        assert_eq!((error.to_string().as_str(), count), ("phase two failed: no disk", 1));
        let outcomes: Vec<_> = board.snapshot().phases.iter().map(|phase| phase.outcome).collect();
        assert_eq!(outcomes, [Outcome::Done, Outcome::Failed]);
    }
}
