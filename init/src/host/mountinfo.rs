//! The kernel's mount table: parsing it (`proc(5)`, `/proc/PID/mountinfo`), looking up mounts, and unmounting. Never mounts
//! a file system.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

/// The calling thread's table: threads can have mount namespaces of their own, as in the tests.
const MOUNTINFO: &str = "/proc/thread-self/mountinfo";

/// Each pass unmounts everything it sees; another pass is needed when a program mounted something meanwhile.
const PASSES: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The directory of the file system that is mounted.
    pub root: PathBuf,
    pub mount_point: PathBuf,
    /// Options of this mount, such as `ro`.
    pub options: Vec<String>,
    /// File system type, such as `tmpfs`.
    pub fs_type: String,
    /// The mounted device, or an arbitrary name for file systems without one.
    pub source: String,
    /// Options of the file system itself, such as the controllers of a cgroup v1 hierarchy.
    pub super_options: Vec<String>,
}

impl Mount {
    /// Whether the mount or its file system is read-only.
    #[must_use]
    pub(crate) fn is_read_only(&self) -> bool {
        self.options.iter().chain(&self.super_options).any(|option| option == "ro")
    }
}

/// A failure with the mount table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountInfoError {
    /// It cannot be read.
    #[error("cannot read {}; mount /proc into the container", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A line does not have the form of `proc(5)`.
    #[error("failed to parse the line `{line}` of the mount table; report this together with the kernel's version")]
    Malformed { line: String },
    #[error("cannot unmount {}; stop the program that uses it and try again", path.display())]
    Unmount {
        /// The mount point.
        path: PathBuf,
        #[source]
        source: Errno,
    },
    /// A program mounts as fast as mounts are removed.
    #[error("{} keeps being mounted; stop the program that mounts it and try again", path.display())]
    Remains {
        /// The mount point.
        path: PathBuf,
    },
}

/// Parses a mount table.
///
/// # Errors
/// [`MountInfoError::Malformed`] with the first malformed line.
pub(crate) fn parse(text: &str) -> Result<Vec<Mount>, MountInfoError> {
    text.lines()
        .map(|line| parse_line(line).ok_or_else(|| MountInfoError::Malformed { line: line.to_owned() }))
        .collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    // 36 35 98:0 /root /mount rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let mut file_system = file_system.splitn(3, ' ');
    let options = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        root: unescape(mount.next()?),
        mount_point: unescape(mount.next()?),
        options: options(mount.next()?),
        fs_type: file_system.next()?.to_owned(),
        source: file_system.next()?.to_owned(),
        super_options: options(file_system.next().unwrap_or_default()),
    })
}

/// Decodes paths: the kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if first == b'\\' => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Reads the table of the calling thread's mount namespace, in the order of mounting.
///
/// # Errors
/// [`MountInfoError::Read`] and [`MountInfoError::Malformed`].
pub(crate) fn current() -> Result<Vec<Mount>, MountInfoError> {
    load(Path::new(MOUNTINFO))
}

/// Reads the table in a file.
///
/// # Errors
/// [`MountInfoError::Read`] and [`MountInfoError::Malformed`].
pub(crate) fn load(path: &Path) -> Result<Vec<Mount>, MountInfoError> {
    // Lossy: kubake makes no mount point that is not UTF-8, and one of a user must not hide the others.
    let text = std::fs::read(path).map_err(|source| MountInfoError::Read { path: path.to_owned(), source })?;
    parse(&String::from_utf8_lossy(&text))
}

/// Returns the topmost mount at exactly `path`.
#[must_use]
pub(crate) fn at<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts.iter().rfind(|mount| mount.mount_point == path)
}

/// Returns the mount that holds a file at `path`.
#[must_use]
pub(crate) fn covering<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    path.ancestors().find_map(|ancestor| at(mounts, ancestor))
}

/// Returns all mounts strictly below `path`, in the order in which they can be unmounted.
#[must_use]
pub(crate) fn below<'a>(mounts: &'a [Mount], path: &Path) -> Vec<&'a Mount> {
    mounts.iter().rev().filter(|mount| mount.mount_point != path && mount.mount_point.starts_with(path)).collect()
}

/// Unmounts everything strictly below `path` and returns the mount points. A mount at `path` itself stays. Mounts in use
/// are detached (`MNT_DETACH`): they leave the tree at once and end with their last user.
///
/// # Errors
/// [`MountInfoError`]; some of the mounts may be gone by then. Calling it again is safe.
pub(crate) fn unmount_below(path: &Path) -> Result<Vec<PathBuf>, MountInfoError> {
    let mut gone = Vec::new();
    for _ in 0..PASSES {
        let mounts = current()?;
        let found = below(&mounts, path);
        if found.is_empty() {
            return Ok(gone);
        }
        for mount in found {
            let path = &mount.mount_point;
            match unmount(path) {
                Ok(()) => gone.push(path.clone()),
                // It was unmounted with another one: peers of a shared mount go together.
                Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(source) => return Err(MountInfoError::Unmount { path: path.clone(), source }),
            }
        }
    }
    match below(&current()?, path).first() {
        None => Ok(gone),
        Some(mount) => Err(MountInfoError::Remains { path: mount.mount_point.clone() }),
    }
}

fn unmount(path: &Path) -> nix::Result<()> {
    match umount2(path, MntFlags::UMOUNT_NOFOLLOW) {
        Err(Errno::EBUSY) => {
            tracing::warn!(path = %path.display(), "still in use: detached instead of unmounted");
            umount2(path, MntFlags::UMOUNT_NOFOLLOW | MntFlags::MNT_DETACH)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use nix::mount::{MsFlags, mount};
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
23 27 0:22 / /sys ro,nosuid shared:7 - sysfs sysfs rw
27 1 254:0 / / rw,relatime master:1 propagate_from:2 - ext4 /dev/vda rw,discard
31 23 0:29 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
40 27 0:50 /a\\040b /mnt/a\\040b\\134c rw - tmpfs none rw
41 40 0:51 / /mnt/a\\040b\\134c/deep rw - tmpfs none
42 27 0:52 / /proc rw - proc second rw
";

    #[test]
    fn a_table_is_parsed() {
        let mounts = parse(TABLE).unwrap();
        assert_eq!(mounts[4].mount_point, Path::new("/mnt/a b\\c"));
        assert_eq!(mounts[4].root, Path::new("/a b"));
        assert_eq!((mounts[2].fs_type.as_str(), mounts[2].source.as_str()), ("ext4", "/dev/vda"));
        assert!(mounts[1].is_read_only() && !mounts[2].is_read_only());
        assert_eq!(at(&mounts, Path::new("/proc")).unwrap().source, "second", "the topmost mount is returned");
        assert_eq!(covering(&mounts, Path::new("/sys/kernel/x")).unwrap().fs_type, "sysfs");
        assert_eq!(covering(&mounts, Path::new("/system")).unwrap().fs_type, "ext4");
        let found: Vec<_> = below(&mounts, Path::new("/mnt")).into_iter().map(|mount| &mount.mount_point).collect();
        assert_eq!(found, [Path::new("/mnt/a b\\c/deep"), Path::new("/mnt/a b\\c")]);
        assert_eq!(below(&mounts, Path::new("/mnt/a b\\c/deep")).len(), 0, "the path itself is not below");
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parse("22 27 0:21 / /proc rw\n").unwrap_err();
        assert!(error.to_string().contains("22 27 0:21"), "{error}");
    }

    #[test]
    fn the_running_kernels_table_is_parsed() {
        assert!(at(&current().unwrap(), Path::new("/")).is_some());
    }

    proptest! {
        #[test]
        fn escaped_paths_are_decoded(path in "/[ -~\t\n]{0,40}") {
            let escaped: String = path
                .bytes()
                .map(|byte| match byte {
                    b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}"),
                    _ => char::from(byte).to_string(),
                })
                .collect();
            prop_assert_eq!(unescape(&escaped), PathBuf::from(path));
        }
    }

    #[test]
    #[ignore = "needs root"]
    fn all_mounts_below_go_even_those_in_use() {
        super::super::test_namespace::in_namespace(|| {
            let dir = tempfile::tempdir().unwrap();
            let tmpfs = |path: &Path| {
                std::fs::create_dir_all(path).unwrap();
                mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
            };
            let base = dir.path().join("base");
            for path in [base.clone(), base.join("a b"), base.join("a b"), base.join("a b/c"), dir.path().join("other")]
            {
                tmpfs(&path);
            }
            let user = std::fs::File::create(base.join("a b/c/open")).unwrap();
            assert_eq!(unmount_below(&base).unwrap().len(), 3);
            let mounts = current().unwrap();
            assert!(below(&mounts, &base).is_empty());
            assert!(at(&mounts, &base).is_some() && at(&mounts, &dir.path().join("other")).is_some());
            assert_eq!(unmount_below(&base).unwrap(), Vec::<PathBuf>::new());
            drop(user);
            unmount_below(dir.path()).unwrap();
        });
    }
}
