//! What is wrong with the settings: every problem with the origin of the value at fault.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::entry::Origin;
use crate::advice::Advice;

/// A mistake in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The source of the value at fault.
    pub(crate) origin: Origin,
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.origin, self.message)
    }
}

/// Why the settings cannot be used.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("failed to read the settings file `{}`", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// All mistakes of all sources.
    #[error("{} with the settings:{}", count(.0.len()), lines(.0))]
    Problems(Vec<Problem>),
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Problems(_) => Some("`kubake settings --reference` lists every setting".to_owned()),
            Self::Read { .. } => None,
        }
    }
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
