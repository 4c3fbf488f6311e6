//! Runs short-lived programs: bounded in time, output captured or passed on line by line, errors that name the
//! command as it could be typed. Daemons are `supervisor`'s.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::contract::env;
use crate::proxies;

/// How much of a program's output is kept for an error.
const TAIL_LINES: usize = 20;
/// How much output is captured at the most.
const CAPTURE_LIMIT: u64 = 64 << 20;

/// A program that did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
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
pub struct Run {
    command: Command,
    shown: String,
    timeout: Duration,
}

impl Run {
    /// By name (from PATH) or path. The bound is 60 s unless said otherwise.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        for name in env::SECRETS.into_iter().chain(proxies::VARIABLES) {
            command.env_remove(name);
        }
        Self { command, shown: program.as_ref().to_string_lossy().into_owned(), timeout: Duration::from_secs(60) }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        let _ = write!(self.shown, " {}", arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Sets the bound.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it and returns what it wrote to stdout.
    ///
    /// # Errors
    /// When it cannot be started, fails or takes too long.
    pub async fn capture(mut self) -> Result<String, CommandError> {
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

    /// Runs it and hands each line of stdout and stderr to `on_line` as it comes.
    ///
    /// # Errors
    /// When it cannot be started, fails or takes too long; with the last lines.
    pub async fn stream(mut self, mut on_line: impl FnMut(&str)) -> Result<(), CommandError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        let mut out = child.stdout.take().map(|pipe| BufReader::new(pipe).lines());
        let mut err = child.stderr.take().map(|pipe| BufReader::new(pipe).lines());
        let mut last: Vec<String> = Vec::new();
        let mut keep = |line: String| {
            on_line(&line);
            if last.len() == TAIL_LINES {
                last.remove(0);
            }
            last.push(format!("  {line}"));
        };
        let finished = tokio::time::timeout(self.timeout, async {
            while out.is_some() || err.is_some() {
                tokio::select! {
                    line = next_line(&mut out), if out.is_some() => if let Some(line) = line { keep(line) } else { out = None },
                    line = next_line(&mut err), if err.is_some() => if let Some(line) = line { keep(line) } else { err = None },
                }
            }
            child.wait().await
        })
        .await;
        let output = last.join("\n");
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

async fn next_line<R: AsyncRead + Unpin>(lines: &mut Option<tokio::io::Lines<BufReader<R>>>) -> Option<String> {
    match lines {
        Some(lines) => lines.next_line().await.unwrap_or_default(),
        None => None,
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
    async fn a_program_that_takes_too_long_is_killed() {
        let error = Run::new("sleep").arg("60").timeout(Duration::from_millis(50)).capture().await.unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    }
}
