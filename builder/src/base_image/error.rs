//! Errors of the search for a base image.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::names::{PUBLISHED, SUITE};
use crate::advice::Advice;
use crate::process::RunError;

/// Why there is no base image.
#[derive(Debug, Error)]
pub(crate) enum BaseImageError {
    /// No registry serves the image, and the tool that would create it is missing.
    #[error(
        "`{PUBLISHED}` cannot be pulled ({reason}) and mmdebstrap, which would create it, is not installed; install mmdebstrap, or name an image with --base-image"
    )]
    NoMmdebstrap { reason: String },
    /// The image of the setting can neither be found nor pulled.
    #[error("the engine does not have the base image `{image}` and failed to pull it; correct --base-image")]
    NotAvailable {
        image: String,
        #[source]
        source: RunError,
    },
    #[error("failed to create a base image from the packages of {mirror}; check that the mirror serves {SUITE}")]
    Bootstrap {
        mirror: String,
        #[source]
        source: RunError,
    },
    /// There is no place for the archive.
    #[error("failed to create a temporary directory below `{}`; free space there or set TMPDIR", .path.display())]
    Temporary {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// An engine command failed.
    #[error("failed to load the base image `{image}` into the engine")]
    Engine {
        image: String,
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
