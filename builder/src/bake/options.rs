//! What a bake is asked for and what it returns.

use super::hook_secrets::HookSecrets;
use crate::host_context::HostContext;

/// How to bake.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Bake although an image with the same inputs exists.
    pub force: bool,
    /// Keep a build container that failed.
    pub retain: bool,
    /// What hooks in the build container get beside their usual variables.
    pub secrets: HookSecrets,
    /// A baked image to take further, instead of making one from source.
    pub from: Option<String>,
    /// What the build container is told of this machine's surroundings.
    pub host_context: HostContext,
}

/// What a bake made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baked {
    /// The baked image's name.
    pub image: String,
    /// Further names of it.
    pub tags: Vec<String>,
    /// Its id.
    pub id: String,
    /// Whether there was nothing to do.
    pub cached: bool,
    /// How long it took.
    pub elapsed_ms: u64,
}
