//! Waits for a cluster: asks its container until it proves itself ready, shows its phases meanwhile, and notices at
//! once when it ends. Removes nothing and changes nothing.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use kubake_contract::endpoints;
use kubake_contract::status::{Outcome, State, Status};
use thiserror::Error;

use super::http::Server;
use crate::advice::Advice;
use crate::engine::{Cancel, Engine, RunError};
use crate::printer::{Phase, seconds};

/// How long the cluster may hold an answer back until there is something to say.
const LONG_POLL: Duration = Duration::from_secs(30);
/// On top of that until an answer is overdue.
const SLACK: Duration = Duration::from_secs(10);
/// Between two attempts to reach a server that does not listen yet; the engine's proxy gives no event for that.
const RETRY: Duration = Duration::from_millis(100);
/// Between two looks at the phases, which are for people.
const LOOK: Duration = Duration::from_millis(400);
/// How much of the log is shown when a container ended.
const LOG_LINES: u32 = 30;

/// Why the cluster is not ready.
#[derive(Debug, Error)]
pub enum Error {
    /// The container ended.
    #[error("the container `{container}` ended with status {code} before the cluster was ready{}", log_text(.log))]
    Ended {
        /// Its name.
        container: String,
        /// Its exit code.
        code: i64,
        /// The end of its log.
        log: String,
    },
    /// It took too long.
    #[error("the cluster `{container}` is not ready after {}: {missing}{}", seconds(*.after), log_text(.log))]
    TimedOut {
        /// The container's name.
        container: String,
        /// The bound.
        after: Duration,
        /// What it says is missing.
        missing: String,
        /// The end of its log.
        log: String,
    },
    /// The user asked to stop.
    #[error("interrupted while waiting for the cluster")]
    Interrupted,
    /// The container cannot be watched.
    #[error("watch the container `{container}`")]
    Watch {
        /// Its name.
        container: String,
        /// Why.
        #[source]
        source: RunError,
    },
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Watch { source, .. } => Some(source),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Ended { .. } => Some(
                "keep the container with `--retain` to look into it; `kubake doctor` looks at this machine".to_owned(),
            ),
            Self::TimedOut { .. } => {
                Some("give it more time with `--ready-timeout 10m`; `kubake doctor` looks at this machine".to_owned())
            }
            Self::Interrupted | Self::Watch { .. } => None,
        }
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted) || self.cause().is_some_and(Advice::is_interrupted)
    }
}

pub(crate) fn log_text(log: &str) -> String {
    log.lines().map(|line| format!("\n  | {line}")).collect()
}

/// What people see meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Show<'a> {
    /// A line for each phase that ended, and the one that runs as the message.
    Phases(&'a Phase),
    /// The phase that runs as the message.
    Message(&'a Phase),
    /// Nothing. The cluster is asked for nothing but its readiness, so that a measurement is not disturbed.
    Nothing,
}

/// A cluster that is ready.
#[derive(Debug)]
pub(crate) struct Ready {
    /// When the 200 came.
    pub(crate) at: Instant,
    /// What it says of its boot, where it said it.
    pub(crate) status: Option<Status>,
}

enum Seen {
    Ready(Instant),
    Missing(String),
    Status(Box<Status>),
    Ended(Result<i64, RunError>),
}

/// Waits until the cluster is ready, at most `timeout`.
pub(crate) fn ready(
    engine: &Engine,
    container: &str,
    server: &Server,
    timeout: Duration,
    show: Show<'_>,
) -> Result<Ready, Error> {
    let (sender, seen) = mpsc::channel();
    // The threads end with this token, which is set on every way out of here.
    let over = Over(Cancel::new());
    spawn_ready(server.clone(), over.0.clone(), sender.clone());
    if !matches!(show, Show::Nothing) {
        spawn_status(server.clone(), over.0.clone(), sender.clone());
    }
    spawn_end(engine, container, &over.0, sender);

    let deadline = Instant::now() + timeout;
    let mut missing = "its HTTP port does not answer yet".to_owned();
    let mut last: Option<Status> = None;
    let mut shown = 0;
    let mut tell = |status: &Status| match show {
        Show::Phases(phase) => show_phases(status, &mut shown, phase),
        Show::Message(phase) => show_phases(status, &mut { usize::MAX }, phase),
        Show::Nothing => {}
    };
    let tail = || engine.for_cleanup().log_tail(container, LOG_LINES).unwrap_or_default();
    loop {
        if engine.runner().cancel().is_cancelled() {
            return Err(Error::Interrupted);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut { container: container.to_owned(), after: timeout, missing, log: tail() });
        }
        // Short, because the user's Ctrl-C comes by another way.
        match seen.recv_timeout(left.min(Duration::from_millis(200))) {
            Ok(Seen::Ready(at)) => {
                let final_status =
                    server.get(endpoints::STATUS, SLACK).ok().and_then(|answer| parse_status(&answer.body));
                let status = final_status.or(last);
                if let Some(status) = &status {
                    tell(status);
                }
                return Ok(Ready { at, status });
            }
            Ok(Seen::Missing(text)) => missing = text,
            Ok(Seen::Status(status)) => {
                tell(&status);
                if status.state == State::Failed {
                    missing = status.reason.clone().unwrap_or(missing);
                }
                last = Some(*status);
            }
            Ok(Seen::Ended(Ok(code))) => {
                return Err(Error::Ended { container: container.to_owned(), code, log: tail() });
            }
            Ok(Seen::Ended(Err(source))) => return Err(Error::Watch { container: container.to_owned(), source }),
            Err(RecvTimeoutError::Timeout) => {}
            // All threads are gone: nothing will come any more, and waiting for the deadline would be no use.
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::TimedOut { container: container.to_owned(), after: timeout, missing, log: tail() });
            }
        }
    }
}

#[derive(Debug)]
struct Over(Cancel);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn spawn_ready(server: Server, over: Cancel, sender: Sender<Seen>) {
    thread::spawn(move || {
        let missing = |text| sender.send(Seen::Missing(text)).is_ok();
        if let Some(at) = ask_until_200(&server, endpoints::KUBERNETES_READY, &over, missing) {
            // Who does not listen any more does not want to know.
            drop(sender.send(Seen::Ready(at)));
        }
    });
}

/// Asks a readiness endpoint until it answers 200, and says when that was; none when `over` is set before, or when
/// `missing`, which gets what the other answers say, does not want more of them.
fn ask_until_200(server: &Server, endpoint: &str, over: &Cancel, missing: impl Fn(String) -> bool) -> Option<Instant> {
    let path = format!("{endpoint}?wait={}s", LONG_POLL.as_secs());
    loop {
        let began = Instant::now();
        let said = match server.get(&path, LONG_POLL + SLACK) {
            Ok(answer) if answer.status == 200 => return Some(Instant::now()),
            Ok(answer) => first_lines(&answer.body),
            Err(error) => format!("its HTTP port does not answer yet ({})", crate::printer::chain(&error)),
        };
        let pause = RETRY.saturating_sub(began.elapsed());
        if !missing(said) || !over.sleep(pause) {
            return None;
        }
    }
}

/// Listens beside other work for the moment at which an endpoint answers 200; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    #[expect(dead_code, reason = "held, not used: the thread ends when it is dropped")]
    over: Over,
    seen: Receiver<Instant>,
}

impl Listening {
    /// Begins.
    pub(crate) fn to(server: &Server, endpoint: &'static str) -> Self {
        let (sender, seen) = mpsc::channel();
        let over = Over(Cancel::new());
        let (server, token) = (server.clone(), over.0.clone());
        thread::spawn(move || {
            if let Some(at) = ask_until_200(&server, endpoint, &token, |_| true) {
                let _ = sender.send(at);
            }
        });
        Self { over, seen }
    }

    /// When it was; waits for it at most until `deadline`, and not after `cancel` is set.
    pub(crate) fn heard(self, deadline: Instant, cancel: &Cancel) -> Option<Instant> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.seen.recv_timeout(left.min(Duration::from_millis(200))) {
                Ok(at) => return Some(at),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if left.is_zero() || cancel.is_cancelled() => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

fn spawn_status(server: Server, over: Cancel, sender: Sender<Seen>) {
    thread::spawn(move || {
        loop {
            if let Some(status) =
                server.get(endpoints::STATUS, SLACK).ok().and_then(|answer| parse_status(&answer.body))
            {
                if sender.send(Seen::Status(Box::new(status))).is_err() {
                    return;
                }
            }
            if !over.sleep(LOOK) {
                return;
            }
        }
    });
}

fn spawn_end(engine: &Engine, container: &str, over: &Cancel, sender: Sender<Seen>) {
    // An engine whose commands end with our token and not with the user's, who wants the log tail still to come.
    let engine = engine.for_cleanup();
    let stop = engine.runner().cancel().clone();
    let container = container.to_owned();
    thread::spawn(move || {
        let ended = engine.wait(&container, None);
        // Interrupted means that nobody waits any more, and then nobody hears this.
        drop(sender.send(Seen::Ended(ended)));
    });
    let over = over.clone();
    thread::spawn(move || {
        // Wakes when the token is set; the hour only makes it look again.
        while over.sleep(Duration::from_secs(3600)) {}
        stop.cancel();
    });
}

pub(crate) fn parse_status(body: &str) -> Option<Status> {
    serde_json::from_str(body).ok()
}

fn first_lines(body: &str) -> String {
    let lines: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).take(5).collect();
    lines.join("; ")
}

/// A line for each phase that ended since the last look, and the one that runs as the message.
fn show_phases(status: &Status, shown: &mut usize, phase: &Phase) {
    while let Some(next) = status.phases.get(*shown) {
        match next.outcome {
            Outcome::Running => break,
            Outcome::Done => phase.step(&next.name, Duration::from_millis(next.elapsed_ms.unwrap_or_default())),
            Outcome::Failed => {}
        }
        *shown += 1;
    }
    let running: Vec<&str> = status
        .phases
        .iter()
        .filter(|phase| phase.outcome == Outcome::Running)
        .map(|phase| phase.name.as_str())
        .collect();
    if !running.is_empty() {
        phase.message(running.join(", "));
    } else if let Some(missing) = status.kubernetes.missing.first() {
        phase.message(missing);
    }
}

#[cfg(test)]
mod tests {
    use kubake_contract::status::Phase as BootPhase;

    use super::*;
    use crate::printer::{Printer, Verbosity};

    #[test]
    fn each_phase_is_shown_once() {
        let printer = Printer::capturing(Verbosity::Normal);
        let phase = printer.phase("boot");
        let boot = |name: &str, outcome| BootPhase {
            name: name.to_owned(),
            started_ms: 0,
            elapsed_ms: (outcome == Outcome::Done).then_some(0),
            outcome,
            detail: None,
        };
        let mut status = Status::booting();
        let mut shown = 0;
        status.phases = vec![boot("network", Outcome::Running)];
        show_phases(&status, &mut shown, &phase);
        status.phases = vec![boot("network", Outcome::Done), boot("etcd", Outcome::Running)];
        show_phases(&status, &mut shown, &phase);
        show_phases(&status, &mut shown, &phase);
        status.phases = vec![boot("network", Outcome::Done), boot("etcd", Outcome::Done)];
        show_phases(&status, &mut shown, &phase);
        assert_eq!(printer.captured(), "• boot\n  ✓ network 0.0s\n  ✓ etcd 0.0s\n");
    }

    #[test]
    fn an_answer_becomes_one_line() {
        assert_eq!(first_lines("not ready\n\n  etcd \n dns\n"), "not ready; etcd; dns");
    }
}
