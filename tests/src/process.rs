//! Runs programs: output is captured (and shown meanwhile where a run takes minutes), time is bounded, and a child
//! never outlives the test that started it.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::poll;

/// How long a child may take to clean up after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// How a program ended, and its output.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its command line, for messages.
    pub command: String,
    /// Exit code or signal.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How long it took.
    pub elapsed: Duration,
}

impl Output {
    /// Its stdout, if it succeeded.
    ///
    /// # Errors
    /// When it did not; with its whole output.
    pub fn success(self) -> Result<String> {
        ensure!(self.status.success(), "failed: {self}");
        Ok(self.stdout)
    }

    /// Its stderr, if it failed with this exit code.
    ///
    /// # Errors
    /// When it ended otherwise; with its whole output.
    pub fn failure(self, code: i32) -> Result<String> {
        ensure!(self.status.code() == Some(code), "should have ended with code {code}: {self}");
        Ok(self.stderr)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}` ended with {} after {:.1} s\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.command,
            self.status,
            self.elapsed.as_secs_f64(),
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

/// Runs a program to its end.
///
/// # Errors
/// When it cannot be started or takes longer than `patience`; its exit code is not judged.
pub fn run(command: &mut Command, patience: Duration) -> Result<Output> {
    Background::start(command, Show::Nothing)?.wait(patience)
}

/// Runs a program to its end and passes its stdout on while it runs: for output that is too large to keep.
///
/// # Errors
/// When it cannot be started, fails or takes longer than `patience`, and when `read` fails.
pub fn stream<T>(
    command: &mut Command,
    patience: Duration,
    read: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let (background, mut stdout) = Background::start_piped(command, Show::Nothing)?;
    let id = Pid::from_raw(i32::try_from(background.id()).context("a process id does not fit")?);
    let (done, waits) = mpsc::channel::<()>();
    // Ends a read that would wait for ever. The child is not waited for before this has ended, so the id is its own.
    let watchdog = thread::spawn(move || {
        let is_late = waits.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
        is_late && kill(id, Signal::SIGKILL).is_ok()
    });
    let result = read(&mut stdout);
    drop(done);
    drop(stdout);
    let is_late = watchdog.join().unwrap_or_default();
    ensure!(!is_late, "`{}` takes longer than {} s", background.command, patience.as_secs());
    // A failed program explains errors in its output; one that ended because its output was closed does not.
    let output = background.wait(patience.saturating_sub(started.elapsed()).max(GRACE))?;
    match result {
        Err(error) if output.status.signal() == Some(Signal::SIGPIPE as i32) => Err(error),
        result => output.success().and(result),
    }
}

/// Whether a program's stderr appears on ours while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// It does not appear.
    Nothing,
    /// It does, so that progress is visible.
    Stderr,
}

/// A program that runs. Dropping it sends SIGTERM, and SIGKILL if it does not end.
#[derive(Debug)]
pub struct Background {
    child: Child,
    command: String,
    started: Instant,
    stdout: Stream,
    stderr: Stream,
}

impl Background {
    /// Starts a program; its stdin is empty unless `command` says otherwise.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, show: Show) -> Result<Self> {
        let (mut background, stdout) = Self::start_piped(command, show)?;
        background.stdout = Stream::follow(stdout, Show::Nothing);
        Ok(background)
    }

    /// The same with a stdout that is the caller's to read.
    fn start_piped(command: &mut Command, show: Show) -> Result<(Self, ChildStdout)> {
        let line = command_line(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        let stdout = child.stdout.take().context("the child's stdout was not piped")?;
        let stderr = child.stderr.take().context("the child's stderr was not piped")?;
        let background = Self {
            child,
            command: line,
            started: Instant::now(),
            stdout: Stream::follow(io::empty(), Show::Nothing),
            stderr: Stream::follow(stderr, show),
        };
        Ok((background, stdout))
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).context("a process id does not fit")?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("cannot send {signal} to `{}`", self.command))
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for `{}`", self.command))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it takes longer than `patience`.
    pub fn wait(mut self, patience: Duration) -> Result<Output> {
        let status = self.wait_status(patience)?;
        let elapsed = self.started.elapsed();
        self.stdout.finish();
        self.stderr.finish();
        Ok(Output { command: self.command.clone(), status, stdout: self.stdout(), stderr: self.stderr(), elapsed })
    }

    fn wait_status(&mut self, patience: Duration) -> Result<ExitStatus> {
        let ended = poll::until("the program's end", patience, || self.ended()?.ok_or_else(|| anyhow!("it runs")));
        ended.with_context(|| {
            format!(
                "`{}`\n--- stdout\n{}\n--- stderr\n{}\n---",
                self.command,
                self.stdout().trim_end(),
                self.stderr().trim_end()
            )
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(Some(_))) {
            return;
        }
        // SIGTERM first: then `kubake` removes its containers.
        let stopped = self.signal(Signal::SIGTERM).and_then(|()| self.wait_status(GRACE));
        if stopped.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// One of a child's streams, read by a thread so that the child never waits for us.
#[derive(Debug)]
struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn follow(mut source: impl Read + Send + 'static, show: Show) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count) = source.read(&mut buffer) {
                let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { return };
                lock(&sink).extend_from_slice(chunk);
                if show == Show::Stderr {
                    // stderr may be closed; that ends no test.
                    let _ = io::stderr().write_all(chunk);
                }
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }

    /// Waits until all has been read, but not for a grandchild that holds the pipe open.
    fn finish(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        let _ = poll::until("the end of the output", Duration::from_secs(2), || {
            ensure!(reader.is_finished(), "a grandchild holds it open");
            Ok(())
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A reader that panicked left the bytes that it had read.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn command_line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let is_plain = !argument.is_empty() && !argument.contains([' ', '\'', '"', '\n', '$']);
        line.push(' ');
        line.push_str(&if is_plain { argument.into_owned() } else { format!("{argument:?}") });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_code_are_kept() {
        let output = run(&mut shell("echo out; echo err >&2; exit 3"), PATIENCE).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
        assert!(output.clone().success().unwrap_err().to_string().contains("err"));
        assert_eq!(output.failure(3).unwrap(), "err\n");
    }

    #[test]
    fn what_takes_too_long_is_ended_and_its_output_shown() {
        let error = run(&mut shell("echo begun; exec sleep 60"), Duration::from_millis(300)).unwrap_err();
        assert!(format!("{error:#}").contains("begun"), "{error:#}");
    }

    #[test]
    fn a_stream_is_read_and_its_end_judged() {
        let text = |script: &str, patience| {
            stream(&mut shell(script), patience, |stdout| Ok(io::read_to_string(stdout)?)).map_err(|e| format!("{e:#}"))
        };
        assert_eq!(text("echo all", PATIENCE).unwrap(), "all\n");
        let error = text("echo half; echo why >&2; exit 1", PATIENCE).unwrap_err();
        assert!(error.contains("why"), "{error}");
        let error = text("echo half; exec sleep 60", Duration::from_millis(300)).unwrap_err();
        assert!(error.contains("takes longer"), "{error}");
        // The reader's error counts, not the end of a program whose output is closed.
        let error = stream(&mut shell("exec yes"), PATIENCE, |_| -> Result<()> { Err(anyhow!("enough")) }).unwrap_err();
        assert_eq!(error.to_string(), "enough");
    }

    #[test]
    fn a_signal_reaches_the_child() {
        // SIGTERM, because a shell cannot trap what its parent ignores, and SIGINT is ignored in background jobs of one.
        // `wait`, because a signal must not find the shell between fork and exec.
        let script = "trap 'kill $!; echo caught; exit 5' TERM; sleep 60 & echo armed; wait";
        let child = Background::start(&mut shell(script), Show::Nothing).unwrap();
        poll::until("armed", PATIENCE, || {
            ensure!(child.stdout().contains("armed"), "not yet");
            Ok(())
        })
        .unwrap();
        child.signal(Signal::SIGTERM).unwrap();
        let output = child.wait(PATIENCE).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_str()), (Some(5), "armed\ncaught\n"));
    }
}
