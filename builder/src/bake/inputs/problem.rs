//! Mistakes in what a user adds to a bake, and the error that lists all of them. Does no I/O.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::advice::Advice;

/// A mistake in what the user adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The file or directory that has the mistake.
    pub(crate) path: PathBuf,
    /// The line from 1, if one line has the mistake.
    pub(crate) line: Option<usize>,
    /// The mistake and what to do about it.
    pub(crate) what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "`{}`, line {line}: {}", self.path.display(), self.what),
            None => write!(formatter, "`{}`: {}", self.path.display(), self.what),
        }
    }
}

/// Why the inputs cannot be baked in.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// All mistakes, in the order in which they were found.
    #[error("{}", problems_text(.0))]
    Problems(Vec<Problem>),
    /// A file that was checked before cannot be read now.
    #[error("failed to read `{}`; bake again", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be packed.
    #[error("failed to pack `{}`", .path.display())]
    Pack {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn problems_text(problems: &[Problem]) -> String {
    match problems {
        [problem] => problem.to_string(),
        problems => {
            let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("{} problems with the inputs of the bake:{lines}", problems.len())
        }
    }
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Problems(_) => Some(
                "`images.d/README.md` and `hooks/README.md` describe the inputs; the bake has not begun".to_owned(),
            ),
            _ => None,
        }
    }
}

pub(super) fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}; make it readable or remove it")
}
