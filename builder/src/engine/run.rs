//! Owns running external programs: one [`Runner`] that streams, bounds, times out and cancels a child process, and
//! the [`Cancel`] token that Ctrl-C sets. It never knows what the program is for, and never writes to stdout or
//! stderr itself.
//!
//! A child runs in its own process group, so that a terminal's Ctrl-C reaches only `kubake`, which then decides:
//! the runner sends SIGTERM to the child's group, waits for a bounded time, sends SIGKILL, and returns
//! [`RunError::Interrupted`]; the callers' guards clean up while the stack unwinds.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::advice::Advice;

/// How long a child may take to end after SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(10);
/// How long to wait for a child that was sent SIGKILL; longer means it hangs in the kernel, and waiting is no use.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// How long to go on reading after the child ended: a grandchild may hold its pipes open for ever.
const DRAIN: Duration = Duration::from_secs(2);
/// How much of stderr an error carries.
const TAIL_LINES: usize = 30;
/// Longest line that is passed on in one piece.
const LONGEST_LINE: u64 = 64 * 1024;
/// Most that is captured of a child's stdout.
const MOST_CAPTURED: u64 = 64 * 1024 * 1024;

/// Why a program did not do what it was asked to.
#[derive(Debug, Error)]
pub enum RunError {
    /// The program does not exist.
    #[error("`{program}` is not installed or not on PATH; install it and try again")]
    NotInstalled {
        /// Its name as it was looked for.
        program: String,
    },
    /// The program could not be started.
    #[error("start `{command}`")]
    Spawn {
        /// The command line.
        command: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program ended with an error.
    #[error("`{command}` failed ({status}){}", tail(.stderr))]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its stderr.
        stderr: String,
    },
    /// The program took longer than it may.
    #[error("`{command}` did not end within {} s{}; is the machine overloaded?", .after.as_secs(), tail(.stderr))]
    TimedOut {
        /// The command line.
        command: String,
        /// The bound.
        after: Duration,
        /// The last lines of its stderr.
        stderr: String,
    },
    /// The user (or the system) asked `kubake` to stop.
    #[error("interrupted while running `{command}`")]
    Interrupted {
        /// The command line.
        command: String,
    },
    /// What should have become the program's input could not be read.
    #[error("read the input of `{command}`")]
    Input {
        /// The command line.
        command: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program's output could not be read, or waiting for it failed.
    #[error("read the output of `{command}`")]
    Output {
        /// The command line.
        command: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program's output is not the JSON it should be.
    #[error("understand the output of `{command}`: {}", excerpt(.output))]
    Json {
        /// The command line.
        command: String,
        /// What it printed.
        output: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl Advice for RunError {
    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }
}

impl RunError {
    /// Whether the engine said that the named object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        let Self::Failed { stderr, .. } = self else { return false };
        let stderr = stderr.to_ascii_lowercase();
        // "no such object", "no such container", "network x not found", podman: "no container with name", "image not known".
        ["no such ", "not found", "not known", "no container with name"].iter().any(|hint| stderr.contains(hint))
    }

    /// The exit code where the program ran and ended by itself with one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Failed { status, .. } => status.code(),
            _ => None,
        }
    }

    /// The last lines of stderr; empty where there are none.
    #[must_use]
    pub fn stderr(&self) -> &str {
        match self {
            Self::Failed { stderr, .. } | Self::TimedOut { stderr, .. } => stderr,
            _ => "",
        }
    }
}

fn tail(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(":\n{stderr}") }
}

fn excerpt(output: &str) -> String {
    let start: String = output.trim().chars().take(200).collect();
    if start.is_empty() { "it is empty".to_owned() } else { format!("it begins with `{start}`") }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere must not keep the clean-up from running, and no state here can be left half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token that says "stop": shared by everything that waits. Cheap to clone.
#[derive(Clone, Default)]
pub struct Cancel {
    inner: Arc<CancelInner>,
}

#[derive(Default)]
struct CancelInner {
    cancelled: AtomicBool,
    listeners: Mutex<Listeners>,
    changed: Condvar,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    senders: BTreeMap<u64, Sender<Event>>,
}

impl fmt::Debug for Cancel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cancel").field("cancelled", &self.is_cancelled()).finish()
    }
}

impl Cancel {
    /// A token that nothing has set yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that SIGINT, SIGTERM and SIGHUP set. To be called once, by `main`.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let cancel = Self::new();
        let token = cancel.clone();
        let (ready, installed) = mpsc::channel();
        // A thread with its own small runtime: tokio's handlers need no unsafe code, and, unlike a blocked signal
        // mask with sigwait, leave nothing behind in the children.
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let outcome = watch_signals(&token, &ready);
            if let Err(error) = outcome {
                // The receiver is gone only when the handlers were installed before.
                drop(ready.send(Err(error)));
            }
        })?;
        installed.recv().map_err(io::Error::other)??;
        Ok(cancel)
    }

    /// Sets the token. A second call makes the runner kill its child at once.
    pub fn cancel(&self) {
        let listeners = lock(&self.inner.listeners);
        self.inner.cancelled.store(true, Ordering::SeqCst);
        for sender in listeners.senders.values() {
            // A runner that just ended no longer listens, which is fine.
            drop(sender.send(Event::Cancelled));
        }
        self.inner.changed.notify_all();
    }

    /// Whether the token is set.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Sleeps for `duration`, or until the token is set: then the answer is false.
    #[must_use]
    pub fn sleep(&self, duration: Duration) -> bool {
        let deadline = Instant::now() + duration;
        let mut guard = lock(&self.inner.listeners);
        loop {
            if self.is_cancelled() {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            guard = self.inner.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn subscribe(&self, sender: &Sender<Event>) -> Subscription {
        let mut listeners = lock(&self.inner.listeners);
        let id = listeners.next;
        listeners.next += 1;
        listeners.senders.insert(id, sender.clone());
        if self.is_cancelled() {
            drop(sender.send(Event::Cancelled));
        }
        Subscription { cancel: self.clone(), id }
    }
}

fn watch_signals(cancel: &Cancel, ready: &Sender<io::Result<()>>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        drop(ready.send(Ok(())));
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            cancel.cancel();
        }
    })
}

struct Subscription {
    cancel: Cancel,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.cancel.inner.listeners).senders.remove(&self.id);
    }
}

enum Event {
    Line(Stream, String),
    Captured(Vec<u8>),
    ReadFailed(io::Error),
    /// A reader reached the end of its pipe.
    Eof,
    InputFailed(io::Error),
    Exited(io::Result<()>),
    Cancelled,
}

/// Which of a child's streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// One line of a child's output, without its line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where it came from.
    pub stream: Stream,
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: &'a str,
}

/// How a streamed call ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The program ended with status 0.
    Exited,
    /// The line callback said that it has seen enough, and the program was stopped.
    Stopped,
}

/// What a child reads.
#[derive(Default)]
pub enum Input {
    /// Nothing.
    #[default]
    Null,
    /// These bytes.
    Bytes(Vec<u8>),
    /// This file, from its current position; the child reads it itself.
    File(File),
    /// Whatever this yields; a failure to read ends the child and the call.
    Reader(Box<dyn Read + Send>),
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("Null"),
            Self::Bytes(bytes) => write!(formatter, "Bytes({})", bytes.len()),
            Self::File(file) => write!(formatter, "File({file:?})"),
            Self::Reader(_) => formatter.write_str("Reader"),
        }
    }
}

/// One call of a program: a value that a [`Runner`] runs.
#[derive(Debug)]
pub struct Call {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    secret_env: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    input: Input,
    output: Option<File>,
    timeout: Option<Duration>,
    grace: Duration,
}

impl Call {
    /// A call of `program` without arguments, input and bound.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            secret_env: Vec::new(),
            directory: None,
            input: Input::Null,
            output: None,
            timeout: None,
            grace: GRACE,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets a variable that is not shown in the command line.
    #[must_use]
    pub fn secret_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.secret_env.push((name.into(), value.into()));
        self
    }

    /// Where the child runs, instead of where we do.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// What the child reads.
    #[must_use]
    pub fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Sends the child's stdout into a file instead of to the caller.
    #[must_use]
    pub fn output(mut self, file: File) -> Self {
        self.output = Some(file);
        self
    }

    /// Bounds the call's time; `None` leaves it unbounded.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How long the child may take to end after SIGTERM (10 s).
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The arguments.
    #[must_use]
    pub fn get_args(&self) -> &[OsString] {
        &self.args
    }

    /// The call as a line that can be pasted into a shell; without what is secret.
    #[must_use]
    pub fn pasteable(&self) -> String {
        let mut words: Vec<String> =
            self.env.iter().map(|(name, value)| format!("{}={}", name.to_string_lossy(), quote(value))).collect();
        words.push(quote(&self.program));
        words.extend(self.args.iter().map(|arg| quote(arg)));
        words.join(" ")
    }

    /// The call as the standard library's `Command`, without its input and bounds.
    #[must_use]
    pub fn to_command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.envs(self.secret_env.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }
}

/// Quotes a word for a POSIX shell where that is needed.
#[must_use]
pub fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

type CommandCallback = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs [`Call`]s. Cheap to clone; all clones share the [`Cancel`] token.
#[derive(Clone, Default)]
pub struct Runner {
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
    pub fn new(cancel: Cancel) -> Self {
        Self { cancel, on_command: None }
    }

    /// Calls `callback` with each command line before it runs (`+ docker …` for the verbose).
    #[must_use]
    pub fn on_command(mut self, callback: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_command = Some(Arc::new(callback));
        self
    }

    /// The token that ends this runner's children.
    #[must_use]
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The same runner for cleaning up: it runs although the token is set.
    #[must_use]
    pub fn for_cleanup(&self) -> Self {
        Self { cancel: Cancel::new(), on_command: self.on_command.clone() }
    }

    /// Runs to the end and drops stdout.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run(&self, call: Call) -> Result<(), RunError> {
        self.drive(call, Mode::Lines, &mut |_| ControlFlow::Continue(())).map(drop)
    }

    /// Runs to the end and returns what was written to stdout, without white space at its end.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_captured(&self, call: Call) -> Result<String, RunError> {
        let (_, bytes) = self.drive(call, Mode::Capture, &mut |_| ControlFlow::Continue(()))?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Like [`Self::run_captured`], while `on_stderr` gets each line of stderr.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_captured_with(&self, call: Call, mut on_stderr: impl FnMut(&str)) -> Result<String, RunError> {
        let (_, bytes) = self.drive(call, Mode::Capture, &mut |line| {
            on_stderr(line.text);
            ControlFlow::Continue(())
        })?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// Runs to the end and parses stdout as JSON.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_json<T: DeserializeOwned>(&self, call: Call) -> Result<T, RunError> {
        let command = call.pasteable();
        let output = self.run_captured(call)?;
        serde_json::from_str(&output).map_err(|source| RunError::Json { command, output, source })
    }

    /// Runs while `on_line` gets each line of stdout and stderr as it comes, on the caller's thread. When it
    /// answers `Break`, the program is stopped.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn stream(&self, call: Call, mut on_line: impl FnMut(Line<'_>) -> ControlFlow<()>) -> Result<Ended, RunError> {
        self.drive(call, Mode::Lines, &mut on_line).map(|(ended, _)| ended)
    }

    /// Runs with the terminal's streams, in the terminal's process group: for what a person talks to. A Ctrl-C is
    /// the program's own affair.
    ///
    /// # Errors
    /// [`RunError::NotInstalled`], [`RunError::Spawn`] or [`RunError::Output`]; a status other than 0 is no error.
    pub fn run_interactive(&self, call: &Call) -> Result<ExitStatus, RunError> {
        let line = call.pasteable();
        self.announce(&line);
        let mut child = call.to_command().spawn().map_err(|source| spawn_error(call, &line, source))?;
        child.wait().map_err(|source| RunError::Output { command: line, source })
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
        let to_file = call.output.is_some();
        command.stdout(call.output.take().map_or_else(Stdio::piped, Stdio::from));
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
        let subscription = self.cancel.subscribe(&sender);
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
        debug_assert!(to_file || readers == 1, "a piped stdout has a reader");
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
            // cannot come to mean somebody else while we still send signals to it.
            let outcome = loop {
                match waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                    Err(nix::errno::Errno::EINTR) => {}
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

enum Exit {
    Ended,
    Unkillable,
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

/// Why the runner ends a child that would have gone on.
enum Stopping {
    Cancelled,
    TimedOut,
    Enough,
    Input(io::Error),
}

struct Progress {
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
    fn new(command: String, timeout: Option<Duration>, grace: Duration, readers: usize, group: Pid) -> Self {
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
    fn watch(&mut self, events: &mpsc::Receiver<Event>, on_line: &mut dyn FnMut(Line<'_>) -> ControlFlow<()>) -> Exit {
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
        Instant::now() + self.grace
    }

    fn kill(&mut self) -> Instant {
        self.killed = true;
        let _ = killpg(self.group, Signal::SIGKILL);
        Instant::now() + AFTER_KILL
    }

    fn conclude(self, status: io::Result<ExitStatus>) -> Result<(Ended, Vec<u8>), RunError> {
        let command = self.command;
        let stderr = Vec::from(self.stderr).join("\n");
        match self.stopping {
            Some(Stopping::Cancelled) => return Err(RunError::Interrupted { command }),
            Some(Stopping::TimedOut) => {
                return Err(RunError::TimedOut { command, after: self.timeout.unwrap_or_default(), stderr });
            }
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

fn read_lines(pipe: impl Read, stream: Stream, sender: &Sender<Event>) {
    let mut pipe = BufReader::new(pipe);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match pipe.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut buffer) {
            Ok(0) => break,
            Ok(_) => {
                let text = String::from_utf8_lossy(&buffer);
                let text = text.trim_end_matches(['\n', '\r']).to_owned();
                if sender.send(Event::Line(stream, text)).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                drop(sender.send(Event::ReadFailed(error)));
                break;
            }
        }
    }
    drop(sender.send(Event::Eof));
}

fn capture(pipe: impl Read, sender: &Sender<Event>) {
    let mut bytes = Vec::new();
    let outcome = pipe.take(MOST_CAPTURED + 1).read_to_end(&mut bytes);
    let event = match outcome {
        Err(error) => Event::ReadFailed(error),
        Ok(_) if bytes.len() as u64 > MOST_CAPTURED => {
            Event::ReadFailed(io::Error::new(io::ErrorKind::FileTooLarge, "more output than 64 MiB"))
        }
        Ok(_) => Event::Captured(bytes),
    };
    drop(sender.send(event));
    drop(sender.send(Event::Eof));
}

fn feed_input(reader: &mut dyn Read, mut stdin: impl Write, sender: &Sender<Event>) {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            // A child that does not want more says with its status whether that is an error.
            Ok(count) => {
                if buffer.get(..count).is_none_or(|bytes| stdin.write_all(bytes).is_err()) {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // Sent before stdin is closed: the child must not be seen to end well on half of its input.
                drop(sender.send(Event::InputFailed(error)));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Call {
        Call::new("sh").args(["-c", script])
    }

    fn gone(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"))
    }

    #[test]
    fn stdout_is_captured_and_stderr_goes_into_the_error() {
        let runner = Runner::default();
        assert_eq!(runner.run_captured(sh("echo out; echo err >&2")).unwrap(), "out");
        let error = runner.run(sh("seq 1 100 >&2; exit 3")).unwrap_err();
        assert_eq!(error.code(), Some(3));
        assert_eq!(error.stderr().lines().count(), TAIL_LINES);
        assert!(error.to_string().starts_with("`sh -c 'seq 1 100 >&2; exit 3'` failed (exit status: 3):\n71\n"));
    }

    #[test]
    fn json_and_what_is_none() {
        let runner = Runner::default();
        assert_eq!(runner.run_json::<Vec<u8>>(sh("echo '[1, 2]'")).unwrap(), [1, 2]);
        let error = runner.run_json::<Vec<u8>>(sh("echo nonsense")).unwrap_err();
        assert!(error.to_string().contains("it begins with `nonsense`"), "{error}");
    }

    #[test]
    fn a_missing_program_is_its_own_error() {
        let error = Runner::default().run(Call::new("kubake-no-such-program")).unwrap_err();
        assert!(matches!(error, RunError::NotInstalled { .. }), "{error}");
    }

    #[test]
    fn lines_of_both_streams_come_apart_and_break_stops() {
        let mut lines = Vec::new();
        let ended = Runner::default()
            .stream(sh("echo a; echo b >&2; printf c"), |line| {
                lines.push((line.stream, line.text.to_owned()));
                ControlFlow::Continue(())
            })
            .unwrap();
        lines.sort_by(|a, b| a.1.cmp(&b.1));
        assert_eq!(ended, Ended::Exited);
        assert_eq!(
            lines,
            [(Stream::Stdout, "a".into()), (Stream::Stderr, "b".into()), (Stream::Stdout, "c".to_owned())]
        );
        let begin = Instant::now();
        let ended = Runner::default().stream(sh("echo ready; exec sleep 60"), |_| ControlFlow::Break(())).unwrap();
        assert_eq!(ended, Ended::Stopped);
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn input_from_bytes_and_files_and_readers() {
        let runner = Runner::default();
        let big = vec![b'x'; 1_000_000];
        let count = runner.run_captured(sh("wc -c").input(Input::Bytes(big.clone()))).unwrap();
        assert_eq!(count, "1000000");
        let reader: Box<dyn Read + Send> = Box::new(io::Cursor::new(big));
        // A child that reads nothing is no error.
        runner.run(Call::new("true").input(Input::Reader(reader))).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "text").unwrap();
        let input = Input::File(File::open(file.path()).unwrap());
        assert_eq!(runner.run_captured(Call::new("cat").input(input)).unwrap(), "text");
    }

    struct Broken(bool);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("disk on fire"));
            }
            buffer[0] = b'x';
            Ok(1)
        }
    }

    #[test]
    fn half_an_input_is_an_error_although_the_child_ends_well() {
        let call = sh("cat >/dev/null; exit 0").input(Input::Reader(Box::new(Broken(false))));
        let error = Runner::default().run(call).unwrap_err();
        assert!(matches!(error, RunError::Input { .. }), "{error}");
    }

    #[test]
    fn output_goes_to_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        Runner::default().run(sh("echo text").output(file.reopen().unwrap())).unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "text\n");
    }

    #[test]
    fn a_bound_ends_the_whole_group_even_if_it_ignores_sigterm() {
        let mut pids = Vec::new();
        let call = sh("trap '' TERM; sleep 60 & echo $! $$; wait; wait; sleep 60")
            .timeout(Duration::from_millis(300))
            .grace(Duration::from_millis(300));
        let error = Runner::default()
            .stream(call, |line| {
                pids.extend(line.text.split(' ').map(str::to_owned));
                ControlFlow::Continue(())
            })
            .unwrap_err();
        assert!(matches!(error, RunError::TimedOut { .. }), "{error}");
        assert_eq!(pids.len(), 2);
        let deadline = Instant::now() + Duration::from_secs(5);
        while !pids.iter().all(|pid| gone(pid)) {
            assert!(Instant::now() < deadline, "{pids:?} live");
            thread::yield_now();
        }
    }

    #[test]
    fn cancelling_lets_the_child_clean_up_and_is_reported_as_such() {
        let cancel = Cancel::new();
        let runner = Runner::new(cancel.clone());
        let mut lines = Vec::new();
        let token = cancel.clone();
        let call = sh("trap 'echo cleaned > \"$OUT\"; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = runner
            .stream(call.env("OUT", file.path()), |line| {
                lines.push(line.text.to_owned());
                token.cancel();
                ControlFlow::Continue(())
            })
            .unwrap_err();
        assert!(error.is_interrupted(), "{error}");
        assert_eq!(lines, ["ready"]);
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "cleaned\n");
        // Nothing starts any more, but for cleaning up.
        assert!(runner.run(Call::new("true")).unwrap_err().is_interrupted());
        runner.for_cleanup().run(Call::new("true")).unwrap();
        assert!(!cancel.sleep(Duration::from_secs(60)));
    }

    #[test]
    fn cancelling_twice_kills_at_once() {
        let cancel = Cancel::new();
        let token = cancel.clone();
        let begin = Instant::now();
        let call = sh("trap '' TERM; echo ready; while :; do sleep 0.05; done").grace(Duration::from_secs(60));
        let error = Runner::new(cancel)
            .stream(call, |_| {
                token.cancel();
                let token = token.clone();
                thread::spawn(move || token.cancel());
                ControlFlow::Continue(())
            })
            .unwrap_err();
        assert!(error.is_interrupted(), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_grandchild_that_keeps_the_pipe_does_not_keep_us() {
        let begin = Instant::now();
        let output = Runner::default();
        output.run(sh("sleep 30 & exit 0")).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn command_lines_can_be_pasted_and_hold_no_secret() {
        let call = Call::new("docker")
            .args(["run", "-e", "PASSWORD", "a b", "it's", ""])
            .env("DOCKER_BUILDKIT", "1")
            .secret_env("PASSWORD", "hunter2");
        assert_eq!(call.pasteable(), r"DOCKER_BUILDKIT=1 docker run -e PASSWORD 'a b' 'it'\''s' ''");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let runner = Runner::default().on_command(move |line| lock(&log).push(line.to_owned()));
        runner.run(Call::new("true").arg("x")).unwrap();
        assert_eq!(*lock(&seen), ["true x"]);
    }
}
