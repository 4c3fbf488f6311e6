//! What can fail with cgroups.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::hierarchy::BUSY_LIMIT;
use crate::host::mountinfo::MountInfoError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file cannot be read.
    #[error("cannot read {}; run the container with --privileged", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be written.
    #[error("cannot write `{text}` to {}; run the container with --privileged", path.display())]
    Write {
        path: PathBuf,
        /// What was to be written.
        text: String,
        #[source]
        source: io::Error,
    },
    /// The cgroup is of a type that cannot have controllers.
    #[error(
        "the container's cgroup is `{kind}`, which cannot run containers; start the container without a threaded --cgroup-parent"
    )]
    Type {
        /// Content of `cgroup.type`.
        kind: String,
    },
    /// The container's cgroup does not have a controller.
    #[error("the container's cgroup lacks the controllers {}; enable them for it on the host (systemd: `Delegate=yes`), or start the container with --cgroupns=private", .0.join(", "))]
    Controllers(Vec<String>),
    /// Something keeps processes in the root.
    #[error("processes keep appearing in {}, {} s long; do not run `docker exec` while the container boots", path.display(), BUSY_LIMIT.as_secs())]
    Busy {
        path: PathBuf,
        /// The last refusal.
        #[source]
        source: io::Error,
    },
    /// The kernel's root cgroup is ours to see but not to change.
    #[error("{} is the host's root cgroup; start the container with --cgroupns=private", path.display())]
    HostRoot {
        /// Where it is mounted.
        path: PathBuf,
    },
    /// `/proc/self/cgroup` names a cgroup outside of our namespace.
    #[error(
        "the process is in the cgroup {path}, outside of its namespace; start the container with --cgroupns=private"
    )]
    Outside {
        /// As the kernel writes it.
        path: String,
    },
    /// No namespace of our own.
    #[error("cannot enter a cgroup namespace; run the container with --privileged --cgroupns=private")]
    Namespace(#[source] Errno),
    /// The hierarchy cannot be mounted.
    #[error("cannot mount cgroup2 on {}; run the container with --privileged --cgroupns=private", path.display())]
    Mount {
        path: PathBuf,
        #[source]
        source: Errno,
    },
    /// The table of mounts cannot be read.
    #[error("cannot tell where cgroups are mounted")]
    Mounts(#[from] MountInfoError),
}
