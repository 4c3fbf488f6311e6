//! Version 1 with the host's hierarchies mounted into the container (`-v /sys/fs/cgroup:/sys/fs/cgroup:rw`, as many guides
//! start images with containers inside): shows the container's own cgroups there instead, as engines do by themselves. In the
//! host's root, kubelet would take the processes of the whole host for its own.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::error::CgroupError;
use super::file::read;
use super::hierarchy::{MOUNT_POINT, Version, version};
use crate::host::mountinfo::{self, Mount};

/// Where the new view is built, on a tmpfs.
const BUILT: &str = "/run/kubake/cgroup";

/// Replaces a view of the host's hierarchies by one of the container's own cgroups. The host's hierarchy of version 2 is not
/// in it: crun refuses to start containers where it sees one with controllers ("cgroups in hybrid mode not supported").
/// Idempotent.
///
/// # Errors
/// [`CgroupError`]; the view is then the old one, or none.
pub(crate) fn show_own() -> Result<(), CgroupError> {
    let root = Path::new("/");
    if version(root) == Version::V2 {
        return Ok(());
    }
    let planned = plan(&mountinfo::current()?, &read(Path::new("/proc/self/cgroup"))?);
    if planned.is_empty() {
        return Ok(());
    }
    let (view, built) = (Path::new(MOUNT_POINT), Path::new(BUILT));
    create(built)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    call(Some(Path::new("kubake")), built, Some("tmpfs"), flags, Some("mode=0755,size=1m"))?;
    // Else its end below would end its copy, too.
    call(None, built, None, MsFlags::MS_PRIVATE, None)?;
    for (from, to) in planned {
        let Ok(name) = to.strip_prefix(MOUNT_POINT) else { continue };
        let to = built.join(name);
        create(&to)?;
        call(Some(&from), &to, None, MsFlags::MS_BIND, None)?;
    }
    // Links such as `cpu`, where a hierarchy has several controllers.
    for entry in fs::read_dir(view).into_iter().flatten().flatten() {
        if let Ok(target) = fs::read_link(entry.path()) {
            let link = built.join(entry.file_name());
            symlink(target, &link).map_err(|source| written(&link, source))?;
        }
    }
    detach(view)?;
    call(Some(built), view, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    detach(built)?;
    tracing::info!("{MOUNT_POINT} shows the container's own cgroups, not the host's");
    Ok(())
}

fn create(path: &Path) -> Result<(), CgroupError> {
    fs::create_dir_all(path).map_err(|source| written(path, source))
}

fn written(path: &Path, source: io::Error) -> CgroupError {
    CgroupError::Write { path: path.to_owned(), text: "a new directory or link".to_owned(), source }
}

fn call(
    from: Option<&Path>,
    to: &Path,
    fs_type: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> Result<(), CgroupError> {
    mount(from, to, fs_type, flags, data).map_err(|source| CgroupError::Mount { path: to.to_owned(), source })
}

fn detach(path: &Path) -> Result<(), CgroupError> {
    umount2(path, MntFlags::MNT_DETACH).map_err(|source| CgroupError::Mount { path: path.to_owned(), source })
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
