//! Limits of processes that the node's daemons and pods inherit. An engine gives a container its own, and a pod of a node
//! would have no more. Lifts hard limits and leaves soft ones alone: a program raises its own, and an old one that closes
//! all descriptors it may have takes long with a million.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

use super::cgroups::{self, MOUNT_POINT, Version};
use crate::files::under;

/// Hard limit of open files, as container runtimes' units have had it. Where the kernel allows more, nothing needs it.
const OPEN_FILES: rlim_t = 1 << 20;
/// The kernel's bound on that limit.
const NR_OPEN: &str = "/proc/sys/fs/nr_open";

/// Processes and threads below which a node soon cannot start any: the cluster's own are several hundred.
const FEW_PROCESSES: u64 = 2048;

/// A limit that was not lifted.
#[derive(Debug, thiserror::Error)]
#[error("the limit of {what} stays at {}, which pods inherit; give the container a higher one (--ulimit)", shown(*hard))]
pub(crate) struct LimitError {
    what: &'static str,
    hard: rlim_t,
    #[source]
    source: Errno,
}

/// Lifts the limits of this process, which its children inherit. Returns the failures: a node works without, some pods do
/// not.
#[must_use]
pub(crate) fn lift_at(root: &Path) -> Vec<LimitError> {
    let nr_open = std::fs::read_to_string(under(root, NR_OPEN)).ok().and_then(|text| text.trim().parse().ok());
    let wanted = [
        ("open files", Resource::RLIMIT_NOFILE, OPEN_FILES.min(nr_open.unwrap_or(OPEN_FILES))),
        ("processes", Resource::RLIMIT_NPROC, RLIM_INFINITY),
    ];
    wanted.into_iter().filter_map(|(what, resource, wanted)| lift(what, resource, wanted).err()).collect()
}

fn lift(what: &'static str, resource: Resource, wanted: rlim_t) -> Result<(), LimitError> {
    let (soft, hard) = getrlimit(resource).map_err(|source| LimitError { what, hard: 0, source })?;
    if hard >= wanted {
        return Ok(());
    }
    // As in containerd's unit: cgroups limit the processes of pods.
    let soft = if resource == Resource::RLIMIT_NPROC { wanted } else { soft };
    setrlimit(resource, soft, wanted).map_err(|source| LimitError { what, hard, source })
}

/// The container's limit of processes and threads, if it is too small for a node.
#[must_use]
pub(crate) fn few_processes(root: &Path) -> Option<u64> {
    let file = match cgroups::version(root) {
        Version::V1 => "pids/pids.max",
        Version::V2 => "pids.max",
    };
    let text = std::fs::read_to_string(under(root, MOUNT_POINT).join(file)).ok()?;
    // `max` is no number.
    text.trim().parse().ok().filter(|limit| *limit < FEW_PROCESSES)
}

fn shown(limit: rlim_t) -> String {
    if limit == RLIM_INFINITY { "none".to_owned() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_limits_rise_as_far_as_the_kernel_allows_and_soft_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let file = under(root.path(), NR_OPEN);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        // No more than there is already: nothing changes, with and without root.
        std::fs::write(&file, hard.to_string()).unwrap();
        assert!(lift("open files", Resource::RLIMIT_NOFILE, hard).is_ok());
        let failed = lift_at(root.path());
        assert!(failed.iter().all(|error| error.what == "processes"), "{failed:?}");
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (soft, hard));
    }

    #[test]
    fn a_small_limit_of_processes_is_seen() {
        for (file, marker) in [("pids/pids.max", None), ("pids.max", Some("cgroup.controllers"))] {
            let root = tempfile::tempdir().unwrap();
            let cgroup = root.path().join("sys/fs/cgroup");
            std::fs::create_dir_all(cgroup.join("pids")).unwrap();
            if let Some(marker) = marker {
                std::fs::write(cgroup.join(marker), "").unwrap();
            }
            for (text, expected) in [("100\n", Some(100)), ("max\n", None), ("2048\n", None)] {
                std::fs::write(cgroup.join(file), text).unwrap();
                assert_eq!(few_processes(root.path()), expected, "{file}: {text}");
            }
        }
    }
}
