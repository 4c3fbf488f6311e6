//! Starts daemons and keeps them running: each in a task that starts its process again until it is stopped or given up.

use std::path::PathBuf;
use std::time::Instant;

use kubake_contract::error_chain::chain;
use tokio::process::Child;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backoff::{Backoff, HOPELESS};
use super::error::ServiceError;
use super::handle::Handle;
use super::process::{End, Runner};
use super::service::Service;
use super::state::{Event, State};
use crate::files::tail;
use crate::status::Board;

/// How many lines of a log the report of an unexpected end shows.
const TAIL_LINES: usize = 5;

/// Starts and watches daemons.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    board: Board,
    logs: PathBuf,
    sockets: PathBuf,
    tasks: TaskTracker,
}

impl Supervisor {
    /// Log files go to `logs`, notify sockets to `sockets`; both directories exist before a daemon starts.
    #[must_use]
    pub(crate) fn new(board: Board, logs: PathBuf, sockets: PathBuf) -> Self {
        Self { board, logs, sockets, tasks: TaskTracker::new() }
    }

    /// Starts a daemon and keeps it running until the handle stops it.
    ///
    /// # Errors
    /// When its log or notify socket cannot be made, or its program cannot be started the first time.
    pub(crate) fn start(&self, service: Service) -> Result<Handle, ServiceError> {
        let runner = Runner::new(service, &self.logs, &self.sockets)?;
        let child = runner.start()?;
        let publisher = Publisher {
            name: runner.name(),
            board: self.board.clone(),
            state: watch::Sender::new(State::first(runner.is_given_up())),
        };
        publisher.show();
        let stop = CancellationToken::new();
        let stopped = CancellationToken::new();
        let handle = Handle {
            name: runner.name(),
            log: runner.log().to_owned(),
            state: publisher.state.subscribe(),
            stop: stop.clone(),
            stopped: stopped.clone(),
        };
        self.tasks.spawn(async move {
            let finished = stopped.drop_guard();
            keep_running(&runner, child, &publisher, &stop).await;
            drop(finished);
        });
        Ok(handle)
    }
}

/// Applies events to a daemon's state and shows it to the handle and on the board.
#[derive(Debug)]
struct Publisher {
    name: &'static str,
    board: Board,
    state: watch::Sender<State>,
}

impl Publisher {
    fn apply(&self, event: Event) {
        // On the board first: what waits for the state may look at the board.
        let next = self.state.borrow().clone().after(event);
        self.board.update_component(self.name, |component| next.show(component));
        self.state.send_replace(next);
    }

    fn show(&self) {
        let state = self.state.borrow();
        self.board.update_component(self.name, |component| state.show(component));
    }

    fn is_final(&self) -> bool {
        self.state.borrow().is_final()
    }
}

async fn keep_running(runner: &Runner, first: Child, publisher: &Publisher, stop: &CancellationToken) {
    let mut backoff = Backoff::default();
    let mut child = Ok(first);
    loop {
        let started = Instant::now();
        let exit = match child {
            Ok(child) => match runner.watch(child, stop, || publisher.apply(Event::Ready)).await {
                End::Stopped => return publisher.apply(Event::Stopped),
                End::Died(exit) => exit,
            },
            Err(error) => chain(&error),
        };
        tracing::warn!(
            "{} ended unexpectedly: {exit}; the end of its log:\n{}",
            runner.name(),
            tail(runner.log(), TAIL_LINES)
        );
        publisher.apply(Event::Ended(exit));
        if publisher.is_final() {
            return;
        }
        let delay = backoff.delay_after(started.elapsed());
        let delay = if publisher.state.borrow().is_hopeless() { HOPELESS } else { delay };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => return publisher.apply(Event::Stopped),
        }
        child = runner.start();
        if child.is_ok() {
            publisher.apply(Event::Started);
        }
    }
}
