//! containerd's volume: who chose it, and the lock that keeps a second container away.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::{StoreError, file};
use super::layout::LOCK;
use crate::host::mountinfo;

/// Length of the names that engines give to volumes for which the user has none.
const ANONYMOUS: usize = 64;

/// containerd's volume, which no other container uses as long as this process lives.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(super) path: PathBuf,
    /// Whether the engine made it without a name, so that no user expects to find something in it.
    pub(super) is_anonymous: bool,
}

impl Volume {
    /// Locks the volume at `path`.
    ///
    /// # Errors
    /// When another container uses it.
    pub(crate) fn lock(path: &Path) -> Result<Self, StoreError> {
        let lock = path.join(LOCK);
        let held = File::options().create(true).append(true).open(&lock).map_err(file("open", &lock))?;
        match Flock::lock(held, FlockArg::LockExclusiveNonblock) {
            // The kernel unlocks it when this process ends.
            Ok(held) => std::mem::forget(held),
            Err((_, Errno::EWOULDBLOCK)) => return Err(StoreError::InUse { volume: path.display().to_string() }),
            // A file system without locks, where containerd's own do not work either.
            Err((_, error)) => tracing::warn!("cannot lock {}: {error}", lock.display()),
        }
        let mounts = mountinfo::current()?;
        let is_anonymous = mountinfo::at(&mounts, path).is_some_and(|mount| is_unnamed(&mount.root));
        Ok(Self { path: path.to_owned(), is_anonymous })
    }

    #[cfg(test)]
    pub(super) fn of_a_test(path: &Path, is_anonymous: bool) -> Self {
        Self { path: path.to_owned(), is_anonymous }
    }
}

/// Whether the directory of a volume is one that the engine named, as Docker's `volumes/ID/_data`.
fn is_unnamed(root: &Path) -> bool {
    let mut names = root.iter().rev().map(|name| name.to_string_lossy());
    let (last, above) = (names.next(), names.next());
    last.as_deref() == Some("_data")
        && above.is_some_and(|name| name.len() == ANONYMOUS && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_volumes_without_a_users_name_are_anonymous() {
        let id = "0123456789abcdef".repeat(4);
        assert!(is_unnamed(Path::new(&format!("/var/lib/docker/volumes/{id}/_data"))));
        for root in ["/var/lib/docker/volumes/cache/_data", "/srv/data", "/"] {
            assert!(!is_unnamed(Path::new(root)), "{root}");
        }
        assert!(!is_unnamed(Path::new(&format!("/srv/{id}/data"))));
    }

    #[test]
    fn a_volume_serves_one_container_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        Volume::lock(root.path()).unwrap();
        let error = Volume::lock(root.path()).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    }
}
