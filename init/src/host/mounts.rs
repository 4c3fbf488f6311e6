//! The mounts that a node needs and that no engine makes: a table, a plan of its missing entries ([`plan`]), and one loop
//! that makes them ([`apply_at`]). Never unmounts a file system.
//!
//! `/run` gets a fresh tmpfs at each start of the container, even over an existing mount: a volume or a Kubernetes
//! emptyDir keeps the pid files of the previous run, and deleting files in a user's directory is not acceptable. What a
//! user mounted, copied or named as working directory below stays visible ([`carry`]). kubake's own tmpfs is recognised by
//! its source. `/tmp` stays as it is where programs can use it: everything in it is the user's. Only a bake covers it,
//! because what hooks leave there must not become part of the image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kubake_contract::paths;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::carry::Covered;
use super::mountinfo::{self, Mount, MountInfoError};
use crate::files::under;

/// Source of the mounts that kubake makes, by which they are recognised.
const SOURCE: &str = "kubake";

/// Size of `/run`. It holds the configuration of each container and no data; a directory that a user has below is no part
/// of it. Without a size a tmpfs may take half of the machine's memory.
const RUN_OPTIONS: &str = "mode=0755,size=512m";
const TMP_OPTIONS: &str = "mode=1777,size=50%";

/// Where daemons of the node keep sockets and state, which must not lie on what a user mounted there, such as the socket of
/// the host's Docker.
const OWN: &[&str] = &[
    paths::RUN,
    paths::CONTAINERD_STATE,
    paths::DOCKER_SOCKET,
    "/run/docker",
    "/run/docker.pid",
    "/run/crun",
    "/run/netns",
    "/run/xtables.lock",
];

/// A requirement on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The path and all mounts below are shared, so that mounts of kubelet and of CSI drivers reach pods.
    SharedTree,
    /// A tmpfs of kubake's with these options, new at each start of the container.
    FreshTmpfs(&'static str),
    /// A directory that can be written to; a mount must allow running programs and using devices. Else a tmpfs with these
    /// options.
    Scratch(&'static str),
    /// A writable file system.
    Writable,
    /// A mount of this virtual file system of the kernel.
    Kernel(&'static str),
    /// An existing directory.
    Directory,
}

/// A path and its requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub path: &'static str,
    pub kind: Kind,
    /// Whether the boot fails when the requirement cannot be met.
    pub required: bool,
}

const fn required(path: &'static str, kind: Kind) -> Entry {
    Entry { path, kind, required: true }
}

const fn best_effort(path: &'static str, kind: Kind) -> Entry {
    Entry { path, kind, required: false }
}

/// The requirements, in the order in which they are applied.
pub(crate) const TABLE: &[Entry] = &[
    // First, because mounts below a shared mount are shared without a further call.
    required("/", Kind::SharedTree),
    required("/run", Kind::FreshTmpfs(RUN_OPTIONS)),
    required("/tmp", Kind::Scratch(TMP_OPTIONS)),
    best_effort("/sys", Kind::Writable),
    // containerd and dockerd detect AppArmor here.
    best_effort("/sys/kernel/security", Kind::Kernel("securityfs")),
    // Some CNI plugins' pods expect it to outlive them.
    best_effort("/sys/fs/bpf", Kind::Kernel("bpf")),
    required(paths::RUN, Kind::Directory),
    required(paths::CONTAINERD_STATE, Kind::Directory),
    required(paths::LOGS, Kind::Directory),
    required(paths::VOLUMES, Kind::Directory),
];

/// What a bake needs before the rest.
const OF_A_BAKE: &[Entry] = &[required("/tmp", Kind::FreshTmpfs(TMP_OPTIONS))];

/// A requirement that cannot be met.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    #[error("cannot read the mount table")]
    Table(#[from] MountInfoError),
    #[error("cannot create the directory {}; remove what is in its place, or start the container without --read-only", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot mount {what} on {}; run the container with --privileged", path.display())]
    Mount {
        what: String,
        path: PathBuf,
        #[source]
        source: Errno,
    },
    /// The directory cannot be read before it is covered.
    #[error("cannot read {}; remove what is mounted on it", path.display())]
    Covered {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Returns the entries of `table` that are not met by the mounts below `root`.
#[must_use]
pub(crate) fn plan<'a>(table: &'a [Entry], root: &Path, mounts: &[Mount]) -> Vec<&'a Entry> {
    table.iter().filter(|entry| !holds(entry, &under(root, entry.path), mounts)).collect()
}

fn holds(entry: &Entry, path: &Path, mounts: &[Mount]) -> bool {
    let top = mountinfo::at(mounts, path);
    match entry.kind {
        // Checking costs as much as applying, and applying again has no effect.
        Kind::SharedTree | Kind::Directory => false,
        Kind::FreshTmpfs(_) => top.is_some_and(|mount| mount.source == SOURCE),
        Kind::Scratch(_) => {
            let is_usable = |mount: &Mount| {
                !mount.is_read_only() && !mount.options.iter().any(|option| option == "noexec" || option == "nodev")
            };
            mountinfo::covering(mounts, path).is_none_or(is_usable)
        }
        Kind::Writable => mountinfo::covering(mounts, path).is_none_or(|mount| !mount.is_read_only()),
        Kind::Kernel(fs_type) => top.is_some_and(|mount| mount.fs_type == fs_type),
    }
}

/// Applies [`TABLE`] below `root` (`/` except in tests) and returns the failures of entries that are not required.
/// Idempotent: entries that are met are left alone.
///
/// # Errors
/// The first required entry that cannot be met.
pub(crate) fn apply_at(root: &Path) -> Result<Vec<MountError>, MountError> {
    apply(TABLE, root)
}

/// Covers what must not become part of an image. A bake calls it before [`apply_at`].
///
/// # Errors
/// The first entry that cannot be met.
pub(crate) fn apply_for_bake_at(root: &Path) -> Result<(), MountError> {
    apply(OF_A_BAKE, root).map(drop)
}

fn apply(table: &[Entry], root: &Path) -> Result<Vec<MountError>, MountError> {
    let mounts = mountinfo::current()?;
    let mut missing = Vec::new();
    for entry in plan(table, root, &mounts) {
        match establish(entry, root, &mounts) {
            Ok(()) => tracing::debug!(path = entry.path, kind = ?entry.kind, "mount done"),
            Err(error) if entry.required => return Err(error),
            Err(error) => missing.push(error),
        }
    }
    Ok(missing)
}

fn establish(entry: &Entry, root: &Path, mounts: &[Mount]) -> Result<(), MountError> {
    let path = &under(root, entry.path);
    match entry.kind {
        Kind::SharedTree => call("shared propagation", None, path, None, MsFlags::MS_REC | MsFlags::MS_SHARED, None),
        Kind::FreshTmpfs(options) => fresh_tmpfs(root, path, options, mounts),
        Kind::Scratch(options) => match mountinfo::at(mounts, path) {
            Some(top) if !top.is_read_only() => {
                let flags = MsFlags::MS_NOSUID | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
                call("with programs and devices", None, path, None, flags, None)
            }
            _ => fresh_tmpfs(root, path, options, mounts),
        },
        Kind::Writable => {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            // The mount and its file system have separate read-only flags.
            call("read-write", None, path, None, flags | MsFlags::MS_BIND, None)
                .and_then(|()| call("read-write", None, path, None, flags, None))
        }
        Kind::Kernel(fs_type) => {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            call(fs_type, Some(fs_type), path, Some(fs_type), flags, None)
        }
        Kind::Directory => create(path),
    }
}

fn fresh_tmpfs(root: &Path, path: &Path, options: &str, mounts: &[Mount]) -> Result<(), MountError> {
    create(path)?;
    let failed = |source| MountError::Covered { path: path.to_owned(), source };
    let covered = Covered::open(path).map_err(failed)?;
    call("a tmpfs", Some(SOURCE), path, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))?;
    let is_own = |path: &Path| OWN.iter().any(|own| path == under(root, own));
    for (lost, error) in covered.carry(mounts, is_own).map_err(failed)? {
        tracing::warn!("{} is hidden by the node's {}: {error}", lost.display(), path.display());
    }
    Ok(())
}

fn create(path: &Path) -> Result<(), MountError> {
    fs::create_dir_all(path).map_err(|source| MountError::Directory { path: path.to_owned(), source })
}

fn call(
    what: &str,
    source: Option<&str>,
    path: &Path,
    fs_type: Option<&str>,
    flags: MsFlags,
    data: Option<&str>,
) -> Result<(), MountError> {
    mount(source, path, fs_type, flags, data).map_err(|source| MountError::Mount {
        what: what.to_owned(),
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::test_namespace::in_namespace;
    use super::*;

    fn missing(table: &str) -> Vec<&'static str> {
        plan(TABLE, Path::new("/"), &mountinfo::parse(table).unwrap())
            .into_iter()
            .filter(|entry| !matches!(entry.kind, Kind::SharedTree | Kind::Directory))
            .map(|entry| entry.path)
            .collect()
    }

    #[test]
    fn the_plan_holds_the_missing_entries() {
        let plain = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /sys ro - sysfs sysfs rw\n";
        assert_eq!(missing(plain), ["/run", "/sys", "/sys/kernel/security", "/sys/fs/bpf"]);
        let read_only = "1 0 0:1 / / ro - overlay overlay ro\n";
        assert_eq!(missing(read_only)[..2], ["/run", "/tmp"], "programs need a /tmp that can be written to");
        let done = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /sys rw - sysfs sysfs rw\n\
                    3 1 0:3 / /run rw - tmpfs kubake rw\n4 1 0:4 / /tmp rw,nosuid - tmpfs kubake rw\n\
                    5 2 0:5 / /sys/kernel/security rw - securityfs securityfs rw\n6 2 0:6 / /sys/fs/bpf rw - bpf bpf rw\n";
        assert_eq!(missing(done), Vec::<&str>::new());
        let engines = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /sys rw - sysfs sysfs rw\n\
                       3 1 0:3 / /run rw,noexec - tmpfs tmpfs rw\n4 1 0:4 / /tmp rw,noexec - tmpfs tmpfs rw\n";
        assert_eq!(missing(engines)[..2], ["/run", "/tmp"], "a --tmpfs of the engine is not good enough");
    }

    #[test]
    #[ignore = "needs root"]
    fn applying_twice_is_applying_once() {
        in_namespace(|| {
            let root = tempfile::tempdir().unwrap();
            let root = root.path().canonicalize().unwrap();
            mount(Some(&root), &root, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
            fs::create_dir_all(root.join("run/secrets/some")).unwrap();
            drop(std::os::unix::net::UnixListener::bind(root.join("run/stale.sock")).unwrap());
            fs::write(root.join("run/secrets/some/token"), "t").unwrap();
            let listed = || -> Vec<(PathBuf, String)> {
                let mounts = mountinfo::current().unwrap();
                mountinfo::below(&mounts, &root)
                    .into_iter()
                    .map(|mount| (mount.mount_point.strip_prefix(&root).unwrap().to_owned(), mount.fs_type.clone()))
                    .collect()
            };
            let not_there = apply_at(&root).unwrap();
            // The directory has no /sys, so the two virtual file systems of the kernel are reported as missing.
            assert_eq!(not_there.len(), 2, "{not_there:?}");
            let first = listed();
            assert_eq!(apply_at(&root).unwrap().len(), 2);
            assert_eq!(listed(), first);
            let points: Vec<_> = first.iter().map(|(path, _)| path.to_str().unwrap()).collect();
            assert_eq!(points, ["run/secrets", "run"]);
            assert!(!root.join("run/stale.sock").exists());
            assert_eq!(fs::read_to_string(root.join("run/secrets/some/token")).unwrap(), "t");
            assert!(under(&root, paths::LOGS).is_dir() && under(&root, paths::RUN).is_dir());
            let raw = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
            let line = raw.lines().find(|line| line.contains(&format!(" {} ", root.join("run").display()))).unwrap();
            assert!(line.contains(" shared:") && line.contains("size=524288k"), "{line}");
        });
    }

    #[test]
    #[ignore = "needs root"]
    fn a_bake_covers_tmp_and_carries_what_is_there() {
        in_namespace(|| {
            let root = tempfile::tempdir().unwrap();
            let root = root.path().canonicalize().unwrap();
            fs::create_dir(root.join("tmp")).unwrap();
            fs::write(root.join("tmp/of-the-image"), "kept").unwrap();
            apply_for_bake_at(&root).unwrap();
            fs::write(root.join("tmp/left-by-a-hook"), "").unwrap();
            assert_eq!(fs::read_to_string(root.join("tmp/of-the-image")).unwrap(), "kept");
            assert_eq!(fs::metadata(root.join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
            mountinfo::unmount_below(&root).unwrap();
            assert!(!root.join("tmp/left-by-a-hook").exists());
        });
    }

    #[test]
    #[ignore = "needs root"]
    fn programs_run_from_an_engines_noexec_tmp() {
        in_namespace(|| {
            let root = tempfile::tempdir().unwrap();
            let root = root.path().canonicalize().unwrap();
            mount(Some(&root), &root, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
            let tmp = root.join("tmp");
            fs::create_dir(&tmp).unwrap();
            let flags = MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
            mount(Some("tmpfs"), &tmp, Some("tmpfs"), flags, Some("mode=1777")).unwrap();
            fs::write(tmp.join("users"), "").unwrap();
            apply_at(&root).unwrap();
            assert!(tmp.join("users").exists(), "the user's files stay");
            let mounts = mountinfo::current().unwrap();
            let options = &mountinfo::at(&mounts, &tmp).unwrap().options;
            assert!(!options.iter().any(|option| option == "noexec" || option == "nodev"), "{options:?}");
        });
    }
}
