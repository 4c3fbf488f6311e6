//! Runs short-lived programs with a time limit; captures their output or passes it on line by line. Errors show the command
//! as a user would type it. `supervisor` runs daemons.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::variables;

/// Lines of a program's output that an error shows.
const TAIL_LINES: usize = 20;
/// Limit of captured output in bytes.
const CAPTURE_LIMIT: u64 = 64 << 20;

/// How long to read output after a program ended, because a background process may keep writing.
const LINGERING: Duration = Duration::from_millis(500);
/// The longest line that is passed on at once; the rest follows as further lines.
const LONGEST_LINE: usize = 16 << 10;

/// A program that failed. `command` is the command line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("cannot run `{command}`")]
    Spawn { command: String, source: std::io::Error },
    #[error("`{command}` ended with {status}:\n{output}")]
    Failed { command: String, status: ExitStatus, output: String },
    #[error("`{command}` did not end within {} s and was killed; its last output:\n{output}", timeout.as_secs())]
    TimedOut { command: String, timeout: Duration, output: String },
}

/// A program to run, with its arguments and limits.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    shown: String,
    timeout: Duration,
    masked: Vec<String>,
}

impl Run {
    /// Takes a name (found in PATH) or a path. The default time limit is 60 s.
    #[must_use]
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        command.env_clear().envs(variables::of_node());
        Self {
            command,
            shown: program.as_ref().to_string_lossy().into_owned(),
            timeout: Duration::from_secs(60),
            masked: Vec::new(),
        }
    }

    #[must_use]
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        let _ = write!(self.shown, " {}", arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    #[must_use]
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// Gives the program the variables of hooks instead of those of the node's own programs. Removes those of earlier
    /// calls of [`Self::env`].
    #[must_use]
    pub(crate) fn with_hook_variables(mut self) -> Self {
        self.command.env_clear().envs(variables::of_hooks());
        self
    }

    #[must_use]
    pub(crate) fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    #[must_use]
    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    #[must_use]
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Replaces these texts by `***` in the lines and errors of [`Run::stream`].
    #[must_use]
    pub(crate) fn masked(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.masked.extend(texts.into_iter().filter(|text| !text.is_empty()));
        // The longest first, because a text may be part of another.
        self.masked.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self
    }

    /// Runs the program and returns its stdout.
    ///
    /// # Errors
    /// When the program cannot be started, fails or exceeds the time limit.
    pub(crate) async fn capture(mut self) -> Result<String, CommandError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let finished = tokio::time::timeout(self.timeout, async {
            let (out, err) = tokio::join!(read_all(stdout), read_all(stderr));
            (child.wait().await, out, err)
        })
        .await;
        match finished {
            Ok((Ok(status), out, _)) if status.success() => Ok(out),
            Ok((Ok(status), out, err)) => {
                let output = last_lines(&format!("{out}{err}"));
                Err(CommandError::Failed { command: self.shown, status, output })
            }
            Ok((Err(source), ..)) => Err(CommandError::Spawn { command: self.shown, source }),
            Err(_) => Err(CommandError::TimedOut { command: self.shown, timeout: self.timeout, output: String::new() }),
        }
    }

    /// Runs the program and passes each line of stdout and stderr to `on_line` at once, with [`Run::masked`] texts replaced.
    /// Returns when the program ends, even if a background process keeps its output open: what that one writes afterwards is
    /// read and dropped, because a closed pipe would end it.
    ///
    /// # Errors
    /// When the program cannot be started, fails or exceeds the time limit; with its last lines. At the time limit the program
    /// and its child processes are killed.
    pub(crate) async fn stream(mut self, mut on_line: impl FnMut(&str)) -> Result<(), CommandError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let group = Group::of(&child);
        let mut out = child.stdout.take().map(Lines::new);
        let mut err = child.stderr.take().map(Lines::new);
        let mut last: Vec<String> = Vec::new();
        let masked = std::mem::take(&mut self.masked);
        let mut keep = |line: String| {
            let line = mask(line, &masked);
            on_line(&line);
            if last.len() == TAIL_LINES {
                last.remove(0);
            }
            last.push(format!("  {line}"));
        };
        let mut ended = None;
        let finished = tokio::time::timeout(self.timeout, async {
            let lingering = tokio::time::sleep(Duration::ZERO);
            tokio::pin!(lingering);
            while out.is_some() || err.is_some() {
                tokio::select! {
                    line = next_line(&mut out), if out.is_some() => if let Some(line) = line { keep(line) } else { out = None },
                    line = next_line(&mut err), if err.is_some() => if let Some(line) = line { keep(line) } else { err = None },
                    status = child.wait(), if ended.is_none() => {
                        ended = Some(status);
                        lingering.as_mut().reset(tokio::time::Instant::now() + LINGERING);
                    }
                    () = &mut lingering, if ended.is_some() => break,
                }
            }
            match ended.take() {
                Some(status) => status,
                None => child.wait().await,
            }
        })
        .await;
        let output = last.join("\n");
        if finished.is_ok() {
            group.release();
            tokio::spawn(drain(out));
            tokio::spawn(drain(err));
        }
        match finished {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(CommandError::Failed { command: self.shown, status, output }),
            Ok(Err(source)) => Err(CommandError::Spawn { command: self.shown, source }),
            Err(_) => Err(CommandError::TimedOut { command: self.shown, timeout: self.timeout, output }),
        }
    }

    fn spawn(&mut self) -> Result<tokio::process::Child, CommandError> {
        tracing::debug!("+ {}", self.shown);
        self.command.spawn().map_err(|source| CommandError::Spawn { command: self.shown.clone(), source })
    }
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // A broken pipe ends the output, as the program's end does; the exit status decides.
        let _ = pipe.take(CAPTURE_LIMIT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until no process writes any more.
async fn drain<R: AsyncRead + Unpin>(pipe: Option<Lines<R>>) {
    if let Some(mut lines) = pipe {
        // A broken pipe ends the output.
        let _ = tokio::io::copy_buf(&mut lines.reader, &mut tokio::io::sink()).await;
    }
}

/// Lines of a pipe with any bytes, in bounded memory. A cancelled read loses nothing.
struct Lines<R> {
    reader: BufReader<R>,
    begun: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(pipe: R) -> Self {
        Self { reader: BufReader::new(pipe), begun: Vec::new() }
    }

    /// The next line, or the next [`LONGEST_LINE`] bytes of a longer one.
    async fn next(&mut self) -> Option<String> {
        loop {
            // A broken pipe ends the output, as the program's end does; the exit status decides.
            let available = self.reader.fill_buf().await.unwrap_or_default();
            if available.is_empty() {
                return (!self.begun.is_empty()).then(|| self.take());
            }
            let room = available.len().min(LONGEST_LINE - self.begun.len());
            let end = available[..room].iter().position(|byte| *byte == b'\n');
            let used = end.map_or(room, |end| end + 1);
            self.begun.extend_from_slice(&available[..used]);
            self.reader.consume(used);
            if end.is_some() || self.begun.len() == LONGEST_LINE {
                return Some(self.take());
            }
        }
    }

    fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.begun);
        String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
    }
}

async fn next_line<R: AsyncRead + Unpin>(lines: &mut Option<Lines<R>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next().await,
        None => None,
    }
}

fn mask(line: String, texts: &[String]) -> String {
    texts.iter().fold(line, |line, text| if line.contains(text) { line.replace(text, "***") } else { line })
}

/// A program's process group. Dropping it before the program ended kills the group, because a killed shell leaves its child
/// processes running.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // ESRCH: the group has just ended.
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..]
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_is_captured_and_failure_shows_the_command() {
        assert_eq!(Run::new("sh").args(["-c", "echo out; echo err >&2"]).capture().await.unwrap(), "out\n");
        let error = Run::new("sh").args(["-c", "echo broken >&2; exit 4"]).capture().await.unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("exit status: 4") && error.contains("broken"), "{error}");
        let error = Run::new("/nonexistent").capture().await.unwrap_err().to_string();
        assert!(error.contains("cannot run `/nonexistent`"), "{error}");
    }

    #[tokio::test]
    async fn programs_see_the_nodes_variables_only() {
        // cargo sets CARGO_MANIFEST_DIR for each test.
        let variables = Run::new("env").env("MORE", "1").capture().await.unwrap();
        let names: Vec<&str> = variables.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(names.contains(&"PATH") && names.contains(&"HOME") && names.contains(&"MORE"), "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("CARGO")), "{names:?}");
        let variables = Run::new("env").with_hook_variables().capture().await.unwrap();
        assert!(variables.contains("CARGO_MANIFEST_DIR="), "{variables}");
    }

    #[tokio::test]
    async fn lines_of_both_streams_arrive() {
        let mut lines = Vec::new();
        Run::new("sh").args(["-c", "echo a; echo b >&2"]).stream(|line| lines.push(line.to_owned())).await.unwrap();
        lines.sort();
        assert_eq!(lines, ["a", "b"]);
    }

    #[tokio::test]
    async fn masked_texts_are_in_no_line_and_no_error() {
        let mut lines = Vec::new();
        let error = Run::new("sh")
            .args(["-c", "echo \"a $SECRET b\"; printf 'no utf-8: \\377\\n'; echo \"$SECRET\" >&2; exit 3"])
            .env("SECRET", "hunter2hunter")
            .masked(["hunter2".to_owned(), "hunter2hunter".to_owned(), String::new()])
            .stream(|line| lines.push(line.to_owned()))
            .await
            .unwrap_err();
        lines.sort();
        assert_eq!(lines, ["***", "a *** b", "no utf-8: \u{fffd}"]);
        assert!(error.to_string().contains("a *** b") && !error.to_string().contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn background_processes_are_not_waited_for() {
        let began = std::time::Instant::now();
        let mut lines = Vec::new();
        let run = Run::new("sh").args(["-c", "sleep 20 & echo $!"]).timeout(Duration::from_secs(10));
        run.stream(|line| lines.push(line.to_owned())).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        let left = Pid::from_raw(lines[0].parse().unwrap());
        // The run leaves the background process to its caller.
        nix::sys::signal::kill(left, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    #[tokio::test]
    async fn a_background_process_may_write_for_as_long_as_it_runs() {
        let directory = tempfile::tempdir().unwrap();
        let script = "(sleep 1; echo later && echo more && touch survived) & echo begun";
        Run::new("sh").args(["-c", script]).directory(directory.path()).stream(|_| {}).await.unwrap();
        let survived = directory.path().join("survived");
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !survived.exists() {
            assert!(std::time::Instant::now() < deadline, "its first output ended the background process");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[tokio::test]
    async fn endless_lines_arrive_in_parts() {
        let mut lengths = Vec::new();
        let run = Run::new("sh").args(["-c", "head -c 40000 /dev/zero; echo; echo end"]);
        run.stream(|line| lengths.push(line.len())).await.unwrap();
        assert_eq!(lengths, [LONGEST_LINE, LONGEST_LINE, 40000 - 2 * LONGEST_LINE, 3]);
    }

    #[tokio::test]
    async fn a_program_over_the_time_limit_is_killed_with_its_children() {
        let mut lines = Vec::new();
        let run = Run::new("sh").args(["-c", "sleep 20 & echo $!; wait"]).timeout(Duration::from_millis(500));
        let error = run.stream(|line| lines.push(line.to_owned())).await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        let stat = format!("/proc/{}/stat", lines[0]);
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while !is_gone() {
            assert!(std::time::Instant::now() < deadline, "the child still runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_captured_program_over_the_time_limit_is_killed() {
        let error = Run::new("sleep").arg("60").timeout(Duration::from_millis(50)).capture().await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    }
}
