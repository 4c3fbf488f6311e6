//! Further names of a baked image. Pure.

use crate::settings::Settings;
use crate::versions::minor;

/// An image with the default name also gets its version as tag.
pub(super) fn further_tags(settings: &Settings) -> Vec<String> {
    if !settings.is_default_image() {
        return Vec::new();
    }
    let version = &settings.cluster.kubernetes_version;
    debug_assert!(
        version.trim_start_matches('v').starts_with(&minor(version)),
        "a version starts with its minor release"
    );
    vec![format!("kubake:{version}")]
}
