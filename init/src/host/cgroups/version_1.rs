//! Checks the controllers of version 1.

use crate::host::mountinfo::Mount;

/// Controllers that kubelet refuses to start without (`pkg/kubelet/cm`: `validateSystemRequirements`), and `devices`,
/// which containerd needs.
const NEEDED_V1: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "devices"];

/// Returns the needed controllers that no mounted hierarchy has.
#[must_use]
pub(crate) fn missing_v1(mounts: &[Mount]) -> Vec<&'static str> {
    let has = |controller: &str| {
        mounts
            .iter()
            .filter(|mount| mount.fs_type == "cgroup")
            .any(|mount| mount.super_options.iter().any(|option| option == controller))
    };
    NEEDED_V1.into_iter().filter(|controller| !has(controller)).collect()
}
