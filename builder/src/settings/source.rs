//! Where values come from: the settings file, the environment and the flags, each value as it was written. Owns finding
//! and reading the file; parses nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::error::Error;
use crate::checkout::Checkout;

/// The settings file where neither flag nor variable names one; it may be missing.
const DEFAULT_FILE: &str = "kubake.yaml";
/// The variable that names the settings file where `--settings` does not.
pub(crate) const FILE_VARIABLE: &str = "KUBAKE_SETTINGS";

/// All sources of values besides the defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The settings file's path and text, if there is one.
    pub(crate) file: Option<(PathBuf, String)>,
    pub(crate) env: BTreeMap<String, String>,
    /// The values of the flags.
    pub(crate) flags: Vec<Entry>,
    /// Names of the add-ons; none without a checkout.
    pub(crate) addons: Option<Vec<String>>,
}

impl Sources {
    /// Reads the file (`named`, else the one that the environment names, else [`DEFAULT_FILE`] if it exists), the environment
    /// and the names of the add-ons.
    ///
    /// # Errors
    /// [`Error::Read`] for a file that cannot be read, or that was named and does not exist.
    pub(crate) fn load(named: Option<&Path>, flags: Vec<Entry>) -> Result<Self, Error> {
        // A variable that is not UTF-8 cannot hold a setting.
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named = named
            .map(Path::to_owned)
            .or_else(|| env.get(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(source) if source.kind() == io::ErrorKind::NotFound && named.is_none() => None,
            Err(source) => return Err(Error::Read { path, source }),
        };
        let addons = Checkout::find().ok().map(|checkout| checkout.addons());
        Ok(Self { file, env, flags, addons })
    }
}
