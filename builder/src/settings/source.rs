//! Where values come from: the settings file, the environment and the flags, each value as it was written. Owns finding
//! and reading the file; parses nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::error::Error;
use crate::checkout::Checkout;

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "kubake.yaml";
/// Names the file where `--settings` does not.
pub const FILE_VARIABLE: &str = "KUBAKE_SETTINGS";

/// Where values come from, besides the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The settings file's path and text, if there is one.
    pub file: Option<(PathBuf, String)>,
    /// What the environment says.
    pub env: BTreeMap<String, String>,
    /// What the flags say; their origins are [`Origin::Flag`].
    pub flags: Vec<Entry>,
    /// Which add-ons there are; none where no checkout says.
    pub addons: Option<Vec<String>>,
}

impl Sources {
    /// Reads the file (`named`, else what the environment names, else [`DEFAULT_FILE`] where it exists), the environment,
    /// and which add-ons there are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(named: Option<&Path>, flags: Vec<Entry>) -> Result<Self, Error> {
        // Variables that are not UTF-8 cannot hold a setting of ours.
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
