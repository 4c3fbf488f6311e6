//! Errors of this room.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::hierarchy::BUSY_LIMIT;
use crate::host::mountinfo::MountInfoError;

/// Cgroups that cannot be prepared for kubelet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    #[error("cannot read {}; run the container with --privileged", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file cannot be written or a directory cannot be created.
    #[error("cannot write `{text}` to {}; run the container with --privileged", path.display())]
    Write {
        path: PathBuf,
        /// The content that was to be written.
        text: String,
        #[source]
        source: io::Error,
    },
    /// The cgroup's type does not allow controllers.
    #[error(
        "the container's cgroup is `{kind}`, which cannot run containers; start the container without a threaded --cgroup-parent"
    )]
    Type {
        /// Content of `cgroup.type`.
        kind: String,
    },
    /// The container's cgroup lacks needed controllers.
    #[error("the container's cgroup lacks the controllers {}; enable them for it on the host (systemd: `Delegate=yes`), or start the container with --cgroupns=private", .0.join(", "))]
    Controllers(Vec<String>),
    /// New processes kept appearing in the root cgroup.
    #[error("processes kept appearing in {} for {} s; do not start programs in the container while it boots", path.display(), BUSY_LIMIT.as_secs())]
    Busy {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The visible root is the host's, which must not be changed.
    #[error("{} is the host's root cgroup; start the container with --cgroupns=private", path.display())]
    HostRoot {
        /// The mount point.
        path: PathBuf,
    },
    /// `/proc/self/cgroup` names a cgroup outside the process's cgroup namespace.
    #[error(
        "the process is in the cgroup {path}, outside of its namespace; start the container with --cgroupns=private"
    )]
    Outside {
        /// The path as the kernel writes it, which begins with `/..`.
        path: String,
    },
    /// The kernel refused a new namespace.
    #[error("cannot enter a cgroup namespace; run the container with --privileged --cgroupns=private")]
    Namespace(#[source] Errno),
    #[error("cannot mount cgroups on {}; run the container with --privileged --cgroupns=private", path.display())]
    Mount {
        path: PathBuf,
        #[source]
        source: Errno,
    },
    #[error("cannot find out where cgroups are mounted")]
    Mounts(#[from] MountInfoError),
}
