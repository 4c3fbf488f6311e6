//! One call of a program as a value, and how it is written for a shell. Runs nothing.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long a child may take to end after SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// What a child reads.
#[derive(Default)]
pub(crate) enum Input {
    #[default]
    Null,
    Bytes(Vec<u8>),
    /// This file, from its current position; the child reads it itself.
    File(File),
    /// The bytes of this reader; a failure to read ends the child and the call.
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
pub(crate) struct Call {
    pub(super) program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    secret_env: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    pub(super) input: Input,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
}

impl Call {
    /// A call of `program` without arguments, input and bound.
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            secret_env: Vec::new(),
            directory: None,
            input: Input::Null,
            timeout: None,
            grace: GRACE,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub(crate) fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets a variable that is not shown in the command line.
    #[must_use]
    pub(crate) fn secret_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.secret_env.push((name.into(), value.into()));
        self
    }

    /// Where the child runs, instead of where we do.
    #[must_use]
    pub(crate) fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// What the child reads.
    #[must_use]
    pub(crate) fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Bounds the call's time; `None` leaves it unbounded.
    #[must_use]
    pub(crate) fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How long the child may take to end after SIGTERM (10 s).
    #[must_use]
    #[cfg(test)]
    pub(crate) fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The call as a line that can be pasted into a shell; without what is secret.
    #[must_use]
    pub(crate) fn pasteable(&self) -> String {
        let mut words: Vec<String> =
            self.env.iter().map(|(name, value)| format!("{}={}", name.to_string_lossy(), quote(value))).collect();
        words.push(quote(&self.program));
        words.extend(self.args.iter().map(|arg| quote(arg)));
        words.join(" ")
    }

    /// The call as the standard library's `Command`, without its input and bounds.
    #[must_use]
    pub(crate) fn to_command(&self) -> Command {
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
pub(crate) fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
