//! Volumes of the default StorageClass: a pod may write to its own as any user. Kubernetes' host-path
//! provisioner makes directories for root alone (`pkg/volume/hostpath`: mode 0750), and kubelet changes no owner below
//! host paths, so that a database as any other user than root would not start. Owns the mode of what is new, nothing else.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// As local provisioners elsewhere make volumes; the directory above them is root's.
const MODE: u32 = 0o777;
/// The thread reads a few events and changes a mode; the log's formatting takes most.
const STACK: usize = 128 * 1024;

/// A directory that cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch {directory}: new volumes can be written to by root only")]
pub(crate) struct VolumesError {
    directory: PathBuf,
    #[source]
    source: io::Error,
}

/// Begins to watch a directory in which volumes appear, and opens every new one for as long as this process lives. What
/// is there already keeps its mode, which may be its owner's choice by now.
///
/// A thread that waits in `read`, because tokio takes such a descriptor in an `unsafe` block only.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn watch(directory: &Path) -> Result<(), VolumesError> {
    let start = || -> io::Result<()> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(directory, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ONLYDIR)?;
        let watched = directory.to_owned();
        thread::Builder::new()
            .name("volumes".to_owned())
            .stack_size(STACK)
            .spawn(move || follow(&inotify, &watched))?;
        Ok(())
    };
    start().map_err(|source| VolumesError { directory: directory.to_owned(), source })
}

fn follow(inotify: &Inotify, directory: &Path) {
    loop {
        match inotify.read_events() {
            Ok(events) => {
                for name in events.into_iter().filter_map(|event| event.name) {
                    let path = directory.join(name);
                    if let Err(error) = open_to_all(&path) {
                        tracing::warn!("{} can be written to by root only: {error}", path.display());
                    }
                }
            }
            Err(Errno::EINTR) => {}
            Err(error) => return tracing::warn!("new volumes can be written to by root only: {error}"),
        }
    }
}

fn open_to_all(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::set_permissions(path, PermissionsExt::from_mode(MODE)),
        // A user's file, or a volume that was removed meanwhile.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::DirBuilderExt;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn new_volumes_are_everybodys_and_nothing_else_changes() {
        let root = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o777;
        let make = |name: &str| std::fs::DirBuilder::new().mode(0o750).create(root.path().join(name)).unwrap();
        make("old");
        watch(root.path()).unwrap();
        make("new");
        std::fs::write(root.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink(root.path().join("old"), root.path().join("link")).unwrap();
        make("last");
        let deadline = Instant::now() + Duration::from_secs(20);
        while mode("last") != MODE {
            assert!(Instant::now() < deadline, "the last one is still {:o}", mode("last"));
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(mode("new"), MODE);
        assert_ne!(mode("old"), MODE);
        assert_ne!(mode("file"), MODE);
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let error = watch(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().starts_with("cannot watch /nowhere"), "{error}");
    }
}
