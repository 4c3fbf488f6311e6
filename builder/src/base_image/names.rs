//! Names of base images.

/// What the Dockerfile builds on where nothing else is said.
pub const PUBLISHED: &str = "debian:trixie-slim";
/// The name of the image that we make.
pub const MADE: &str = "kubake/base:trixie";
/// The release of Debian that base images are made from.
pub(super) const SUITE: &str = "trixie";
