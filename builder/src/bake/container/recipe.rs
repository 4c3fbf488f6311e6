//! What one run of a build container makes.

use std::path::PathBuf;

use super::super::inputs::{Archive, Packed};

/// What to do.
#[derive(Debug)]
pub(in super::super) struct Recipe<'a> {
    /// The image to start from.
    pub(in super::super) from: &'a str,
    /// The role of `kubake-init`.
    pub(in super::super) role: &'static str,
    /// Small files.
    pub(in super::super) files: Vec<Packed>,
    /// Archives of images and what they are called in the inbox.
    pub(in super::super) archives: Vec<(Archive, String)>,
    /// Tars of files that are laid over those of the image.
    pub(in super::super) trees: Vec<PathBuf>,
    /// Whether hooks of the host run, and those of the container get their secrets and know of proxies.
    pub(in super::super) has_hooks: bool,
    /// Name of the image that is made.
    pub(in super::super) name: &'a str,
    /// Instruction of the image that is made (see [`healthcheck`]).
    pub(in super::super) healthcheck: Option<&'a str>,
    /// Labels of the image that is made.
    pub(in super::super) labels: Vec<(&'static str, &'a str)>,
}
