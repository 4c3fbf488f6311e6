//! Options and result of a bake.

use super::hook_secrets::HookSecrets;
use crate::host_context::HostContext;

/// Options of a bake beside the settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Bake although an image with the same inputs exists.
    pub(crate) force: bool,
    /// Keep a build container that failed.
    pub(crate) retain: bool,
    /// Secret variables for the hooks in the build container.
    pub(crate) secrets: HookSecrets,
    /// The baked image to build on; `None` bakes from source.
    pub(crate) from: Option<String>,
    /// Certificate authorities and proxies of this machine, for the build container.
    pub(crate) host_context: HostContext,
}

/// The image that a bake made or found unchanged; printed as JSON.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Baked {
    pub(crate) image: String,
    /// Further names of the image.
    pub(crate) tags: Vec<String>,
    pub(crate) id: String,
    /// Whether the existing image was up to date.
    pub(crate) cached: bool,
    pub(crate) elapsed_ms: u64,
}
