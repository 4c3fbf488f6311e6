//! Enters a cgroup namespace of the container's own, where the engine started the container in its host's.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::error::CgroupError;
use super::file::read;
use super::hierarchy::{LEAF, MOUNT_POINT, Version, own_path, version};
use crate::host::mountinfo::{self, Mount};

/// The outcome of [`enter_own_namespace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entered {
    /// Nothing was changed: the container has a namespace of its own already, or its cgroups are mounted in a way that does
    /// not fit one.
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
/// With version 1 an engine mounts the container's own cgroups in any case, but without a namespace `/proc/self/cgroup` names
/// them by the host's paths. These do not exist below the mounts, and runtimes then show a pod's container all of the
/// hierarchy instead of its own limits.
///
/// # Errors
/// [`CgroupError`]; nothing was changed unless it is [`CgroupError::Mount`].
pub(crate) fn enter_own_namespace() -> Result<Entered, CgroupError> {
    let root = Path::new("/");
    if version(root) == Version::V1 {
        let (own, mounts) = (read(Path::new("/proc/self/cgroup"))?, mountinfo::current().unwrap_or_default());
        if !needs_namespace_v1(&own, &mounts) {
            return Ok(Entered::NotNeeded);
        }
        unshare(CloneFlags::CLONE_NEWCGROUP).map_err(CgroupError::Namespace)?;
        tracing::debug!("entered a cgroup namespace of our own");
        return Ok(Entered::Entered);
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

/// Whether every mounted hierarchy of version 1 shows the container's own cgroup under the host's path. If it is another one,
/// the host's root for instance, the paths in a namespace would fit no better.
fn needs_namespace_v1(own: &str, mounts: &[Mount]) -> bool {
    let own_path = |mount: &Mount| {
        own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let is_of = |controller: &str| mount.super_options.iter().any(|option| option == controller);
            controllers.split(',').all(is_of).then_some(path)
        })
    };
    let mut hierarchies = mounts.iter().filter(|mount| mount.fs_type == "cgroup").peekable();
    hierarchies.peek().is_some()
        && hierarchies.all(|mount| own_path(mount).is_some_and(|path| path != "/" && mount.root == Path::new(path)))
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
    fn whether_version_1_needs_a_namespace() {
        let mounts = |root: &str| {
            mountinfo::parse(&format!(
                "1 0 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                 2 1 0:2 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                 3 1 0:3 {root} /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                 4 1 0:4 {root} /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
            ))
            .unwrap()
        };
        let own = "9:name=systemd:/docker/1\n2:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n0::/\n";
        assert!(needs_namespace_v1(own, &mounts("/docker/1")));
        assert!(!needs_namespace_v1(own, &mounts("/")), "the host's cgroups are mounted");
        assert!(!needs_namespace_v1(&own.replace("/docker/1", "/"), &mounts("/")), "--cgroupns=private");
        assert!(!needs_namespace_v1(own, &[]));
        assert!(!needs_namespace_v1("", &mounts("/docker/1")));
    }

    #[test]
    fn whether_a_namespace_is_needed() {
        assert_eq!(own_path("9:name=systemd:/x\n0::/docker/1\n").as_deref(), Some("/docker/1"));
        assert!(!needs_namespace("/").unwrap());
        assert!(!needs_namespace("/init").unwrap());
        assert!(needs_namespace("/system.slice/docker-1.scope").unwrap());
        assert!(matches!(needs_namespace("/../other"), Err(CgroupError::Outside { .. })));
    }
}
