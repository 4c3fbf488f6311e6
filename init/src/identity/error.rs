//! Errors of this room.

use std::io;
use std::path::PathBuf;

use super::certificates::CertificateError;
use super::slots::SlotError;

/// An identity that cannot be made, read or renewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file cannot be written or removed.
    #[error("cannot write {path}; is the container's file system full or read-only?")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read {path}, a part of this container's identity; start a new container")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The record does not have the expected form.
    #[error("failed to parse {path}; start a new container")]
    Record {
        path: PathBuf,
        #[source]
        source: serde_yaml::Error,
    },
    #[error("the key in {path} is damaged; start a new container")]
    Key { path: PathBuf },
    /// etcd's database has no slots, or they are damaged.
    #[error("cannot write this container's certificates into {path}")]
    Slots {
        path: PathBuf,
        #[source]
        source: SlotError,
    },
}
