//! Watches one child until it has ended and its output is read; stops it when its time is up, the user interrupts it or the
//! caller has seen enough.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::error::RunError;
use super::output::{Ended, Line, Stream};
use super::pipes::Event;

/// How long to wait for a child that was sent SIGKILL; longer means it hangs in the kernel, and waiting is no use.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// How long to go on reading after the child ended: a grandchild may hold its pipes open for ever.
const DRAIN: Duration = Duration::from_secs(2);
/// How much of stderr an error carries.
pub(super) const TAIL_LINES: usize = 30;

pub(super) enum Exit {
    Ended,
    Unkillable,
}

/// Why the runner ends a child that would have gone on.
enum Stopping {
    Cancelled,
    TimedOut,
    Enough,
    AsksTerminal,
    Input(io::Error),
}

pub(super) struct Progress {
    command: String,
    timeout: Option<Duration>,
    grace: Duration,
    readers: usize,
    group: Pid,
    stderr: VecDeque<String>,
    captured: Vec<u8>,
    stopping: Option<Stopping>,
    killed: bool,
    exited: bool,
    failure: Option<io::Error>,
}

impl Progress {
    pub(super) fn new(command: String, timeout: Option<Duration>, grace: Duration, readers: usize, group: Pid) -> Self {
        Self {
            command,
            timeout,
            grace,
            readers,
            group,
            stderr: VecDeque::new(),
            captured: Vec::new(),
            stopping: None,
            killed: false,
            exited: false,
            failure: None,
        }
    }

    /// Handles events until the child has ended and its output is read.
    pub(super) fn watch(
        &mut self,
        events: &Receiver<Event>,
        on_line: &mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> Exit {
        let mut deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if self.exited && self.readers == 0 {
                return Exit::Ended;
            }
            let event = match deadline {
                Some(deadline) => events.recv_timeout(deadline.saturating_duration_since(Instant::now())),
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Line(stream, text)) => {
                    // Callbacks see nothing after they said "enough", and nothing of a child that is being ended.
                    if self.stopping.is_none() && on_line(Line { stream, text: &text }).is_break() {
                        deadline = Some(self.stop(Stopping::Enough));
                    }
                    if stream == Stream::Stderr {
                        if self.stderr.len() == TAIL_LINES {
                            self.stderr.pop_front();
                        }
                        self.stderr.push_back(text);
                    }
                }
                Ok(Event::Captured(bytes)) => self.captured = bytes,
                Ok(Event::ReadFailed(error)) => {
                    self.failure.get_or_insert(error);
                }
                Ok(Event::Eof) => self.readers = self.readers.saturating_sub(1),
                Ok(Event::InputFailed(error)) => {
                    if !self.exited && self.stopping.is_none() {
                        deadline = Some(self.stop(Stopping::Input(error)));
                    }
                }
                Ok(Event::AsksTerminal) => {
                    if self.stopping.is_none() {
                        deadline = Some(self.stop(Stopping::AsksTerminal));
                    }
                }
                Ok(Event::Exited(outcome)) => {
                    if let Err(error) = outcome {
                        self.failure.get_or_insert(error);
                    }
                    self.exited = true;
                    deadline = Some(Instant::now() + DRAIN);
                }
                Ok(Event::Cancelled) => {
                    if self.exited {
                        // It is over already; what it did counts.
                    } else if matches!(self.stopping, Some(Stopping::Cancelled)) {
                        // Asked a second time: the user does not want to wait.
                        deadline = Some(self.kill());
                    } else {
                        deadline = Some(self.stop(Stopping::Cancelled));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.exited {
                        return Exit::Ended;
                    } else if self.stopping.is_none() {
                        deadline = Some(self.stop(Stopping::TimedOut));
                    } else if self.killed {
                        return Exit::Unkillable;
                    } else {
                        deadline = Some(self.kill());
                    }
                }
                // The waiter sends `Exited` before it drops its end, so every sender is gone only after that.
                Err(RecvTimeoutError::Disconnected) => return Exit::Ended,
            }
        }
    }

    fn stop(&mut self, why: Stopping) -> Instant {
        self.stopping = Some(why);
        // The group is gone only when the child is, and then `Exited` is on its way.
        let _ = killpg(self.group, Signal::SIGTERM);
        // A stopped process handles no signal.
        let _ = killpg(self.group, Signal::SIGCONT);
        Instant::now() + self.grace
    }

    fn kill(&mut self) -> Instant {
        self.killed = true;
        let _ = killpg(self.group, Signal::SIGKILL);
        Instant::now() + AFTER_KILL
    }

    pub(super) fn conclude(self, status: io::Result<ExitStatus>) -> Result<(Ended, Vec<u8>), RunError> {
        let command = self.command;
        let stderr = Vec::from(self.stderr).join("\n");
        match self.stopping {
            Some(Stopping::Cancelled) => return Err(RunError::Interrupted { command }),
            Some(Stopping::TimedOut) => {
                return Err(RunError::TimedOut { command, after: self.timeout.unwrap_or_default(), stderr });
            }
            Some(Stopping::AsksTerminal) => return Err(RunError::AsksTerminal { command }),
            Some(Stopping::Input(source)) => return Err(RunError::Input { command, source }),
            Some(Stopping::Enough) => return Ok((Ended::Stopped, self.captured)),
            None => {}
        }
        let status = status.map_err(|source| RunError::Output { command: command.clone(), source })?;
        if !status.success() {
            return Err(RunError::Failed { command, status, stderr });
        }
        match self.failure {
            Some(source) => Err(RunError::Output { command, source }),
            None => Ok((Ended::Exited, self.captured)),
        }
    }
}
