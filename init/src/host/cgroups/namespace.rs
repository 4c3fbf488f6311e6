//! Enters a cgroup namespace of the container's own, where the engine started the container in its host's.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::error::CgroupError;
use super::file::read;
use super::hierarchy::{LEAF, MOUNT_POINT, Version, own_path, version};

/// The outcome of [`enter_own_namespace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entered {
    /// Nothing was changed: version 1, or the container has a namespace of its own already.
    NotNeeded,
    /// The process is in a new namespace, whose root is the container's cgroup.
    Entered,
}

/// Gives the process a cgroup namespace whose root is the container's own cgroup, unless it has one, and mounts that at
/// `/sys/fs/cgroup`. Call it before the first thread is started: only the calling thread and its children change their
/// namespace.
///
/// The root becomes the cgroup that the process is in at the time of the call. So the namespace is entered first, and
/// [`apply_at`](super::apply_at) moves the processes later. The result equals that of `--cgroupns=private`.
///
/// # Errors
/// [`CgroupError`]; nothing was changed unless it is [`CgroupError::Mount`].
pub(crate) fn enter_own_namespace() -> Result<Entered, CgroupError> {
    let root = Path::new("/");
    if version(root) == Version::V1 {
        return Ok(Entered::NotNeeded);
    }
    let path = own_path(&read(Path::new("/proc/self/cgroup"))?).unwrap_or_default();
    if !needs_namespace(&path)? {
        return Ok(Entered::NotNeeded);
    }
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(CgroupError::Namespace)?;
    let target = Path::new(MOUNT_POINT);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // The host's view must be unmounted first: the kernel refuses to mount the same file system on itself (EBUSY).
    umount2(target, MntFlags::MNT_DETACH).map_err(|source| CgroupError::Mount { path: target.to_owned(), source })?;
    mount(Some("cgroup2"), target, Some("cgroup2"), flags, None::<&str>)
        .map_err(|source| CgroupError::Mount { path: target.to_owned(), source })?;
    tracing::info!(cgroup = path, "entered a cgroup namespace of our own");
    Ok(Entered::Entered)
}

fn needs_namespace(path: &str) -> Result<bool, CgroupError> {
    if path.starts_with("/..") {
        return Err(CgroupError::Outside { path: path.to_owned() });
    }
    // The leaf within an own namespace means that the container was started again.
    Ok(path != "/" && path != format!("/{LEAF}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_a_namespace_is_needed() {
        assert_eq!(own_path("9:name=systemd:/x\n0::/docker/1\n").as_deref(), Some("/docker/1"));
        assert!(!needs_namespace("/").unwrap());
        assert!(!needs_namespace("/init").unwrap());
        assert!(needs_namespace("/system.slice/docker-1.scope").unwrap());
        assert!(matches!(needs_namespace("/../other"), Err(CgroupError::Outside { .. })));
    }
}
