//! The daemons of the container, one file each: arguments, environment and configuration files, nothing that behaves.

pub(crate) mod containerd;
pub(crate) mod dockerd;
pub(crate) mod kubelet;

use std::path::Path;

/// A configuration file that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// Writing failed.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Reading failed.
    #[error("cannot read {path}: the cluster in this image is incomplete, bake it again")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Writes a configuration file, with the directories that lead to it.
///
/// # Errors
/// When the file system refuses; names the path.
pub(crate) fn write(path: &Path, content: &str) -> Result<(), ConfigError> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, content));
    written.map_err(|source| ConfigError::Write { path: path.display().to_string(), source })
}

/// Reads a file that the bake wrote.
///
/// # Errors
/// When the file system refuses; names the path.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.display().to_string(), source })
}
