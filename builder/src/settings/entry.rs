//! A value as it was written, with its origin: file and line, variable or flag. Owns how an origin is shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::setting::{Key, Value};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No source has a value.
    Default,
    /// The settings file.
    File {
        path: PathBuf,
        /// Line from 1, where it is known.
        line: Option<usize>,
        /// The key; empty where the message is about the whole file.
        key: String,
    },
    /// The environment variable of a setting.
    Env(&'static str),
    /// Variables that belong to no setting; the message names them.
    Environment,
    /// The flag of a setting, with its dashes.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::Env(name) => write!(formatter, "{name}"),
            Self::Environment => formatter.write_str("the environment"),
            Self::Flag(name) => write!(formatter, "{name}"),
            Self::File { path, line, key } => {
                write!(formatter, "{}", path.display())?;
                if let Some(line) = line {
                    write!(formatter, ":{line}")?;
                }
                if key.is_empty() { Ok(()) } else { write!(formatter, " {key}") }
            }
        }
    }
}

/// A value for a setting, from one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Key,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// The origin of each setting that was given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Origins(BTreeMap<Key, Origin>);

impl Origins {
    pub(super) fn set(&mut self, key: Key, origin: Origin) {
        self.0.insert(key, origin);
    }

    pub(super) fn of(&self, key: Key) -> &Origin {
        self.0.get(&key).unwrap_or(&Origin::Default)
    }

    /// The origin of the first of these settings that was given.
    pub(super) fn first_given(&self, keys: &[Key]) -> Origin {
        keys.iter().find_map(|key| self.0.get(key)).cloned().unwrap_or(Origin::Default)
    }
}
