//! Secrets of a bake's hooks: read once from a file that is removed, never printed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Lines of a secret that are shorter are not masked by themselves: they would be found everywhere.
const SHORTEST_MASKED_LINE: usize = 8;

/// The file of secrets cannot be read, parsed or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot take the hooks' secrets from {}; bake again", path.display())]
pub struct SecretsError {
    pub path: PathBuf,
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Variables that only hooks of a bake get, and whose values are in no line of their output.
#[derive(Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    /// Reads the file and removes it; no file, no secrets.
    ///
    /// # Errors
    /// When it can be neither read nor removed.
    pub fn take(path: &Path) -> Result<Self, SecretsError> {
        let failed = |source| SecretsError { path: path.to_owned(), source };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error.into())),
        };
        fs::remove_file(path).map_err(|error| failed(error.into()))?;
        // The parser's error is not passed on: it may show what it could not understand.
        let values = serde_yaml::from_str(&text).map_err(|_| failed("they are no map of texts".into()))?;
        Ok(Self(values))
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Every secret by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What must be in no output: the values, and the lines of those that have several.
    pub fn masked(&self) -> impl Iterator<Item = String> {
        let of = |value: &String| {
            let lines = value.lines().filter(|line| line.len() >= SHORTEST_MASKED_LINE).map(str::to_owned);
            std::iter::once(value.trim_end().to_owned()).chain(lines).collect::<Vec<_>>()
        };
        self.0.values().flat_map(of).collect::<Vec<_>>().into_iter()
    }
}
