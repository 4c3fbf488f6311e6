//! Reads and writes an identity's files, with errors that name the path. Where the cluster has to survive a power cut, a
//! file is on the disk before anything relies on it. Decides nothing about the content of files.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::IdentityError;
use super::files::File;
use crate::files::{self, remove, under};
use crate::services::kubelet;

static CHANGE: Mutex<()> = Mutex::new(());

/// Keeps others from changing an identity until the result is dropped.
pub(super) fn lock() -> MutexGuard<'static, ()> {
    // A panic while it was held left files as an interrupted boot does.
    CHANGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files below a root, and how a file or directory gets onto the disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Store<'a> {
    pub(super) root: &'a Path,
    sync: fn(&Path) -> io::Result<()>,
}

impl<'a> Store<'a> {
    /// With `is_durable`, each change waits for the disk, which takes long. It is for clusters whose etcd waits, too: without
    /// that a power cut loses the cluster in any case.
    pub(super) fn new(root: &'a Path, is_durable: bool) -> Self {
        Self::with(root, if is_durable { files::sync } else { |_| Ok(()) })
    }

    fn with(root: &'a Path, sync: fn(&Path) -> io::Result<()>) -> Self {
        Self { root, sync }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        under(self.root, path)
    }

    pub(super) fn read(&self, path: &str) -> Result<String, IdentityError> {
        let path = self.path(path);
        fs::read_to_string(&path).map_err(|source| IdentityError::Read { path, source })
    }

    pub(super) fn write_all(&self, files: Vec<File>) -> Result<(), IdentityError> {
        let mut directories = BTreeSet::new();
        for file in &files {
            let path = self.path(&file.path);
            // A new file, because the old one may be a link or be open in another program.
            remove(&path)
                .and_then(|()| files::write(&path, file.content.as_bytes(), mode(file.is_secret)))
                .map_err(|source| IdentityError::Write { path, source })?;
        }
        // After all of them are written: the first wait takes most of the others along.
        for file in &files {
            let path = self.path(&file.path);
            directories.extend(path.parent().map(Path::to_owned));
            self.sync(&path)?;
        }
        directories.iter().try_for_each(|directory| self.sync(directory))
    }

    /// Replaces a file in one step, so that no reader and no later boot sees half of it.
    pub(super) fn replace(&self, path: &str, content: &[u8], is_secret: bool) -> Result<(), IdentityError> {
        let path = self.path(path);
        let failed = |source| IdentityError::Write { path: path.clone(), source };
        files::replace(&path, content, mode(is_secret), self.sync).map_err(failed)?;
        path.parent().map_or(Ok(()), |directory| self.sync(directory))
    }

    pub(super) fn link_kubelets_certificate(&self) -> Result<(), IdentityError> {
        let link = self.path(kubelet::CLIENT_LINK);
        let target = Path::new(kubelet::CLIENT_CERTIFICATE).file_name().unwrap_or_default();
        remove(&link)
            .and_then(|()| std::os::unix::fs::symlink(target, &link))
            .map_err(|source| IdentityError::Write { path: link.clone(), source })?;
        link.parent().map_or(Ok(()), |directory| self.sync(directory))
    }

    fn sync(&self, path: &Path) -> Result<(), IdentityError> {
        (self.sync)(path).map_err(|source| IdentityError::Write { path: path.to_owned(), source })
    }
}

fn mode(is_secret: bool) -> u32 {
    if is_secret { 0o600 } else { 0o644 }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn files_and_their_directories_are_on_the_disk_before_the_next_step() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::with(root.path(), |path| {
            // What is synced has to be written.
            fs::metadata(path)?;
            SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
            Ok(())
        });
        let file = |path: &str| File { path: path.to_owned(), content: "x".to_owned(), is_secret: true };
        store.write_all(vec![file("/a/one"), file("/a/two"), file("/b/three")]).unwrap();
        store.replace("/a/record", b"y", false).unwrap();
        let synced = SYNCED.with_borrow(|synced| synced.clone());
        let expected = ["/a/one", "/a/two", "/b/three", "/a", "/b", "/a/record.fresh", "/a"];
        assert_eq!(synced, expected.map(|path| under(root.path(), path)));
        assert_eq!(store.read("/a/record").unwrap(), "y");
    }

    #[test]
    fn a_durable_store_waits_for_the_disk() {
        let root = tempfile::tempdir().unwrap();
        assert!((Store::new(root.path(), true).sync)(&root.path().join("none")).is_err());
        assert!((Store::new(root.path(), false).sync)(&root.path().join("none")).is_ok());
    }
}
