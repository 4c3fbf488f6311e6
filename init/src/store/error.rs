//! Errors of this room.

use std::io;
use std::path::Path;

use crate::host::mountinfo::MountInfoError;

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
    #[error("the volume at {volume} is in use by another container; stop that one, or start with a volume of its own")]
    InUse { volume: String },
    /// No container could start.
    #[error(
        "the volume at {volume} cannot hold the layers of overlay; start with a volume there that lies on ext4, xfs, btrfs \
         or tmpfs, such as --volume {volume}"
    )]
    NoOverlay {
        volume: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot find out what is mounted")]
    Mounts(#[from] MountInfoError),
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
