//! The mounts that a node needs and that no engine makes: a table, a plan of its missing entries ([`plan`]), and one loop
//! that makes them ([`apply_at`]). Never unmounts a file system.
//!
//! `/run` gets a fresh tmpfs at each start of the container, even over an existing mount. `--tmpfs /run` starts empty
//! too, but a volume or a Kubernetes emptyDir keeps the sockets and pid files of the previous run, and deleting files in
//! a user's directory is not acceptable. kubake's own tmpfs is recognised by its source. `/tmp` stays when it is a mount.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use kubake_contract::paths;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};

use super::mountinfo::{self, Mount, MountInfoError};
use crate::files::under;

/// Source of the mounts that kubake makes, by which they are recognised.
const SOURCE: &str = "kubake";

/// Directory of the engine's secrets (Docker, podman, and Kubernetes' service account through `/var/run`). It stays
/// visible.
const SECRETS: &str = "/run/secrets";

/// A requirement on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The path and all mounts below are shared, so that mounts of kubelet and of CSI drivers reach pods.
    SharedTree,
    /// A tmpfs of kubake's, empty at each start of the container.
    FreshTmpfs,
    /// A mount of any kind. A tmpfs must allow running programs and using devices.
    Scratch,
    /// A writable file system.
    Writable,
    /// A mount of this virtual file system of the kernel.
    Kernel(&'static str),
    /// A bind mount of this directory.
    Bind(&'static str),
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
    required("/run", Kind::FreshTmpfs),
    required("/tmp", Kind::Scratch),
    best_effort("/sys", Kind::Writable),
    // containerd and dockerd detect AppArmor here.
    best_effort("/sys/kernel/security", Kind::Kernel("securityfs")),
    // Some CNI plugins' pods expect it to outlive them.
    best_effort("/sys/fs/bpf", Kind::Kernel("bpf")),
    required(paths::RUN, Kind::Directory),
    required(paths::CONTAINERD_STATE, Kind::Directory),
    required(paths::LOGS, Kind::Directory),
    required(paths::VOLUMES, Kind::Directory),
    required(paths::HOSTPATH_PROVISIONER, Kind::Bind(paths::VOLUMES)),
];

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
    /// The engine's secrets cannot be kept visible.
    #[error("cannot open {}; remove what is mounted on it", path.display())]
    Secrets {
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
        Kind::FreshTmpfs => top.is_some_and(|mount| mount.source == SOURCE),
        Kind::Scratch => top.is_some_and(|mount| {
            mount.fs_type != "tmpfs" || !mount.options.iter().any(|option| option == "noexec" || option == "nodev")
        }),
        Kind::Writable => mountinfo::covering(mounts, path).is_none_or(|mount| !mount.is_read_only()),
        Kind::Kernel(fs_type) => top.is_some_and(|mount| mount.fs_type == fs_type),
        Kind::Bind(_) => top.is_some(),
    }
}

/// Applies [`TABLE`] below `root` (`/` except in tests) and returns the failures of entries that are not required.
/// Idempotent: entries that are met are left alone.
///
/// # Errors
/// The first required entry that cannot be met.
pub(crate) fn apply_at(root: &Path) -> Result<Vec<MountError>, MountError> {
    let mounts = mountinfo::current()?;
    let mut missing = Vec::new();
    for entry in plan(TABLE, root, &mounts) {
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
        Kind::FreshTmpfs => fresh_tmpfs(path, &under(root, SECRETS)),
        Kind::Scratch => {
            create(path)?;
            let mut flags = MsFlags::MS_NOSUID;
            if mountinfo::at(mounts, path).is_some() {
                flags |= MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
            }
            call("a tmpfs", Some(SOURCE), path, Some("tmpfs"), flags, Some("mode=1777"))
        }
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
        Kind::Bind(source) => {
            let source = under(root, source);
            create(&source)?;
            create(path)?;
            mount(Some(&source), path, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|errno| {
                MountError::Mount { what: source.display().to_string(), path: path.clone(), source: errno }
            })
        }
        Kind::Directory => create(path),
    }
}

fn fresh_tmpfs(path: &Path, secrets: &Path) -> Result<(), MountError> {
    create(path)?;
    // An open directory stays usable when another mount covers it: its link in /proc can be the source of a bind mount.
    let kept = match fs::OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).bits())
        .open(secrets)
    {
        Ok(directory) => Some(directory),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(MountError::Secrets { path: secrets.to_owned(), source }),
    };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    call("a tmpfs", Some(SOURCE), path, Some("tmpfs"), flags, Some("mode=0755"))?;
    let Some(kept) = kept else { return Ok(()) };
    create(secrets)?;
    let link = format!("/proc/thread-self/fd/{}", kept.as_raw_fd());
    call("secrets", Some(&link), secrets, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)
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
        assert_eq!(missing(plain), ["/run", "/tmp", "/sys", "/sys/kernel/security", "/sys/fs/bpf", "/tmp/hostpath_pv"]);
        let done = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /sys rw - sysfs sysfs rw\n\
                    3 1 0:3 / /run rw - tmpfs kubake rw\n4 1 0:4 / /tmp rw,nosuid - tmpfs kubake rw\n\
                    5 2 0:5 / /sys/kernel/security rw - securityfs securityfs rw\n6 2 0:6 / /sys/fs/bpf rw - bpf bpf rw\n\
                    7 4 0:1 /var/lib/kubake/volumes /tmp/hostpath_pv rw - overlay overlay rw\n";
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
            fs::write(root.join("run/stale.sock"), "").unwrap();
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
            assert_eq!(points, ["tmp/hostpath_pv", "tmp", "run/secrets", "run"]);
            assert!(!root.join("run/stale.sock").exists());
            assert_eq!(fs::read_to_string(root.join("run/secrets/some/token")).unwrap(), "t");
            assert_eq!(fs::metadata(root.join("tmp")).unwrap().permissions().mode() & 0o7777, 0o1777);
            fs::write(under(&root, paths::VOLUMES).join("data"), "kept").unwrap();
            assert_eq!(fs::read_to_string(under(&root, paths::HOSTPATH_PROVISIONER).join("data")).unwrap(), "kept");
            assert!(under(&root, paths::LOGS).is_dir() && under(&root, paths::RUN).is_dir());
            let raw = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
            let line = raw.lines().find(|line| line.contains(&format!(" {} ", root.join("run").display()))).unwrap();
            assert!(line.contains(" shared:"), "{line}");
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
