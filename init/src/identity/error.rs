//! What can fail while an identity is made or renewed.

use std::io;
use std::path::PathBuf;

use super::certificates::CertificateError;
use super::slots::SlotError;

/// An identity that cannot be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file cannot be written.
    #[error("cannot write {path}; is the container's file system full or read-only?")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {path}, a part of this container's identity; start a new container")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The mark is not ours.
    #[error("cannot understand {path}; start a new container")]
    Mark {
        path: PathBuf,
        #[source]
        source: serde_yaml::Error,
    },
    /// etcd has no room for it.
    #[error("cannot put this container's certificates into {path}")]
    Slots {
        path: PathBuf,
        #[source]
        source: SlotError,
    },
}
