//! Why there is no base image.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::names::{PUBLISHED, SUITE};
use crate::advice::Advice;
use crate::process::RunError;

/// Why there is no base image.
#[derive(Debug, Error)]
pub enum BaseImageError {
    /// No registry, and no tool to do without.
    #[error(
        "`{PUBLISHED}` cannot be pulled ({reason}) and mmdebstrap, which would make it, is not installed; install mmdebstrap, or name an image with --base-image"
    )]
    NoMmdebstrap {
        /// Why it cannot be pulled.
        reason: String,
    },
    /// The image that the user named is not to be had.
    #[error("base image `{image}` is neither here nor in a registry; correct --base-image")]
    NotAvailable {
        /// Its name.
        image: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// mmdebstrap failed.
    #[error("make a base image from the packages of {mirror}; check that the mirror serves {SUITE}")]
    Bootstrap {
        /// The mirror.
        mirror: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// No place for the archive.
    #[error("make a temporary directory below `{}`; free space there or set TMPDIR", .path.display())]
    Temporary {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine did not do what it was asked to.
    #[error("put the base image `{image}` into the engine")]
    Engine {
        /// Its name.
        image: String,
        /// Why.
        #[source]
        source: RunError,
    },
}

impl Advice for BaseImageError {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::NotAvailable { source, .. } | Self::Bootstrap { source, .. } | Self::Engine { source, .. } => {
                Some(source)
            }
            Self::NoMmdebstrap { .. } | Self::Temporary { .. } => None,
        }
    }
}
