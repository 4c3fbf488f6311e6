//! Names that a baked image gets beside its own. Pure.

use crate::settings::Settings;
use crate::versions::minor;

/// The default image goes by its version, too.
pub(super) fn further_tags(settings: &Settings) -> Vec<String> {
    if !settings.is_default_image() {
        return Vec::new();
    }
    let version = &settings.cluster.kubernetes_version;
    debug_assert!(version.trim_start_matches('v').starts_with(&minor(version)), "the minor is the version's start");
    vec![format!("kubake:{version}")]
}
