//! A cgroup namespace of our own, for containers that were started in their host's.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::error::CgroupError;
use super::file::read;
use super::hierarchy::{LEAF, MOUNT_POINT, Version, own_path, version};

/// What [`enter_own_namespace`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// Nothing: version 1, or the namespace is our own already.
    NotNeeded,
    /// A new namespace, whose root is the container's cgroup.
    Entered,
}

/// Gives the process a cgroup namespace whose root is the container's own cgroup, if it is in another one, and mounts
/// that at `/sys/fs/cgroup`. To be called before the first thread is started: only the calling thread changes its
/// namespace, and what it starts.
///
/// The root is the cgroup the process is in *now*, so it is entered first and evacuated later, by [`apply_at`](super::apply_at): the
/// result is what `--cgroupns=private` gives.
///
/// # Errors
/// [`CgroupError`]; nothing was changed unless it is [`CgroupError::Mount`].
pub fn enter_own_namespace() -> Result<Entered, CgroupError> {
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
    // The view of the host has to go first: the kernel refuses the same file system on itself (EBUSY).
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
    // In the leaf of a namespace that is ours: started again in the same container.
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
