//! Owns the base image of the appliance: taken from the engine, from a registry, or, where no registry serves it,
//! made from Debian's packages with mmdebstrap. It never builds anything on top of it.

mod bootstrap;
mod choice;
mod ensure;
mod error;
mod names;

pub use choice::BaseImage;
pub use ensure::ensure;
#[cfg(test)]
pub(crate) use ensure::for_tests;
pub use error::BaseImageError;
pub use names::{MADE, PUBLISHED};
