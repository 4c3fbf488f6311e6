//! Remembers that this container was ready once: what its user changed since may keep it from being ready again, which is
//! no reason to end it. Decides nothing.

use std::path::{Path, PathBuf};

use kubake_contract::paths;

use crate::files::under;

/// The record, an empty file in the container's own layer.
pub(super) struct FirstReadiness {
    path: PathBuf,
}

impl FirstReadiness {
    pub(super) fn new(root: &Path) -> Self {
        Self { path: under(root, paths::FIRST_READINESS) }
    }

    /// Whether an earlier boot of this container got ready.
    pub(super) fn is_reached(&self) -> bool {
        self.path.exists()
    }

    /// Records it. Without the record a later boot that does not get ready ends, so a failure is only logged.
    pub(super) fn record(&self) {
        if let Err(error) = std::fs::write(&self.path, "") {
            tracing::warn!("cannot write {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_remembers_that_it_was_ready() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(under(root.path(), "/etc/kubake")).unwrap();
        assert!(!FirstReadiness::new(root.path()).is_reached());
        FirstReadiness::new(root.path()).record();
        assert!(FirstReadiness::new(root.path()).is_reached());
    }
}
