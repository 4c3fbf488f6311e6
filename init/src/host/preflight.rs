//! Checks whether this container can run a node, before anything is changed: facts about it, and refusals that say what to
//! do. Reads only. Callers decide what follows from a fact.

use std::io;
use std::path::{Path, PathBuf};

use super::cgroups::{self, Version};
use super::mountinfo::{self, Mount, MountInfoError};
use crate::files::under;

/// Numbers of capabilities (`capability(7)`, `linux/capability.h`).
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_RESOURCE: u32 = 24;

/// Facts about this container on which the configuration of daemons depends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether the container has CAP_SYS_RESOURCE, so that OOM scores can be lowered. Without it containerd needs
    /// `restrict_oom_score_adj = true`.
    pub sys_resource: bool,
}

/// A reason why the node cannot run in this container.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A needed capability is missing.
    #[error("the container lacks {capability}: run the container with --privileged")]
    Capability { capability: &'static str },
    /// A path that must be writable is read-only.
    #[error("{} is read-only: run the container with --privileged", path.display())]
    ReadOnly { path: PathBuf },
    /// Root in the container is an ordinary user on the host.
    #[error(
        "the container runs in a user namespace, where kubelet and containerd lack rights on the host: use an engine that runs as root, or add --userns=host where the engine maps users (`userns-remap`)"
    )]
    UserNamespace,
    /// Needed cgroup v1 controllers are not mounted.
    #[error(
        "no cgroup hierarchy with {}: run the container with --privileged, on a host that has not disabled it (kernel parameter `cgroup_disable`)",
        controllers.join(", ")
    )]
    Controllers { controllers: Vec<&'static str> },
    /// A file that holds facts cannot be read.
    #[error("cannot read {}: run the container with --privileged and with /proc and /sys as the engine mounts them", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The mount table cannot be read or parsed.
    #[error("cannot read the mount table: run the container with --privileged")]
    Mounts(#[source] MountInfoError),
}

/// Collects the facts below `root` (`/` except in tests). `mounts` is the mount table, which the caller has read.
///
/// # Errors
/// Every reason why the node cannot run, not only the first one.
pub(crate) fn check(root: &Path, mounts: Result<Vec<Mount>, MountInfoError>) -> Result<Facts, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut read = |path: &str| {
        let path = under(root, path);
        std::fs::read_to_string(&path).unwrap_or_else(|source| {
            refusals.push(Refusal::Unreadable { path, source });
            String::new()
        })
    };
    let status = read("/proc/self/status");
    let uid_map = read("/proc/self/uid_map");
    if !refusals.is_empty() {
        return Err(refusals);
    }

    let capabilities = effective_capabilities(&status).unwrap_or_default();
    for (number, capability) in [(CAP_SYS_ADMIN, "CAP_SYS_ADMIN"), (CAP_NET_ADMIN, "CAP_NET_ADMIN")] {
        if !has(capabilities, number) {
            refusals.push(Refusal::Capability { capability });
        }
    }
    if !is_initial_user_namespace(&uid_map) {
        refusals.push(Refusal::UserNamespace);
    }
    match mounts {
        Ok(mounts) => refusals.extend(check_mounts(&mounts, cgroups::version(root))),
        Err(error) => refusals.push(Refusal::Mounts(error)),
    }
    if refusals.is_empty() { Ok(Facts { sys_resource: has(capabilities, CAP_SYS_RESOURCE) }) } else { Err(refusals) }
}

/// Engines mount these paths read-only unless the container is privileged, so the mount table shows it without a write.
fn check_mounts(mounts: &[Mount], version: Version) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut paths = vec![PathBuf::from("/proc/sys")];
    match version {
        Version::V2 => paths.push(PathBuf::from(cgroups::MOUNT_POINT)),
        Version::V1 => {
            // The tmpfs that holds the hierarchies may be read-only, the hierarchies may not. One is reported for all.
            let mut hierarchies = mounts.iter().filter(|mount| mount.fs_type == "cgroup");
            paths.extend(hierarchies.find(|mount| mount.is_read_only()).map(|mount| mount.mount_point.clone()));
            let controllers = cgroups::missing_v1(mounts);
            if !controllers.is_empty() {
                refusals.push(Refusal::Controllers { controllers });
            }
        }
    }
    for path in paths {
        if mountinfo::covering(mounts, &path).is_some_and(Mount::is_read_only) {
            refusals.push(Refusal::ReadOnly { path });
        }
    }
    refusals
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn has(set: u64, capability: u32) -> bool {
    set & (1 << capability) != 0
}

/// In the initial namespace all ids map to themselves (`user_namespaces(7)`).
fn is_initial_user_namespace(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(root: &Path) -> Result<Facts, Vec<Refusal>> {
        super::check(root, mountinfo::load(&under(root, "/proc/self/mountinfo")))
    }

    const PRIVILEGED: &str = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /proc rw - proc proc rw\n\
                              3 1 0:3 / /sys rw - sysfs sysfs rw\n4 3 0:4 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";

    fn fixture(capabilities: &str, uid_map: &str, mountinfo: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("proc/self/status", format!("Name:\tx\nCapEff:\t{capabilities}\nCapBnd:\t0\n")),
            ("proc/self/uid_map", uid_map.to_owned()),
            ("proc/self/mountinfo", mountinfo.to_owned()),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n".to_owned()),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_privileged_container_has_facts() {
        let root = fixture("000001ffffffffff", "         0          0 4294967295\n", PRIVILEGED);
        assert_eq!(check(root.path()).unwrap(), Facts { sys_resource: true });
        let root = fixture("000001fffeffffff", "0 0 4294967295\n", PRIVILEGED);
        assert_eq!(check(root.path()).unwrap(), Facts { sys_resource: false });
    }

    #[test]
    fn an_ordinary_container_is_refused_for_every_reason_at_once() {
        let ordinary = format!(
            "{PRIVILEGED}5 2 0:2 /sys /proc/sys ro - proc proc rw\n6 3 0:4 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
        );
        let root = fixture("00000000a80425fb", "0 100000 65536\n", &ordinary);
        let texts: Vec<String> = check(root.path()).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts[..2],
            [
                "the container lacks CAP_SYS_ADMIN: run the container with --privileged",
                "the container lacks CAP_NET_ADMIN: run the container with --privileged"
            ]
        );
        assert!(texts[2].contains("--userns=host"));
        assert_eq!(texts[3], "/proc/sys is read-only: run the container with --privileged");
        assert_eq!(texts[4], "/sys/fs/cgroup is read-only: run the container with --privileged");
        assert_eq!(texts.len(), 5);
    }

    #[test]
    fn missing_v1_controllers_are_named() {
        let v1 = "1 0 0:1 / / rw - overlay overlay rw\n4 1 0:4 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                  5 1 0:5 / /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n";
        let texts: Vec<String> =
            check_mounts(&mountinfo::parse(v1).unwrap(), Version::V1).iter().map(ToString::to_string).collect();
        assert!(texts[0].starts_with("no cgroup hierarchy with memory, pids, devices: "), "{texts:?}");
        assert!(texts[1].starts_with("/sys/fs/cgroup/cpuset is read-only"), "{texts:?}");
        assert_eq!(texts.len(), 2);
    }

    #[test]
    fn without_proc_the_files_are_named() {
        let root = tempfile::tempdir().unwrap();
        let refusals = check(root.path()).unwrap_err();
        assert_eq!(refusals.len(), 2);
        assert!(refusals[0].to_string().contains("/proc/self/status"), "{}", refusals[0]);
    }
}
