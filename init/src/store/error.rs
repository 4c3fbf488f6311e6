//! Errors of this room.

use std::io;
use std::path::Path;

/// The store cannot be frozen or attached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot {action} {path}")]
    File {
        /// The verb of the operation, such as `read`.
        action: &'static str,
        path: String,
        source: io::Error,
    },
    #[error("{path} is missing: this image was never baked; make one with `kubake bake`")]
    NoStore {
        /// The file that every store has.
        path: String,
    },
    #[error(
        "the volume at {volume} was made by another baked image (store {found}, this image has {expected}); \
         start with a fresh volume, or with the image that made it"
    )]
    OtherStore {
        volume: String,
        /// Id of the store on the volume.
        found: String,
        /// Id of the store in the image.
        expected: String,
    },
    /// A snapshot holds a whiteout, which a container's file system cannot store.
    #[error("snapshot {snapshot} holds the whiteout {path}, which was not flattened before the freeze; report this")]
    Whiteout {
        /// The number of the snapshot.
        snapshot: String,
        path: String,
    },
}

pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::File { action, path, source }
}
