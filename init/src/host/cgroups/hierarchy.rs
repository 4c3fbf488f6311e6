//! Names within the hierarchy, and its version.

use std::path::Path;
use std::time::Duration;

use crate::files::under;

/// The mount point of cgroups.
pub(crate) const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// The child cgroup that receives the container's processes.
pub(super) const LEAF: &str = "init";

/// How long new processes may keep the root busy. An engine's `exec` starts its process there and moves it on within
/// milliseconds.
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// The version of the hierarchy that has the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// One hierarchy for each controller. Version 2 may be mounted as well, without controllers (hybrid).
    V1,
    /// One hierarchy for all controllers.
    V2,
}

/// Returns the version below `root`. Only the root of a version 2 hierarchy has `cgroup.controllers`, and a hybrid setup
/// mounts that hierarchy elsewhere.
#[must_use]
pub(crate) fn version(root: &Path) -> Version {
    if under(root, MOUNT_POINT).join("cgroup.controllers").exists() { Version::V2 } else { Version::V1 }
}

/// Returns the path in the version 2 line of `/proc/self/cgroup`.
pub(super) fn own_path(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}
