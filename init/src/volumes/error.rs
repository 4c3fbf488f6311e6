//! Errors of this room.

use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::command::CommandError;
use crate::host::mountinfo::MountInfoError;

/// Data of volumes that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VolumesError {
    #[error("cannot {action} {path}; free space there, or mount a writable volume")]
    File {
        /// The verb of the operation, such as `create`.
        action: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot mount {source_path} on {path}; run the container with --privileged")]
    Mount {
        source_path: String,
        path: String,
        #[source]
        source: Errno,
    },
    #[error("cannot copy the content of the claim {name}")]
    Archive {
        /// The name of its volume.
        name: String,
        #[source]
        source: Box<CommandError>,
    },
    #[error("cannot find out what is mounted")]
    Mounts(#[from] MountInfoError),
}

pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> VolumesError {
    let path = path.display().to_string();
    move |source| VolumesError::File { action, path, source }
}
