//! Named phases: runs one after the other, times each, and reports it three ways at once (board, log, event line).
//! Knows nothing of what a phase does.

use std::fmt::Display;
use std::future::Future;
use std::io::Write;

use kubake_contract::Event;
use kubake_contract::error_chain::chain;
use kubake_contract::status::Outcome;

use crate::status::Board;

/// Any error a phase can end with.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A phase that failed.
#[derive(Debug, thiserror::Error)]
#[error("phase {name} failed: {}", chain(source.as_ref()))]
pub(crate) struct PhaseError {
    /// The phase's name.
    pub name: &'static str,
    /// What went wrong in it.
    pub source: BoxError,
}

/// Where phases are reported.
#[derive(Debug)]
pub(crate) struct Phases {
    board: Board,
    names: &'static [&'static str],
    begun: usize,
    events: Events,
}

impl Phases {
    /// `names` is the whole list, in order, so that each line can say `(3/7)`.
    #[must_use]
    pub(crate) fn new(board: Board, names: &'static [&'static str], events: Events) -> Self {
        Self { board, names, begun: 0, events }
    }

    /// Runs the next phase of the list. The error carries the phase's name.
    ///
    /// # Errors
    /// What `work` ended with.
    pub(crate) async fn run<T, E: Into<BoxError>>(
        &mut self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, PhaseError> {
        let count = self.names.len();
        // A list that is too short is a programming error that a test of the list finds; users still get a name.
        let name = self.names.get(self.begun).copied().unwrap_or("unnamed");
        self.begun += 1;
        let index = self.begun;
        self.board.phase_started(name);
        self.events.emit(&Event::PhaseStarted { name: name.to_owned(), index, count });
        match work.await {
            Ok(value) => {
                let elapsed = self.board.phase_ended(name, Outcome::Done, None);
                tracing::info!("phase {name} ({index}/{count}): done, {}", Elapsed(elapsed));
                self.events.emit(&Event::PhaseDone { name: name.to_owned(), elapsed_ms: millis(elapsed) });
                Ok(value)
            }
            Err(error) => {
                let source = error.into();
                let reason = chain(source.as_ref());
                let elapsed = self.board.phase_ended(name, Outcome::Failed, Some(reason.clone()));
                tracing::error!("phase {name} ({index}/{count}): failed after {}", Elapsed(elapsed));
                self.events.emit(&Event::PhaseFailed { name: name.to_owned(), elapsed_ms: millis(elapsed), reason });
                Err(PhaseError { name, source })
            }
        }
    }
}

/// Event lines on stdout, for `kubake bake`; silent unless asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events {
    enabled: bool,
}

impl Events {
    /// Writes lines when `enabled`.
    #[must_use]
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    /// A line under the running phase; in the log when no one reads events.
    pub(crate) fn note(self, text: impl Into<String>) {
        let text = text.into();
        if self.enabled {
            self.emit(&Event::Note { text });
        } else {
            tracing::info!("{text}");
        }
    }

    /// Something that went wrong, and the work goes on.
    pub(crate) fn warn(self, text: impl Into<String>) {
        let text = text.into();
        tracing::error!("{text}");
        self.emit(&Event::Warning { text });
    }

    fn emit(self, event: &Event) {
        if !self.enabled {
            return;
        }
        if let Ok(mut line) = serde_json::to_vec(event) {
            line.push(b'\n');
            // Nobody reading any more is no reason to end a bake; its exit code still tells.
            let _ = std::io::stdout().write_all(&line);
        }
    }
}

struct Elapsed(std::time::Duration);

impl Display for Elapsed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.as_secs() == 0 {
            write!(formatter, "{}ms", self.0.as_millis())
        } else {
            write!(formatter, "{:.1}s", self.0.as_secs_f64())
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_phase_is_named_and_stays_on_the_board() {
        let board = Board::new();
        let mut phases = Phases::new(board.clone(), &["one", "two"], Events::new(false));
        assert!(phases.run(async { Ok::<_, BoxError>(()) }).await.is_ok());
        let error = phases.run(async { Err::<(), BoxError>("no disk".into()) }).await.expect_err("it failed");
        assert_eq!(error.to_string(), "phase two failed: no disk");
        let outcomes: Vec<_> = board.snapshot().phases.iter().map(|phase| phase.outcome).collect();
        assert_eq!(outcomes, [Outcome::Done, Outcome::Failed]);
    }
}
