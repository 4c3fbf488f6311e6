//! Where the hierarchy is mounted and which version it has. Data and one look at the file system.

use std::path::Path;
use std::time::Duration;

use crate::files::under;

/// Where cgroups are mounted.
pub const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// The cgroup that gets the container's processes.
pub(super) const LEAF: &str = "init";

/// How long `docker exec` may keep the root busy: it starts its process there and moves on within milliseconds.
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// Version of the hierarchy that has the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller; version 2 may be there as well, without controllers (hybrid).
    V1,
    /// One hierarchy for all.
    V2,
}

/// The version below `root`. Only the root of a version 2 hierarchy has `cgroup.controllers`, and in a hybrid setup that
/// hierarchy is mounted elsewhere.
#[must_use]
pub fn version(root: &Path) -> Version {
    if under(root, MOUNT_POINT).join("cgroup.controllers").exists() { Version::V2 } else { Version::V1 }
}

/// The version 2 line of `/proc/self/cgroup`.
pub(super) fn own_path(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}
