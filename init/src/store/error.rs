//! What can fail with the store.

use std::io;
use std::path::Path;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        path: String,
        source: io::Error,
    },
    /// The image holds no store.
    #[error("{path} is missing: this image was never baked; make one with `kubake bake`")]
    NoStore {
        /// Where the store should be.
        path: String,
    },
    /// The volume belongs to another image.
    #[error(
        "the volume at {volume} was made by another baked image (store {found}, this image has {expected}); \
         start with a fresh volume, or with the image that made it"
    )]
    OtherStore {
        volume: String,
        /// What the volume says.
        found: String,
        /// What the image says.
        expected: String,
    },
    /// A snapshot holds a whiteout, which cannot exist on a container's file system.
    #[error("snapshot {snapshot} holds the whiteout {path}: it was not flattened before the freeze")]
    Whiteout {
        /// The snapshot's number.
        snapshot: String,
        path: String,
    },
}

pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::File { action, path, source }
}
