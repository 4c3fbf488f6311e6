//! Mistakes in what a user adds to a bake, and the error that lists all of them. Does no I/O.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::advice::Advice;

/// One thing that is wrong with what the user adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory.
    pub path: PathBuf,
    /// The line, from 1, where it is one's.
    pub line: Option<usize>,
    /// What is wrong, and what to do about it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "`{}`, line {line}: {}", self.path.display(), self.what),
            None => write!(formatter, "`{}`: {}", self.path.display(), self.what),
        }
    }
}

/// Why what the user adds cannot be baked in.
#[derive(Debug, Error)]
pub enum Error {
    /// Everything that is wrong.
    #[error("{}", problems_text(.0))]
    Problems(Vec<Problem>),
    /// A file cannot be read any more.
    #[error("read `{}`; bake again", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be packed.
    #[error("pack `{}`", .path.display())]
    Pack {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

fn problems_text(problems: &[Problem]) -> String {
    match problems {
        [problem] => problem.to_string(),
        problems => {
            let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("{} problems with what is to be baked in:{lines}", problems.len())
        }
    }
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Problems(_) => Some(
                "`images.d/README.md` and `hooks/README.md` say what can be baked in; nothing was begun".to_owned(),
            ),
            _ => None,
        }
    }
}

pub(super) fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}; make it readable or remove it")
}
