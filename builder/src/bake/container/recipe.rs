//! Input and result of one build container.

use std::path::PathBuf;

use super::super::inputs::{Archive, Packed};

/// Everything that one run of a build container needs.
#[derive(Debug)]
pub(in super::super) struct Recipe<'a> {
    pub(in super::super) from: &'a str,
    /// The role in which `kubake-init` runs.
    pub(in super::super) role: &'static str,
    /// Files and directories to copy into the container.
    pub(in super::super) files: Vec<Packed>,
    /// Archives of images, each with its name in the inbox.
    pub(in super::super) archives: Vec<(Archive, String)>,
    /// Tar archives to unpack over the root of the image.
    pub(in super::super) trees: Vec<PathBuf>,
    /// Whether hooks run: on the host, and in the container with secrets and proxy variables.
    pub(in super::super) has_hooks: bool,
    pub(in super::super) name: &'a str,
    /// The `HEALTHCHECK` instruction of the new image.
    pub(in super::super) healthcheck: Option<&'a str>,
    pub(in super::super) labels: Vec<(&'static str, &'a str)>,
}
