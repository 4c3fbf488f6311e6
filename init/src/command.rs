//! Runs short-lived programs: bounded in time, output captured or passed on line by line, errors that name the
//! command as it could be typed. Daemons are `supervisor`'s.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;

use kubake_contract::env;
use kubake_contract::proxies;

/// How much of a program's output is kept for an error.
const TAIL_LINES: usize = 20;
/// How much output is captured at the most.
const CAPTURE_LIMIT: u64 = 64 << 20;

/// How long output is still read of a program that has ended, where something in the background may go on writing.
const LINGERING: Duration = Duration::from_millis(500);

/// A program that did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// It could not be started.
    #[error("cannot run `{command}`")]
    Spawn {
        /// As it could be typed.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// It said no.
    #[error("`{command}` ended with {status}:\n{output}")]
    Failed {
        /// As it could be typed.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        output: String,
    },
    /// It took too long and was killed.
    #[error("`{command}` did not end within {} s and was killed; its last output:\n{output}", timeout.as_secs())]
    TimedOut {
        /// As it could be typed.
        command: String,
        /// The bound.
        timeout: Duration,
        /// The end of its output.
        output: String,
    },
}

/// A program to run.
#[derive(Debug)]
pub(crate) struct Run {
    command: Command,
    shown: String,
    timeout: Duration,
    masked: Vec<String>,
}

impl Run {
    /// By name (from PATH) or path. The bound is 60 s unless said otherwise.
    #[must_use]
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        for name in env::SECRETS.into_iter().chain(proxies::VARIABLES) {
            command.env_remove(name);
        }
        Self {
            command,
            shown: program.as_ref().to_string_lossy().into_owned(),
            timeout: Duration::from_secs(60),
            masked: Vec::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        let _ = write!(self.shown, " {}", arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub(crate) fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub(crate) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Sets the bound.
    #[must_use]
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Texts that are replaced by `***` in what [`Run::stream`] passes on and in its errors.
    #[must_use]
    pub(crate) fn masked(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.masked.extend(texts.into_iter().filter(|text| !text.is_empty()));
        // The longest first: a text may be a part of another one.
        self.masked.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self
    }

    /// Runs it and returns what it wrote to stdout.
    ///
    /// # Errors
    /// When it cannot be started, fails or takes too long.
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

    /// Runs it and hands each line of stdout and stderr to `on_line` as it comes, with [`Run::masked`] texts replaced. Ends
    /// when the program does, also where something that it left in the background holds its output open.
    ///
    /// # Errors
    /// When it cannot be started, fails or takes too long; with the last lines. Whoever takes too long is killed with all
    /// that it started.
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
        // A broken pipe ends the output, as the end of the program does; its status decides.
        let _ = pipe.take(CAPTURE_LIMIT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Lines of a pipe, whatever bytes they hold. Reading can be given up at any time and loses nothing.
struct Lines<R> {
    reader: BufReader<R>,
    begun: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(pipe: R) -> Self {
        Self { reader: BufReader::new(pipe), begun: Vec::new() }
    }

    async fn next(&mut self) -> Option<String> {
        // A broken pipe ends the output, as the end of the program does; its status decides.
        let count = self.reader.read_until(b'\n', &mut self.begun).await.unwrap_or_default();
        if count == 0 && self.begun.is_empty() {
            return None;
        }
        let line = std::mem::take(&mut self.begun);
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
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

/// A program's process group, killed when this is dropped before the program has ended: a shell that is killed leaves
/// what it waited for.
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
            // It may have ended this moment.
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

    #[test]
    fn secrets_and_proxies_are_not_handed_on() {
        let run = Run::new("sh");
        for name in ["KUBAKE_TOKEN", "KUBAKE_CA_KEY", "REGISTRY_PASSWORD", "HTTPS_PROXY", "http_proxy"] {
            assert!(run.command.as_std().get_envs().any(|removed| removed == (OsStr::new(name), None)), "{name}");
        }
    }

    #[tokio::test]
    async fn lines_of_both_streams_arrive() {
        let mut lines = Vec::new();
        Run::new("sh").args(["-c", "echo a; echo b >&2"]).stream(|line| lines.push(line.to_owned())).await.unwrap();
        lines.sort();
        assert_eq!(lines, ["a", "b"]);
    }

    #[tokio::test]
    async fn what_is_masked_is_in_no_line_and_no_error() {
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
    async fn what_stays_in_the_background_is_not_waited_for() {
        let began = std::time::Instant::now();
        let mut lines = Vec::new();
        let run = Run::new("sh").args(["-c", "sleep 20 & echo $!"]).timeout(Duration::from_secs(10));
        run.stream(|line| lines.push(line.to_owned())).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        let left = Pid::from_raw(lines[0].parse().unwrap());
        // It was left alone, and is ours to end.
        nix::sys::signal::kill(left, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    #[tokio::test]
    async fn who_takes_too_long_is_killed_with_all_that_it_started() {
        let mut lines = Vec::new();
        let run = Run::new("sh").args(["-c", "sleep 20 & echo $!; wait"]).timeout(Duration::from_millis(500));
        let error = run.stream(|line| lines.push(line.to_owned())).await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        let stat = format!("/proc/{}/stat", lines[0]);
        let is_gone = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while !is_gone() {
            assert!(std::time::Instant::now() < deadline, "it still runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_killed() {
        let error = Run::new("sleep").arg("60").timeout(Duration::from_millis(50)).capture().await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    }
}
