//! Volumes of the default StorageClass: a pod may write to its own, whatever user it runs as. Kubernetes' host-path
//! provisioner makes directories for root alone (`pkg/volume/hostpath`: mode 0750), and kubelet changes no owner below
//! host paths, so that a database as any other user than root would not start. Owns the mode of what is new, nothing else.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

/// As local provisioners elsewhere make volumes; the directory above them is root's.
const MODE: u32 = 0o777;

/// A directory that cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {directory}: new volumes can be written to by root only")]
pub struct VolumesError {
    directory: PathBuf,
    #[source]
    source: io::Error,
}

/// Watches a directory in which volumes appear.
#[derive(Debug)]
pub struct Watcher {
    directory: PathBuf,
    events: AsyncFd<Events>,
}

#[derive(Debug)]
struct Events(Inotify);

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watcher {
    /// Begins to watch; what is there already keeps its mode, which may be its owner's choice by now.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(directory: &Path) -> Result<Self, VolumesError> {
        let open = || -> io::Result<AsyncFd<Events>> {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            inotify.add_watch(directory, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ONLYDIR)?;
            AsyncFd::new(Events(inotify))
        };
        let events = open().map_err(|source| VolumesError { directory: directory.to_owned(), source })?;
        Ok(Self { directory: directory.to_owned(), events })
    }

    /// Opens every new volume, until this is dropped.
    pub async fn run(self) {
        loop {
            let Ok(mut ready) = self.events.readable().await else { return };
            match ready.get_inner().0.read_events() {
                Ok(events) => {
                    for name in events.into_iter().filter_map(|event| event.name) {
                        let path = self.directory.join(name);
                        if let Err(error) = open_to_all(&path) {
                            tracing::warn!("{} can be written to by root only: {error}", path.display());
                        }
                    }
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return tracing::warn!("new volumes can be written to by root only: {error}"),
            }
        }
    }
}

fn open_to_all(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::set_permissions(path, PermissionsExt::from_mode(MODE)),
        // Somebody's file, or a volume that is gone again.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn new_volumes_are_everybodys_and_nothing_else_changes() {
        let root = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        let make = |name: &str| {
            std::fs::create_dir(root.path().join(name)).unwrap();
            std::fs::set_permissions(root.path().join(name), PermissionsExt::from_mode(0o750)).unwrap();
        };
        make("old");
        let watcher = Watcher::new(root.path()).unwrap();
        make("new");
        std::fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink(root.path().join("old"), root.path().join("link")).unwrap();
        make("last");
        let opened = async {
            while mode("last") != MODE {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = watcher.run() => panic!("the watcher ended"),
            opened = tokio::time::timeout(Duration::from_secs(10), opened) => opened.unwrap(),
        }
        assert_eq!((mode("old"), mode("new")), (0o750, MODE));
        assert_ne!(mode("file"), MODE);
    }

    #[tokio::test]
    async fn a_directory_that_is_missing_is_named() {
        let error = Watcher::new(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().starts_with("cannot watch /nowhere"), "{error}");
    }
}
