//! What happens in a container: its logs, files and commands.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::args::Args;
use super::engine_command::{EngineCommand, QUICK};

/// `logs`; the container's stdout and stderr stay apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logs {
    /// Name or id.
    pub(crate) container: String,
    /// Go on until the container ends.
    pub(crate) follow: bool,
    /// Only this many lines from the end.
    pub(crate) tail: Option<u32>,
    /// Only what is younger: a time stamp or a duration such as `10m`.
    pub(crate) since: Option<String>,
}

impl Logs {
    /// Everything, to the end of the container's life.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn follow(container: impl Into<String>) -> Self {
        Self { container: container.into(), follow: true, tail: None, since: None }
    }

    /// The last lines.
    #[must_use]
    pub(crate) fn tail(container: impl Into<String>, lines: u32) -> Self {
        Self { container: container.into(), follow: false, tail: Some(lines), since: None }
    }
}

impl EngineCommand for Logs {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["logs"])
            .flag("--follow", self.follow)
            .option("--tail", self.tail.map(|lines| lines.to_string()))
            .option("--since", self.since.as_ref())
            .word(&self.container)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        if self.follow { None } else { Some(QUICK) }
    }
}

/// `cp` of a file or directory into a container, which need not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyInto {
    /// What; `-` is a tar stream on stdin, which is unpacked in the directory `target`.
    pub(crate) source: PathBuf,
    /// Name or id.
    pub(crate) container: String,
    pub(crate) target: String,
    /// Keep user and group numbers (only for what is not `-`: a tar stream always keeps its own).
    pub(crate) archive: bool,
}

impl EngineCommand for CopyInto {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["cp"])
            .flag("--archive", self.archive)
            .word(&self.source)
            .word(format!("{}:{}", self.container, self.target))
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// `cp` of a file or directory out of a container, which need not run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg(test)]
pub(crate) struct CopyFrom {
    /// Name or id.
    pub(crate) container: String,
    pub(crate) source: String,
    /// Where; `-` is a tar stream on stdout.
    pub(crate) target: PathBuf,
}

#[cfg(test)]
impl EngineCommand for CopyFrom {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["cp"]).word(format!("{}:{}", self.container, self.source)).word(&self.target).0
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Exec {
    /// Name or id.
    pub(crate) container: String,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Pass our input on.
    pub(crate) interactive: bool,
    /// Allocate a terminal.
    pub(crate) tty: bool,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) workdir: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

impl EngineCommand for Exec {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["exec"])
            .flag("--interactive", self.interactive)
            .flag("--tty", self.tty)
            .pairs("--env", &self.env)
            .option("--workdir", self.workdir.as_ref())
            .word(&self.container)
            .words(&self.command)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
