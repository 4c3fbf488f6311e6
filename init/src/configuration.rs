//! Reads and writes configuration files that kubake owns. Errors name the file.

use std::path::Path;

/// A configuration file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot write {path}")]
    Write { path: String, source: std::io::Error },
    #[error("cannot read {path}: the cluster in this image is incomplete, bake it again")]
    Read { path: String, source: std::io::Error },
}

/// Writes a file and the directories above it.
///
/// # Errors
/// [`ConfigError::Write`].
pub(crate) fn write(path: &Path, content: &str) -> Result<(), ConfigError> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, content));
    written.map_err(|source| ConfigError::Write { path: path.display().to_string(), source })
}

/// Reads a file that the bake wrote.
///
/// # Errors
/// [`ConfigError::Read`].
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        let error = read(&root.path().join("kubeadm-flags.env")).expect_err("no file").to_string();
        assert!(error.contains("kubeadm-flags.env") && error.contains("bake it again"), "{error}");
    }
}
