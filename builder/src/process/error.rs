//! How a program can fail, with the command line and the end of its stderr.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

use crate::advice::Advice;

/// Why a program did not do what it was asked to.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// The program does not exist.
    #[error("`{program}` is not installed or not on PATH; install it and try again")]
    NotInstalled {
        /// Its name as it was looked for.
        program: String,
    },
    /// The program could not be started.
    #[error("failed to start `{command}`")]
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
    /// The program wanted to ask the user. It runs in the background, so that Ctrl-C reaches `kubake` alone.
    #[error(
        "`{command}` asks on the terminal, for a passphrase or a password, and kubake passes no questions on; unlock it \
         first (`ssh-add`, `docker login`, `sudo -v`) and try again"
    )]
    AsksTerminal {
        /// The command line.
        command: String,
    },
    /// What should have become the program's input could not be read.
    #[error("failed to read the input of `{command}`")]
    Input {
        /// The command line.
        command: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program's output could not be read, or waiting for it failed.
    #[error("failed to read the output of `{command}`")]
    Output {
        /// The command line.
        command: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program's output is not the JSON it should be.
    #[error("failed to parse the output of `{command}`: {}", excerpt(.output))]
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
    pub(crate) fn is_not_found(&self) -> bool {
        let Self::Failed { stderr, .. } = self else { return false };
        let stderr = stderr.to_ascii_lowercase();
        // "no such object", "no such container", "network x not found", podman: "no container with name", "image not known".
        ["no such ", "not found", "not known", "no container with name"].iter().any(|hint| stderr.contains(hint))
    }

    /// The exit code where the program ran and ended by itself with one.
    #[must_use]
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Failed { status, .. } => status.code(),
            _ => None,
        }
    }

    /// The last lines of stderr; empty where there are none.
    #[must_use]
    pub(crate) fn stderr(&self) -> &str {
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
