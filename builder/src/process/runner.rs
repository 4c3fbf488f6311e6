//! Runs calls: starts the child, bounds its time, streams or captures its output, and ends it when the token is set.
//!
//! A child runs in its own process group, so that a terminal's Ctrl-C reaches only `kubake`, which then decides:
//! the runner sends SIGTERM to the child's group, waits for a bounded time, sends SIGKILL, and returns
//! [`RunError::Interrupted`]; the callers' guards clean up while the stack unwinds.

use std::fmt;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;

use super::call::{Call, Input};
use super::cancel::Cancel;
use super::error::RunError;
use super::output::{Ended, Line, Stream};
use super::pipes::{Event, capture, feed_input, read_lines};
use super::progress::{Exit, Progress};

type CommandCallback = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs [`Call`]s. Cheap to clone; all clones share the [`Cancel`] token.
#[derive(Clone, Default)]
pub(crate) struct Runner {
    cancel: Cancel,
    on_command: Option<CommandCallback>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Runner").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner whose children end when `cancel` is set.
    #[must_use]
    pub(crate) fn new(cancel: Cancel) -> Self {
        Self { cancel, on_command: None }
    }

    /// Calls `callback` with each command line before it runs (`+ docker …` for the verbose).
    #[must_use]
    pub(crate) fn on_command(mut self, callback: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_command = Some(Arc::new(callback));
        self
    }

    /// The token that ends this runner's children.
    #[must_use]
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The same runner for cleaning up: it runs although the token is set.
    #[must_use]
    pub(crate) fn for_cleanup(&self) -> Self {
        Self { cancel: Cancel::new(), on_command: self.on_command.clone() }
    }

    /// Runs to the end and drops stdout.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn run(&self, call: Call) -> Result<(), RunError> {
        self.drive(call, Mode::Lines, &mut |_| ControlFlow::Continue(())).map(drop)
    }

    /// Runs to the end and returns what was written to stdout, without white space at its end.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn run_captured(&self, call: Call) -> Result<String, RunError> {
        let (_, bytes) = self.drive(call, Mode::Capture, &mut |_| ControlFlow::Continue(()))?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Runs to the end and parses stdout as JSON.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn run_json<T: DeserializeOwned>(&self, call: Call) -> Result<T, RunError> {
        let command = call.pasteable();
        let output = self.run_captured(call)?;
        serde_json::from_str(&output).map_err(|source| RunError::Json { command, output, source })
    }

    /// Runs while `on_line` gets each line of stdout and stderr as it comes, on the caller's thread. When it
    /// answers `Break`, the program is stopped.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn stream(
        &self,
        call: Call,
        mut on_line: impl FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> Result<Ended, RunError> {
        self.drive(call, Mode::Lines, &mut on_line).map(|(ended, _)| ended)
    }

    fn announce(&self, line: &str) {
        tracing::debug!("+ {line}");
        if let Some(callback) = &self.on_command {
            callback(line);
        }
    }

    fn drive(
        &self,
        mut call: Call,
        mode: Mode,
        on_line: &mut dyn FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> Result<(Ended, Vec<u8>), RunError> {
        let line = call.pasteable();
        if self.cancel.is_cancelled() {
            return Err(RunError::Interrupted { command: line });
        }
        self.announce(&line);

        let mut command = call.to_command();
        command.process_group(0);
        command.stderr(Stdio::piped());
        command.stdout(Stdio::piped());
        let mut feed: Option<Box<dyn Read + Send>> = None;
        command.stdin(match std::mem::take(&mut call.input) {
            Input::Null => Stdio::null(),
            Input::File(file) => file.into(),
            Input::Bytes(bytes) => {
                feed = Some(Box::new(io::Cursor::new(bytes)));
                Stdio::piped()
            }
            Input::Reader(reader) => {
                feed = Some(reader);
                Stdio::piped()
            }
        });

        let (sender, events) = mpsc::channel();
        // Listening begins before the child does: a signal in between must not be lost.
        let cancelled = sender.clone();
        // A runner that just ended no longer receives, which is fine.
        let subscription = self.cancel.subscribe(move || drop(cancelled.send(Event::Cancelled)));
        let mut child = command.spawn().map_err(|source| spawn_error(&call, &line, source))?;
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        // Keeps the child from outliving this function on any path out of it, panics of the callback included.
        let mut keeper = Keeper { group, reaped: false };

        let mut readers = 0;
        if let Some(stdout) = child.stdout.take() {
            let sender = sender.clone();
            readers += 1;
            match mode {
                Mode::Lines => thread::spawn(move || read_lines(stdout, Stream::Stdout, &sender)),
                Mode::Capture => thread::spawn(move || capture(stdout, &sender)),
            };
        }
        if let Some(stderr) = child.stderr.take() {
            let sender = sender.clone();
            readers += 1;
            thread::spawn(move || read_lines(stderr, Stream::Stderr, &sender));
        }
        if let (Some(mut reader), Some(stdin)) = (feed, child.stdin.take()) {
            let sender = sender.clone();
            thread::spawn(move || feed_input(&mut *reader, stdin, &sender));
        }
        thread::spawn(move || {
            // WNOWAIT leaves the child a zombie until this function reaps it, so that its process group
            // cannot name another process while we still send signals to it.
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
            let outcome = loop {
                match waitid(Id::Pid(group), flags) {
                    Err(nix::errno::Errno::EINTR) => {}
                    Ok(WaitStatus::Stopped(_, signal)) => {
                        if matches!(signal, Signal::SIGTTIN | Signal::SIGTTOU) {
                            drop(sender.send(Event::AsksTerminal));
                        }
                        // Takes the stop away, which would be reported again. It may have gone on or ended meanwhile.
                        let _ = waitid(Id::Pid(group), WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG);
                    }
                    other => break other.map(drop).map_err(io::Error::from),
                }
            };
            drop(sender.send(Event::Exited(outcome)));
        });

        let mut state = Progress::new(line, call.timeout, call.grace, readers, group);
        let ended = state.watch(&events, on_line);
        drop(subscription);
        match ended {
            Exit::Ended => {
                let status = child.wait();
                keeper.reaped = true;
                state.conclude(status)
            }
            // Not reaped: it hangs in the kernel, and waiting would hang us too.
            Exit::Unkillable => state.conclude(Err(io::Error::new(io::ErrorKind::TimedOut, "it survived SIGKILL"))),
        }
    }
}

fn spawn_error(call: &Call, line: &str, source: io::Error) -> RunError {
    if source.kind() == io::ErrorKind::NotFound {
        RunError::NotInstalled { program: call.program.to_string_lossy().into_owned() }
    } else {
        RunError::Spawn { command: line.to_owned(), source }
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Lines,
    Capture,
}

/// Kills the child's group unless it was reaped.
struct Keeper {
    group: Pid,
    reaped: bool,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}
