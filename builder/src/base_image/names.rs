//! Names of base images.

/// The base image in the Dockerfile.
pub(super) const PUBLISHED: &str = "debian:trixie-slim";
/// The name of a base image that kubake creates.
pub(super) const MADE: &str = "kubake/base:trixie";
/// The release of Debian in base images.
pub(super) const SUITE: &str = "trixie";
