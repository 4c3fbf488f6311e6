//! Prepares cgroups for kubelet's `cgroupfs` driver. Version 1 is checked, and the container's own
//! cgroup mounted at each controller where the engine did not. Version 2 needs a root cgroup of the container's own, without processes and with all
//! controllers enabled for its children. Never writes to the host's root cgroup.
//!
//! Version 2 forbids processes in a cgroup whose children have controllers ("no internal processes",
//! `Documentation/admin-guide/cgroup-v2.rst`). A container starts with all its processes in that cgroup, so [`apply_at`]
//! moves them to a child. With `--cgroupns=host`, or in a Kubernetes pod, the visible root is the host's, so
//! [`enter_own_namespace`] comes first.

mod apply;
mod error;
mod evacuation;
mod file;
mod hierarchy;
mod namespace;
mod own_cgroup;
mod version_1;

pub(crate) use apply::apply_at;
pub(crate) use hierarchy::{MOUNT_POINT, Version, version};
pub(crate) use namespace::enter_own_namespace;
pub(crate) use own_cgroup::show_own;
pub(crate) use version_1::missing_v1;
