//! Version 1 with the host's hierarchies mounted into the container (`-v /sys/fs/cgroup:/sys/fs/cgroup:rw`, as many guides
//! start images with containers inside): mounts the container's own cgroups over them, as engines do by themselves. In the
//! host's root, kubelet would take the processes of the whole host for its own.

use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::error::CgroupError;
use super::file::read;
use super::hierarchy::{MOUNT_POINT, Version, version};
use crate::files::under;
use crate::host::mountinfo::{self, Mount};

/// Mounts the container's own cgroup at each hierarchy of version 1 that shows one above it. Idempotent.
///
/// # Errors
/// [`CgroupError`]; a part of the hierarchies may have been mounted.
pub(crate) fn show_own(root: &Path) -> Result<(), CgroupError> {
    if version(root) == Version::V2 {
        return Ok(());
    }
    let mounts = mountinfo::load(&under(root, "/proc/self/mountinfo"))?;
    let own = read(&under(root, "/proc/self/cgroup"))?;
    let planned = plan(&mounts, &own);
    if !planned.is_empty() {
        hide_version_2(&mounts)?;
    }
    for (from, to) in planned {
        if !from.is_dir() {
            tracing::warn!("{} is not the container's own cgroup, which is not visible", to.display());
            continue;
        }
        mount(Some(&from), &to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(|source| CgroupError::Mount { path: to.clone(), source })?;
    }
    Ok(())
}

/// Covers the host's hierarchy of version 2, beside those of version 1: crun refuses to start containers where it sees one
/// that has controllers ("cgroups in hybrid mode not supported").
fn hide_version_2(mounts: &[Mount]) -> Result<(), CgroupError> {
    for path in version_2(mounts) {
        mount(Some("kubake"), path, Some("tmpfs"), MsFlags::MS_RDONLY, Some("size=4k"))
            .map_err(|source| CgroupError::Mount { path: path.to_owned(), source })?;
    }
    Ok(())
}

fn version_2(mounts: &[Mount]) -> Vec<&Path> {
    let points = mounts.iter().filter(|mount| mount.fs_type == "cgroup2").map(|mount| mount.mount_point.as_path());
    points
        .filter(|point| point.starts_with(MOUNT_POINT))
        .filter(|point| mountinfo::at(mounts, point).is_some_and(|top| top.fs_type == "cgroup2"))
        .collect()
}

/// What to bind where. `own` is the text of `/proc/self/cgroup`: lines of `ID:CONTROLLERS:PATH`.
fn plan(mounts: &[Mount], own: &str) -> Vec<(PathBuf, PathBuf)> {
    let mut plan = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let has = |mount: &Mount| {
            mount.fs_type == "cgroup"
                && mount.mount_point.starts_with(MOUNT_POINT)
                && controllers.split(',').all(|one| mount.super_options.iter().any(|option| option == one))
        };
        for hierarchy in mounts.iter().filter(|mount| has(mount)) {
            // Only the topmost mount is visible.
            if mountinfo::at(mounts, &hierarchy.mount_point) != Some(hierarchy) {
                continue;
            }
            match Path::new(path).strip_prefix(&hierarchy.root) {
                Ok(below) if below != Path::new("") => {
                    plan.push((hierarchy.mount_point.join(below), hierarchy.mount_point.clone()));
                }
                _ => {}
            }
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "1 0 0:1 / / rw - overlay overlay rw\n\
        2 1 0:2 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        3 2 0:3 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        4 2 0:4 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
        5 2 0:5 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const OWN: &str = "3:cpu,cpuacct:/docker/1\n2:name=systemd:/docker/1\n1:freezer:/docker/1\n0::/docker/1\n";

    #[test]
    fn the_containers_own_cgroups_cover_the_hosts() {
        let planned = plan(&mountinfo::parse(HOSTS).unwrap(), OWN);
        assert_eq!(version_2(&mountinfo::parse(HOSTS).unwrap()), [Path::new("/sys/fs/cgroup/unified")]);
        let covered = format!("{HOSTS}7 5 0:7 / /sys/fs/cgroup/unified ro - tmpfs kubake ro\n");
        assert_eq!(version_2(&mountinfo::parse(&covered).unwrap()), Vec::<&Path>::new());
        let shown: Vec<_> = planned.iter().map(|(from, to)| (from.to_str().unwrap(), to.to_str().unwrap())).collect();
        assert_eq!(
            shown,
            [
                ("/sys/fs/cgroup/cpu,cpuacct/docker/1", "/sys/fs/cgroup/cpu,cpuacct"),
                ("/sys/fs/cgroup/systemd/docker/1", "/sys/fs/cgroup/systemd"),
            ]
        );
    }

    #[test]
    fn what_an_engine_mounts_stays() {
        let engines = HOSTS.replace(" / /sys/fs/cgroup/", " /docker/1 /sys/fs/cgroup/");
        assert_eq!(plan(&mountinfo::parse(&engines).unwrap(), OWN), []);
        let private = OWN.replace("/docker/1", "/");
        assert_eq!(plan(&mountinfo::parse(HOSTS).unwrap(), &private), []);
        let again = format!("{HOSTS}6 3 0:3 /docker/1 /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
        assert_eq!(plan(&mountinfo::parse(&again).unwrap(), OWN).len(), 1, "applying it again changes nothing");
    }
}
