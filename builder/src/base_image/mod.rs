//! The base image of the appliance: from the engine, from a registry, or created from Debian packages with mmdebstrap if no
//! registry serves it. Builds nothing on top of it.

mod bootstrap;
mod choice;
mod ensure;
mod error;
mod names;

pub(crate) use choice::BaseImage;
pub(crate) use ensure::ensure;
#[cfg(test)]
pub(crate) use ensure::for_tests;
pub(crate) use error::BaseImageError;
