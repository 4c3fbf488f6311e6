//! What `kubake bake` asks `kubake-init` for, beside the cluster settings; and where it puts what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timeouts::BAKE_HOOK_TIMEOUT;

/// The directory beside the moments of hooks that holds manifests to be applied at the bake.
pub const MANIFESTS_DIR: &str = "manifests";

/// What the names of directories in [`paths::INBOX_MANIFESTS`] begin with that are add-ons and not the user's: a bake never
/// takes a user's file whose name begins with a dot.
pub const ADDON_PREFIX: &str = ".addon-";

/// Name of the archive in [`paths::INBOX_IMAGES`] that holds the control plane's images; it sorts before the others.
pub const CONTROL_PLANE_ARCHIVE: &str = "00-control-plane.tar";

/// What a bake is asked for beside [`ClusterSettings`]; nothing of it stays in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BakeRequest {
    /// How many seconds one hook may take.
    pub hook_timeout_seconds: u64,
    /// Whether a hook that fails is reported, and the bake goes on.
    pub reports_failed_hooks: bool,
    /// Images that get another name after their import, from the name in their archive: what `docker save` cannot write,
    /// which is a name by digest.
    pub names: BTreeMap<String, String>,
    /// Whether the user's images keep their packed layers beside the unpacked ones.
    pub keeps_packed_layers: bool,
    /// CAs that programs in the build container trust beside Debian's, as PEM. Left out where there are none, because a
    /// baked image that is older than this does not know it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<String>,
}

impl Default for BakeRequest {
    fn default() -> Self {
        Self {
            hook_timeout_seconds: BAKE_HOOK_TIMEOUT.as_secs(),
            reports_failed_hooks: false,
            names: BTreeMap::new(),
            keeps_packed_layers: false,
            authorities: Vec::new(),
        }
    }
}
