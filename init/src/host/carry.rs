//! Keeps visible what lies in a directory over which PID 1 mounts a tmpfs: mounts, copied files and working directories
//! of the user. Directories, large files and mounts are bound, so that nothing is copied however large it is; small files
//! are copied, so that they can be replaced and removed. Never changes what it carries.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};

use super::mountinfo::{self, Mount};

/// Largest file that is copied.
const MOST_COPIED: u64 = 64 << 10;

/// A directory that was opened before a file system was mounted over it.
#[derive(Debug)]
pub(super) struct Covered {
    path: PathBuf,
    /// Stays usable when another mount covers the path, with all mounts below: its link in /proc leads there.
    directory: File,
}

impl Covered {
    /// Opens the directory that will be covered.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).bits();
        let directory = fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        Ok(Self { path: path.to_owned(), directory })
    }

    /// Shows at the same path, on which there is another file system by now, what was in the directory. Leaves out entries
    /// for which `is_own` holds, and sockets: nothing can serve them yet. Returns what cannot be shown, with the reason.
    pub(super) fn carry(
        &self,
        mounts: &[Mount],
        is_own: impl Fn(&Path) -> bool,
    ) -> io::Result<Vec<(PathBuf, io::Error)>> {
        let mut failed = Vec::new();
        let below = PathBuf::from(format!("/proc/thread-self/fd/{}", self.directory.as_raw_fd()));
        for entry in fs::read_dir(&below)? {
            let entry = entry?;
            let target = self.path.join(entry.file_name());
            let has_mounts = mounts.iter().any(|mount| mount.mount_point.starts_with(&target));
            if is_own(&target) {
                if has_mounts {
                    tracing::warn!("what is mounted at {} is not used: the node has its own there", target.display());
                }
            } else if let Err(error) = carry(&entry.path(), &target, mountinfo::at(mounts, &target).is_some()) {
                failed.push((target, error));
            }
        }
        Ok(failed)
    }
}

fn carry(from: &Path, to: &Path, is_mount: bool) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if kind.is_dir() {
        fs::create_dir(to)?;
        own(to, &metadata)?;
        if !is_mount && fs::read_dir(from)?.next().is_none() {
            return Ok(());
        }
    } else if kind.is_file() && !is_mount && metadata.len() <= MOST_COPIED {
        fs::copy(from, to)?;
        return own(to, &metadata);
    } else if kind.is_socket() && !is_mount {
        return Ok(());
    } else {
        File::create_new(to)?;
    }
    Ok(mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?)
}

fn own(path: &Path, metadata: &Metadata) -> io::Result<()> {
    chown(path, Some(metadata.uid()), Some(metadata.gid()))?;
    // Last, because a change of the owner clears bits of the mode.
    fs::set_permissions(path, metadata.permissions())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::super::test_namespace::in_namespace;
    use super::*;

    #[test]
    #[ignore = "needs root"]
    fn mounts_directories_files_and_links_stay_visible() {
        in_namespace(|| {
            let root = tempfile::tempdir().unwrap();
            let root = root.path().canonicalize().unwrap();
            let (covered, outside) = (root.join("covered"), root.join("outside"));
            for directory in ["repository/deep/mounted", "empty", "node/daemon"] {
                fs::create_dir_all(covered.join(directory)).unwrap();
            }
            fs::set_permissions(covered.join("empty"), PermissionsExt::from_mode(0o1777)).unwrap();
            fs::create_dir(&outside).unwrap();
            fs::write(outside.join("users"), "user's").unwrap();
            fs::write(covered.join("small"), "copied").unwrap();
            chown(covered.join("small"), Some(1), Some(2)).unwrap();
            fs::set_permissions(covered.join("small"), PermissionsExt::from_mode(0o4640)).unwrap();
            File::create(covered.join("large")).unwrap().set_len(MOST_COPIED + 1).unwrap();
            File::create(covered.join("file")).unwrap();
            symlink("small", covered.join("link")).unwrap();
            drop(UnixListener::bind(covered.join("stale.sock")).unwrap());
            let bind = |from: &Path, to: &str| {
                mount(Some(from), &covered.join(to), None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
            };
            bind(&outside, "repository/deep/mounted");
            bind(&outside.join("users"), "file");
            bind(&outside, "node/daemon");

            let mounts = mountinfo::current().unwrap();
            let opened = Covered::open(&covered).unwrap();
            mount(Some("t"), &covered, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
            let failed = opened.carry(&mounts, |path| path.ends_with("node")).unwrap();
            assert!(failed.is_empty(), "{failed:?}");

            let text = |path: &str| fs::read_to_string(covered.join(path)).unwrap();
            assert_eq!(text("repository/deep/mounted/users"), "user's");
            assert_eq!(
                (text("file"), text("small"), text("link")),
                ("user's".into(), "copied".into(), "copied".into())
            );
            let mode = |path: &str| fs::metadata(covered.join(path)).unwrap().permissions().mode() & 0o7777;
            assert_eq!((mode("small"), mode("empty")), (0o4640, 0o1777));
            let small = fs::metadata(covered.join("small")).unwrap();
            assert_eq!((small.uid(), small.gid()), (1, 2));
            assert_eq!(fs::metadata(covered.join("large")).unwrap().len(), MOST_COPIED + 1);
            assert!(!covered.join("stale.sock").exists() && !covered.join("node").exists());
            fs::remove_file(covered.join("small")).unwrap();
            fs::remove_dir(covered.join("empty")).unwrap();
        });
    }
}
