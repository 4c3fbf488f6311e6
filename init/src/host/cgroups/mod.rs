//! cgroups as kubelet's `cgroupfs` driver needs them. Version 1: checks only, since Docker mounts the container's own
//! cgroup at each controller. Version 2: a root cgroup of our own without processes, and with all controllers enabled
//! for its children. Never writes to the host's root cgroup.
//!
//! Version 2 forbids processes in a cgroup whose children have controllers ("no internal processes",
//! `Documentation/admin-guide/cgroup-v2.rst`), and a container starts with all of its processes there: hence
//! [`evacuate_at`]. With `--cgroupns=host`, or in a Kubernetes pod, what we see as root is the host's: hence
//! [`enter_own_namespace`] before.

mod apply;
mod error;
mod evacuation;
mod file;
mod hierarchy;
mod namespace;
mod version_1;

pub use apply::apply_at;
pub use error::CgroupError;
pub use hierarchy::{MOUNT_POINT, Version, version};
pub use namespace::{Entered, enter_own_namespace};
pub use version_1::missing_v1;
